"""Tokens that a server of the vendor's gives for what we can show: one schema a grant.

Access tokens of grants that need nothing but a secret live as long as one pull. Where the server hands out refresh
tokens, they are kept (`Reach.tokens`), for a server that rotates them takes each only once: whoever needs a new one
waits for the lock, looks whether another worker has just got one, and else fetches it and stores it before use. A
process that is killed between the server's answer and our commit loses the login; that moment cannot be made shorter.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Protocol
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from marshmallow import ValidationError, post_load, validate, validates_schema

from connectors import http
from connectors.documents import StrictSchema, Text, say
from connectors.errors import LoginRefused, SourceRefused
from connectors.reach import Tokens, TokenStore
from connectors.secrets import SecretField, SecretName, TextOrSecret
from connectors.sources.asking import Headers
from connectors.sources.signing import Signer, Surroundings

EARLY = timedelta(seconds=60)
"""A token is renewed before it ends, so that it does not end on the way."""
TOKEN_LIFE = timedelta(minutes=10)
"""Of a token whose server does not say: short enough for all vendors we know, and a 401 renews it anyway."""
ASSERTION_LIFE = timedelta(minutes=3)
"""Salesforce takes no more: https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_jwt_flow.htm"""
REDIRECT = "http://127.0.0.1:8976/callback"
"""Where a login comes back to by default (RFC 8252 section 7.3); fixed, since most vendors want it registered."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a token server answered."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    renew_at: datetime
    ends_at: datetime
    answer: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are to the token server."""

    token_url: str
    client_id: SecretName | str
    client_secret: SecretName | None
    """None: a client without one (RFC 6749 section 2.1), or one whose assertion says enough."""
    scope: str | None
    place: str
    """Where name and secret go: `header` or `body` (RFC 6749 section 2.3.1)."""

    def ask(self, around: Surroundings, form: Mapping[str, str]) -> Granted:
        """Give what the server gives for a grant; raises SourceError, never with a status that is about an API."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        sent = {**form, **self._identity(around, headers)}
        try:
            body = around.fetch("POST", self.token_url, headers, urlencode(sent).encode())
        except SourceRefused as err:
            # The runner takes a 400 or 401 for a word about its own request.
            raise LoginRefused(f"No token is to be had. {err}") from err
        return self._granted(around, body)

    def _identity(self, around: Surroundings, headers: dict[str, str]) -> Mapping[str, str]:
        client_id = around.value(self.client_id)
        if self.client_secret is None:
            return {"client_id": client_id}
        secret = around.value(self.client_secret)
        if self.place == "body":
            return {"client_id": client_id, "client_secret": secret}
        pair = b64encode(f"{client_id}:{secret}".encode()).decode()
        around.hidden.add(pair)
        headers["Authorization"] = f"Basic {pair}"
        return {}

    def _granted(self, around: Surroundings, body: bytes) -> Granted:
        place = http.shown(self.token_url)
        without = LoginRefused(f"{place} answered without an access token. Check the address and the grant.")
        try:
            answer = json.loads(body)
            token, life, refresh = answer["access_token"], answer.get("expires_in"), answer.get("refresh_token")
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise without from err
        if not isinstance(token, str) or not token.isprintable() or not token:
            raise without
        refresh = refresh if isinstance(refresh, str) and refresh else None
        around.hidden.add(token, *filter(None, [refresh]))
        # Some servers send the number as a text (RFC 6749 does not allow it, they do it).
        seconds = float(life) if isinstance(life, (int, float)) or str(life).isdigit() else None
        lives = TOKEN_LIFE if seconds is None else timedelta(seconds=seconds)
        now = around.clock.now()
        return Granted(token, refresh, now + max(lives - EARLY, lives / 2), now + lives, answer)


class Grant(Protocol):
    """What is shown to the token server (RFC 6749 section 1.3)."""

    def form(self, client: Client, around: Surroundings) -> Mapping[str, str]:
        """Give what is sent beside the client's name."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The client's own secret is enough (RFC 6749 section 4.4)."""

    def form(self, _client: Client, _around: Surroundings) -> Mapping[str, str]:
        """Name the grant."""
        return {"grant_type": "client_credentials"}


@dataclass(frozen=True, slots=True)
class Password:
    """A user's name and password (RFC 6749 section 4.3)."""

    user: SecretName | str
    password: SecretName

    def form(self, _client: Client, around: Surroundings) -> Mapping[str, str]:
        """Give both."""
        named = {"username": around.value(self.user), "password": around.value(self.password)}
        return {"grant_type": "password", **named}


