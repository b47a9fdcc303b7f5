"""How we say who we are: one schema a way, each of which makes an `Authentication`.

Declared are names of secrets. The values are fetched when the first request is signed, live as long as one pull, and
are known to `Hidden`, which keeps them out of whatever is told.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode

from marshmallow import ValidationError, post_load, validate, validates_schema

from connectors import http
from connectors.documents import StrictSchema, Text, say
from connectors.errors import SourceRefused
from connectors.reach import TokenStore
from connectors.secrets import Hidden, SecretField, SecretName, Secrets, TextOrSecret
from connectors.sources.clocks import Clock

Fetch = Callable[[str, str, Mapping[str, str], bytes], bytes]
"""Sends (method, address, headers, body) and gives the body of the answer."""
EARLY = timedelta(seconds=60)
"""A token is renewed before it ends, so that it does not end on the way."""
TOKEN_LIFE = timedelta(minutes=10)
"""Of a token whose server does not say: short enough for all vendors we know, and a 401 renews it anyway."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a way to sign needs of the world."""

    secrets: Secrets
    hidden: Hidden
    clock: Clock
    fetch: Fetch
    tokens: TokenStore | None = None
    login: str = ""
    """What the tokens are kept under."""

    def value(self, secret: SecretName | str) -> str:
        """Give a secret, never to be shown from now on; a plain text as it is."""
        found = self.secrets.value(secret)
        if isinstance(secret, SecretName):
            self.hidden.add(found)
        if not found.isprintable():
            # A line end would begin another header.
            raise SourceRefused(f"The secret for {shown(secret)} holds more than one line. Store it as a single line.")
        return found


def shown(secret: SecretName | str) -> str:
    """Name a secret."""
    return secret.name if isinstance(secret, SecretName) else "a text in the document"


class Signer(Protocol):
    """Signs the requests of one pull."""

    def headers(self) -> Mapping[str, str]:
        """Give the headers that say who we are, fetching a token where that is needed."""

    def renew(self) -> bool:
        """Forget what can be fetched anew, since it was refused; False when there is nothing of the kind."""


class Authentication(Protocol):
    """A declared way to sign."""

    def signer(self, around: Surroundings) -> Signer:
        """Give what signs the requests of one pull."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A signer whose headers never change."""

    fixed: Mapping[str, str] = field(repr=False)

    def headers(self) -> Mapping[str, str]:
        """Give the headers."""
        return self.fixed

    def renew(self) -> bool:
        """There is nothing to renew."""
        return False


@dataclass(frozen=True, slots=True)
class Nobody:
    """No authentication."""

    def signer(self, _around: Surroundings) -> Signer:
        """Give what adds nothing."""
        return Fixed({})


@dataclass(frozen=True, slots=True)
class Basic:
    """A user and a password (RFC 7617)."""

    user: SecretName | str
    password: SecretName | str
    suffix: str

    def signer(self, around: Surroundings) -> Signer:
        """Give what adds the header."""
        pair = f"{around.value(self.user)}{self.suffix}:{around.value(self.password)}"
        encoded = base64.b64encode(pair.encode()).decode()
        around.hidden.add(encoded)
        return Fixed({"Authorization": f"Basic {encoded}"})


@dataclass(frozen=True, slots=True)
class Key:
    """A token that is sent as it is, in a header of the vendor's choice."""

    header: str
    prefix: str
    value: SecretName

    def signer(self, around: Surroundings) -> Signer:
        """Give what adds the header."""
        return Fixed({self.header: self.prefix + around.value(self.value)})


@dataclass(frozen=True, slots=True)
class OAuth:
    """Tokens fetched from a server of theirs (RFC 6749, sections 4.4 and 6)."""

    grant: str
    token_url: str
    client_id: SecretName | str
    client_secret: SecretName
    refresh_token: SecretName | None
    scope: str | None
    client: str
    """Where the client's name and secret go: into a header or into the body."""

    def signer(self, around: Surroundings) -> Signer:
        """Give what fetches tokens as they are needed."""
        return _Tokens(self, around)


