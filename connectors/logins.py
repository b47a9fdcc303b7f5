"""A person's login to a source, in a browser, once (RFC 6749 section 4.1, RFC 7636, RFC 8252).

`begin` gives the address to open. The system sends the browser on to the `redirect` of the document, with a code that
is good for a minute; whoever gets that address hands it to `finish`, which fetches the tokens and keeps them.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from connectors.errors import LoginRefused, SourceRefused
from connectors.reach import TokenStore
from connectors.sources.calls import Caller
from connectors.sources.oauth import Granted, KeptLogin
from connectors.sources.rest import RestSource
from connectors.sources.rows import Source

_WHO = ("email", "preferred_username", "upn", "name", "sub")
"""What an OpenID provider calls a person by, best first (OpenID Connect Core section 5.1)."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What came of a login."""

    kept_under: str
    account: str | None
    """Who logged in; None where the server does not say."""
    ends_at: datetime | None
    """When somebody must log in again; None: not while the tokens are renewed."""


@dataclass(frozen=True, slots=True)
class Login:
    """A login that was begun."""

    source: RestSource
    declared: KeptLogin
    store: TokenStore
    address: str
    """To be opened in a browser."""
    _state: str = field(repr=False)
    _verifier: str = field(repr=False)

    @property
    def redirect(self) -> str:
        """Where the browser is sent to afterwards."""
        return self.declared.redirect

    def is_answered_by(self, address: str) -> bool:
        """Tell whether an address that a browser was sent to answers this login, and not another or a forged one."""
        return secrets.compare_digest(_query(address).get("state", "").encode(), self._state.encode())

    def finish(self, address: str) -> LoggedIn:
        """Fetch and keep the tokens; raises SourceError. `address` is where the browser was sent to, as a whole."""
        answer = _query(address)
        if not self.is_answered_by(address):
            what = "This is not the answer to this login: its `state` is another."
            raise LoginRefused(f"{what} Open the address that was shown last, and hand over where it leads to.")
        if "error" in answer:
            said = ": ".join(answer[name][:200] for name in ("error", "error_description") if name in answer)
            raise LoginRefused(f"The system did not let us in. It said {said!r}. Log in again, or ask its admin why.")
        if "code" not in answer:
            raise LoginRefused("The address holds no code. Hand over the whole of it, from http to the end.")
        granted = self._granted(answer["code"])
        name = self.declared.kept_under(self.source.name)
        with self.store.locked(name):
            kept = self.declared.keep(self.store, name, granted)
        return LoggedIn(name, _account(granted.answer), None if "refresh_token" in kept else granted.ends_at)

    def _granted(self, code: str) -> Granted:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect,
            "code_verifier": self._verifier,
        }
        with Caller(self.source.system, self.source.reach, self.source.name) as caller:
            caller.hidden.add(code, self._verifier)
            try:
                return self.declared.client.ask(caller.surroundings(), form)
            except LoginRefused as err:
                raise LoginRefused(f"{err} A code is good once, and for a minute or so: log in again.") from err


def begin(source: Source) -> Login:
    """Begin a login; raises SourceRefused where a source has none, or nothing can be kept."""
    if not isinstance(source, RestSource) or not isinstance(source.system.auth, KeptLogin):
        raise SourceRefused(f"Nobody logs in to {source.name}: its document says how it signs in by itself.")
    declared = source.system.auth
    if declared.refresh_token is not None:
        what = f"{source.name} begins with the refresh token {declared.refresh_token.name!r}."
        raise SourceRefused(f"{what} For a login by a person write `type: authorization_code`.")
    store = source.reach.tokens
    if store is None:
        raise SourceRefused("There is nothing here that keeps tokens. Use `lrs-bridge source login`.")
    _prove(store, declared.kept_under(source.name))
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    with Caller(source.system, source.reach, source.name) as caller:
        client_id = caller.surroundings().value(declared.client.client_id)
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": declared.redirect,
        **({"scope": declared.client.scope} if declared.client.scope else {}),
        "state": state,
        "code_challenge": _base64url(hashlib.sha256(verifier.encode()).digest()),
        "code_challenge_method": "S256",
        **declared.parameters,
    }
    joint = "&" if urlsplit(declared.authorize_url).query else "?"
    address = f"{declared.authorize_url}{joint}{urlencode(asked)}"
    return Login(source, declared, store, address, state, verifier)


def _prove(store: TokenStore, name: str) -> None:
    """Raise before somebody logs in what would be raised when the tokens are to be kept, and are lost."""
    with store.locked(name):
        try:
            kept = store.read(name)
        except SourceRefused:
            kept = None  # what cannot be read any more is what the login replaces
        store.write(name, kept or {"begun_at": datetime.now(UTC).isoformat()})


def _query(address: str) -> dict[str, str]:
    """Give the parameters of an address, or of the part of it that somebody copied."""
    address = address.strip()
    query = urlsplit(address).query or address.rpartition("?")[2]
    return {name: values[-1] for name, values in parse_qs(query).items()}


def _account(answer: Mapping[str, Any]) -> str | None:
    """Read who it is from the ID token; it came from the server itself, so nobody can have forged it.

    OpenID Connect Core section 3.1.3.7, point 6.
    """
    try:
        payload = str(answer["id_token"]).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        found = next((claims[name] for name in _WHO if claims.get(name)), None)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError):
        return None
    return None if found is None else str(found)[:200]


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