@dataclass(frozen=True, slots=True)
class JwtBearer:
    """A statement that we sign with a key whose certificate the server knows (RFC 7523)."""

    subject: SecretName | str
    audience: str
    private_key: SecretName
    key_id: str | None
    issuer: SecretName | str | None
    """Default: the client."""

    def form(self, client: Client, around: Surroundings) -> Mapping[str, str]:
        """Sign a statement that is good for a few minutes, once."""
        import jwt

        now = around.clock.now()
        claims = {
            "iss": around.value(self.issuer or client.client_id),
            "sub": around.value(self.subject),
            "aud": self.audience,
            "iat": now,
            "exp": now + ASSERTION_LIFE,
            "jti": uuid4().hex,
        }
        headers = {"kid": self.key_id} if self.key_id else None
        # Variables often carry the line ends of a PEM file as \n.
        pem = around.lines(self.private_key).replace("\\n", "\n")
        try:
            assertion = jwt.encode(claims, pem, algorithm="RS256", headers=headers)
        except (ValueError, TypeError, jwt.PyJWTError):
            # Not "from": the library's words may show a part of the key.
            what = f"The secret {self.private_key.name!r} is no private RSA key."
            raise LoginRefused(f"{what} Store the whole PEM file, with its BEGIN and END lines.") from None
        around.hidden.add(assertion)
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}


@dataclass(frozen=True, slots=True)
class OAuth:
    """Tokens that live as long as one pull."""

    client: Client
    grant: Grant

    @property
    def token_url(self) -> str:
        """Where secrets are sent."""
        return self.client.token_url

    def signer(self, around: Surroundings) -> Signer:
        """Give what fetches tokens as they are needed."""
        return _Passing(self, around)


@dataclass(slots=True)
class _Passing:
    """The access token of one pull."""

    declared: OAuth
    around: Surroundings
    _granted: Granted | None = field(default=None, repr=False)

    def headers(self) -> Mapping[str, str]:
        if self._granted is None or self.around.clock.now() >= self._granted.renew_at:
            client = self.declared.client
            form = dict(self.declared.grant.form(client, self.around))
            if client.scope:
                form["scope"] = client.scope
            self._granted = client.ask(self.around, form)
        return {"Authorization": f"Bearer {self._granted.access_token}"}

    def renew(self) -> bool:
        self._granted = None
        return True


@dataclass(frozen=True, slots=True)
class KeptLogin:
    """Tokens that are kept: those of a person's login, or of a refresh token that somebody made."""

    client: Client
    refresh_token: SecretName | None
    """What to begin with; None: with what `lrs-bridge source login` kept."""
    login: str | None = None
    """What the tokens are kept under; sources that say the same use one login. Default: the source's own name."""
    authorize_url: str = ""
    redirect: str = REDIRECT
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def token_url(self) -> str:
        """Where secrets are sent."""
        return self.client.token_url

    def kept_under(self, source: str) -> str:
        """Name what the tokens are kept under: sources that begin with one refresh token must go on with one."""
        if self.refresh_token is None:
            return self.login or source
        return f"refresh_token/{self.refresh_token.name}@{urlsplit(self.token_url).netloc}"

    def signer(self, around: Surroundings) -> Signer:
        """Give what reads, fetches and keeps tokens."""
        return _Kept(self, around)

    def keep(self, store: TokenStore, name: str, granted: Granted, old: Tokens | None = None) -> Tokens:
        """Store what was granted, and give it; a server that names no new refresh token leaves the old one good."""
        refresh = granted.refresh_token or (old or {}).get("refresh_token")
        tokens = {
            "access_token": granted.access_token,
            "renew_at": _written(granted.renew_at),
            "expires_at": _written(granted.ends_at),
            "token_url": self.token_url,
            **({"refresh_token": refresh} if refresh else {}),
            **({"seed": old["seed"]} if old and "seed" in old else {}),
        }
        store.write(name, tokens)
        return tokens


@dataclass(slots=True)
class _Kept:
    """The tokens of one pull, which other pulls use and renew as well."""

    declared: KeptLogin
    around: Surroundings
    _tokens: Tokens = field(default_factory=dict, repr=False)
    _refused: str | None = field(default=None, repr=False)
    """An access token that the system did not take, though its time has not come."""

    def headers(self) -> Mapping[str, str]:
        if not self._is_good(self._tokens):
            self._take()
        return {"Authorization": f"Bearer {self._tokens['access_token']}"}

    def renew(self) -> bool:
        self._refused = self._tokens.get("access_token")
        return True

    def _is_good(self, tokens: Tokens) -> bool:
        token = tokens.get("access_token")
        return (
            token is not None
            and token != self._refused
            and self.around.clock.now() < datetime.fromisoformat(tokens["renew_at"])
        )

    def _take(self) -> None:
        store, name = self._store(), self.declared.kept_under(self.around.login)
        with store.locked(name):
            kept = self._mine(store, name)
            self._hide(kept)
            self._tokens = kept if self._is_good(kept) else self._renewed(store, name, kept)

    def _store(self) -> TokenStore:
        if self.around.tokens is None:
            raise LoginRefused("This source needs tokens to be kept, and here nothing keeps any. Use `lrs-bridge`.")
        return self.around.tokens

    def _mine(self, store: TokenStore, name: str) -> Tokens:
        """Give what may be used of what was kept: no token goes to another server than the one that gave it."""
        kept = store.read(name) or {}
        if self.declared.refresh_token is not None:
            seed = self.around.value(self.declared.refresh_token)
            digest = hashlib.sha256(seed.encode()).hexdigest()
            if kept.get("seed") != digest or kept.get("token_url") != self.declared.token_url:
                kept = {"refresh_token": seed, "seed": digest, "token_url": self.declared.token_url}
                store.write(name, kept)  # a store that cannot keep it must say so before the server takes it
            return kept
        if "token_url" not in kept:
            raise LoginRefused(f"Nobody has logged in. {self._remedy()}")
        if kept.get("token_url") != self.declared.token_url:
            raise LoginRefused(f"The login was made with another `token_url`. {self._remedy()}")
        return kept

    def _renewed(self, store: TokenStore, name: str, kept: Tokens) -> Tokens:
        refresh = kept.get("refresh_token")
        if refresh is None:
            raise LoginRefused(f"The login has ended, and the server gave nothing to renew it. {self._remedy()}")
        form = {"grant_type": "refresh_token", "refresh_token": refresh}
        if self.declared.client.scope and self.declared.refresh_token is not None:
            form["scope"] = self.declared.client.scope
        try:
            granted = self.declared.client.ask(self.around, form)
        except SourceRefused as err:
            raise LoginRefused(f"The login cannot be renewed. {self._remedy()} {err}") from err
        return self.declared.keep(store, name, granted, kept)

    def _remedy(self) -> str:
        if self.declared.refresh_token is not None:
            return f"If it goes on, make a new refresh token and store it as {self.declared.refresh_token.name!r}."
        return f"Run `lrs-bridge source login {self.around.login}`."

    def _hide(self, tokens: Tokens) -> None:
        self.around.hidden.add(*(tokens[name] for name in ("access_token", "refresh_token") if name in tokens))


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