@dataclass(slots=True)
class _Tokens:
    """The access token of one pull."""

    declared: OAuth
    around: Surroundings
    _token: str | None = field(default=None, repr=False)
    _ends: datetime | None = field(default=None)

    def headers(self) -> Mapping[str, str]:
        if self._token is None or (self._ends and self.around.clock.now() >= self._ends):
            self._fetch()
        return {"Authorization": f"Bearer {self._token}"}

    def renew(self) -> bool:
        self._token = None
        return True

    def _fetch(self) -> None:
        declared, around = self.declared, self.around
        client_id, client_secret = around.value(declared.client_id), around.value(declared.client_secret)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        form = {"grant_type": declared.grant}
        refresh_token = around.value(declared.refresh_token) if declared.refresh_token else None
        if refresh_token:
            form["refresh_token"] = refresh_token
        if declared.scope:
            form["scope"] = declared.scope
        if declared.client == "header":
            pair = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
            around.hidden.add(pair)
            headers["Authorization"] = f"Basic {pair}"
        else:
            form |= {"client_id": client_id, "client_secret": client_secret}
        self._take(around.fetch("POST", declared.token_url, headers, urlencode(form).encode()), refresh_token)

    def _take(self, body: bytes, refresh_token: str | None) -> None:
        place = http.shown(self.declared.token_url)
        try:
            answer = json.loads(body)
            token, life = answer["access_token"], answer.get("expires_in")
            rotated = answer.get("refresh_token")
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise SourceRefused(f"{place} answered without an access token. Check the address and the grant.") from err
        if not isinstance(token, str) or not token.isprintable() or not token:
            raise SourceRefused(f"{place} answered without an access token. Check the address and the grant.")
        self.around.hidden.add(token, *([rotated] if isinstance(rotated, str) else []))
        if refresh_token and rotated and rotated != refresh_token:
            raise SourceRefused(
                f"{place} gave a new refresh token in place of the old one, and connectors keep none. "
                "Use client credentials, or switch off the rotation of refresh tokens there."
            )
        self._token = token
        # Some servers send the number as a text (RFC 6749 does not allow it, they do it).
        seconds = float(life) if isinstance(life, (int, float)) or str(life).isdigit() else None
        lives = TOKEN_LIFE if seconds is None else timedelta(seconds=seconds)
        self._ends = self.around.clock.now() + max(lives - EARLY, lives / 2)


class NoneSchema(StrictSchema):
    """`{type: none}`."""

    type = Text(required=True)

    @post_load
    def make(self, _data: object, **_: object) -> Nobody:
        """Make it."""
        return Nobody()


class BasicSchema(StrictSchema):
    """`{type: basic, user: ..., password: {secret: ...}}`; `suffix` is added to the user, as Zendesk's /token."""

    type = Text(required=True)
    user = TextOrSecret(required=True)
    password = TextOrSecret(required=True)
    suffix = Text(load_default="")

    @validates_schema
    def check_one_is_secret(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a pair of plain texts; the one vendors leave open is the password "X" beside a key as user."""
        if isinstance(data["user"], str) and isinstance(data["password"], str):
            what = "A secret does not stand in a document, only its name does."
            raise ValidationError(say(what, "Write {secret: some-name}."), "password")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Basic:
        """Make it."""
        return Basic(data["user"], data["password"], data["suffix"])


class BearerSchema(StrictSchema):
    """`{type: bearer, token: {secret: ...}}` (RFC 6750)."""

    type = Text(required=True)
    token = SecretField(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Key:
        """Make it."""
        return Key("Authorization", "Bearer ", data["token"])


class ApiKeySchema(StrictSchema):
    """`{type: api_key, header: X-Api-Key, value: {secret: ...}}`, with a `prefix` where the vendor wants one."""

    type = Text(required=True)
    header = Text(required=True, validate=validate.Regexp("[A-Za-z0-9-]+$", error=say("No header.", "Name one.")))
    prefix = Text(load_default="")
    value = SecretField(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Key:
        """Make it."""
        return Key(data["header"], data["prefix"], data["value"])


class OAuthSchema(StrictSchema):
    """`{type: client_credentials, token_url: ..., client_id: ..., client_secret: {secret: ...}, scope: ...}`."""

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
    def check_address(self, data: dict[str, Any], **_: object) -> None:
        """Refuse an address that secrets must not be sent to."""
        if fault := http.url_fault(data["token_url"]):
            raise ValidationError(say(*fault), "token_url")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> OAuth:
        """Make it."""
        return OAuth(
            data["type"],
            data["token_url"],
            data["client_id"],
            data["client_secret"],
            data.get("refresh_token"),
            data["scope"],
            data["client"],
        )


class RefreshSchema(OAuthSchema):
    """`{type: refresh_token, ...}`: as client credentials, and `refresh_token: {secret: ...}`."""

    refresh_token = SecretField(required=True)


AUTHENTICATIONS = {
    "none": NoneSchema,
    "basic": BasicSchema,
    "bearer": BearerSchema,
    "api_key": ApiKeySchema,
    "client_credentials": OAuthSchema,
    "refresh_token": RefreshSchema,
}
"""The ways to sign, by the `type` of their blocks."""