class _ClientSchema(StrictSchema):
    """The keys of all these blocks."""

    ADDRESSES: ClassVar[tuple[str, ...]] = ("token_url",)

    type = Text(required=True)
    token_url = Text(required=True)
    client_id = TextOrSecret(required=True)
    client_secret = SecretField(required=True)
    scope = Text(load_default=None)
    client = Text(
        load_default="body",
        validate=validate.OneOf(["body", "header"], error=say("Neither body nor header.", "Write one of the two.")),
    )

    @validates_schema
    def check_addresses(self, data: dict[str, Any], **_: object) -> None:
        """Refuse an address that secrets must not be sent to."""
        faults = {name: [say(*fault)] for name in self.ADDRESSES if (fault := http.url_fault(data[name]))}
        if faults:
            raise ValidationError(faults)

    def known_as(self, data: dict[str, Any]) -> Client:
        """Make the client."""
        secret = data.get("client_secret")
        return Client(data["token_url"], data["client_id"], secret, data["scope"], data["client"])


class ClientCredentialsSchema(_ClientSchema):
    """`{type: client_credentials, token_url: ..., client_id: ..., client_secret: {secret: ...}, scope: ...}`."""

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> OAuth:
        """Make it."""
        return OAuth(self.known_as(data), ClientCredentials())


class PasswordSchema(_ClientSchema):
    """`{type: password, ...}`: as client credentials, and `user` and `password: {secret: ...}`."""

    user = TextOrSecret(required=True)
    password = SecretField(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> OAuth:
        """Make it."""
        return OAuth(self.known_as(data), Password(data["user"], data["password"]))


class JwtBearerSchema(_ClientSchema):
    """`{type: jwt_bearer, ..., subject: ..., audience: ..., private_key: {secret: ...}, key_id: ..., issuer: ...}`."""

    client_secret = SecretField(load_default=None)
    subject = TextOrSecret(required=True)
    audience = Text(required=True)
    private_key = SecretField(required=True)
    key_id = Text(load_default=None)
    issuer = TextOrSecret(load_default=None)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> OAuth:
        """Make it."""
        parts = (data[name] for name in ("subject", "audience", "private_key", "key_id", "issuer"))
        return OAuth(self.known_as(data), JwtBearer(*parts))


class RefreshSchema(_ClientSchema):
    """`{type: refresh_token, ...}`: as client credentials, and `refresh_token: {secret: ...}` to begin with."""

    refresh_token = SecretField(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> KeptLogin:
        """Make it."""
        return KeptLogin(self.known_as(data), data["refresh_token"])


class AuthorizationCodeSchema(_ClientSchema):
    """`{type: authorization_code, authorize_url: ..., token_url: ..., client_id: ..., scope: ...}`: a person logs in.

    `client_secret` where the vendor gave one; `login` to share a login between sources; `redirect` where the vendor
    wants another address than REDIRECT; `parameters` for what the vendor wants in the address besides.
    """

    ADDRESSES = ("token_url", "authorize_url", "redirect")

    authorize_url = Text(required=True)
    client_secret = SecretField(load_default=None)
    login = Text(
        load_default=None,
        validate=validate.Regexp(
            r"[a-z0-9][a-z0-9-]{0,63}\Z", error=say("This does not do as a name.", "Use small letters, digits, -.")
        ),
    )
    redirect = Text(load_default=REDIRECT)
    parameters = Headers(load_default={})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> KeptLogin:
        """Make it."""
        rest = (data["login"], data["authorize_url"], data["redirect"], data["parameters"])
        return KeptLogin(self.known_as(data), None, *rest)
