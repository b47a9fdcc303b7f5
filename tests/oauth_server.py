"""An OAuth server of our own on this machine, with an API behind it: strict, stateful, and with faults on demand.

RFC 6749 (all grants we use), 7636 (PKCE, S256 only), 7523 (signed statements), 9700 section 4.14.2 (refresh tokens are
rotated, and one that is used twice ends the login).
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
Fault = Callable[["Handler"], None]
"""Answers a request for tickets in its own way."""


@dataclass
class Grantings:
    """What the server knows, and what it was asked."""

    client_id: str = "lrs-bridge"
    client_secret: str | None = "cl1ent-s3cret"
    user: tuple[str, str] = ("bot", "passw0rd")
    public_key: Any = None
    """Of whoever signs statements."""
    rotates: bool = True
    life: int = 3600
    code_life: float = 60
    denies: bool = False
    redirects: set[str] = field(default_factory=set)
    """Registered addresses; none: every one on this machine."""
    prefix: str = ""
    """Begins every token, so that a test can look for them."""
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    refresh: dict[str, bool] = field(default_factory=dict)
    """Refresh tokens ever given out, and whether they are good."""
    access: dict[str, float] = field(default_factory=dict)
    """Access tokens, and when they end."""
    statements: set[str] = field(default_factory=set)
    forms: list[dict[str, str]] = field(default_factory=list)
    faults: deque[Fault | None] = field(default_factory=deque)
    before_grant: Callable[[], None] = lambda: None
    """Called when a token has been granted, before it is answered."""
    tickets: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def token(self, kind: str) -> str:
        return f"{self.prefix}{kind}-{secrets.token_urlsafe(12)}"


class Refused(Exception):
    """What the token server answers, by RFC 6749 section 5.2."""


class OAuthServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.knows = Grantings()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def visit(self, address: str) -> str:
        """Be the browser of a person who agrees (or, with `denies`, does not): give the address it is sent to."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        return self.authorize(query)

    def authorize(self, query: dict[str, str]) -> str:
        knows = self.knows
        assert query["response_type"] == "code"
        assert query["client_id"] == knows.client_id
        assert query["code_challenge_method"] == "S256"
        assert not knows.redirects or query["redirect_uri"] in knows.redirects
        if knows.denies:
            said = {"error": "access_denied", "error_description": "The person said no", "state": query["state"]}
            return f"{query['redirect_uri']}?{urlencode(said)}"
        code = knows.token("code")
        knows.codes[code] = {**query, "ends": time.time() + knows.code_life}
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def grant(self, form: dict[str, str]) -> dict[str, Any]:
        with self.knows.lock:
            self.knows.forms.append(form)
            self._check_client(form)
            answer = self._granted(form)
        self.knows.before_grant()
        return answer

    def _check_client(self, form: dict[str, str]) -> None:
        if form["grant_type"] == JWT_BEARER and "client_secret" not in form:
            return
        if (form.get("client_id"), form.get("client_secret")) != (self.knows.client_id, self.knows.client_secret):
            raise Refused("invalid_client")

    def _granted(self, form: dict[str, str]) -> dict[str, Any]:
        knows = self.knows
        match form["grant_type"]:
            case "client_credentials":
                return self._tokens(refreshable=False)
            case "password":
                if (form["username"], form["password"]) != knows.user:
                    raise Refused("invalid_grant")
                return self._tokens(refreshable=False)
            case "authorization_code":
                self._check_code(form)
                return self._tokens(refreshable=True) | {"id_token": jwt.encode({"email": "ann@example.com"}, "x" * 32)}
            case "refresh_token":
                return self._refreshed(form["refresh_token"])
            case grant if grant == JWT_BEARER:
                return self._for_statement(form["assertion"])
        raise Refused("unsupported_grant_type")

    def _check_code(self, form: dict[str, str]) -> None:
        known = self.knows.codes.pop(form["code"], None)
        if known is None or known["ends"] < time.time() or known["redirect_uri"] != form["redirect_uri"]:
            raise Refused("invalid_grant")
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != known["code_challenge"]:
            raise Refused("invalid_grant")

    def _refreshed(self, token: str) -> dict[str, Any]:
        if not self.knows.refresh.get(token):
            for other in self.knows.refresh:  # somebody has it who should not
                self.knows.refresh[other] = False
            raise Refused("invalid_grant")
        if self.knows.rotates:
            self.knows.refresh[token] = False
        return self._tokens(refreshable=self.knows.rotates)

    def _for_statement(self, assertion: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(assertion, self.knows.public_key, algorithms=["RS256"], audience=self.url)
        except jwt.PyJWTError as err:
            raise Refused("invalid_grant") from err
        if claims["jti"] in self.knows.statements or claims["exp"] - time.time() > 300:
            raise Refused("invalid_grant")
        self.knows.statements.add(claims["jti"])
        assert (claims["iss"], claims["sub"]) == (self.knows.client_id, self.knows.user[0])
        return self._tokens(refreshable=False)

    def _tokens(self, *, refreshable: bool) -> dict[str, Any]:
        access = self.knows.token("access")
        self.knows.access[access] = time.time() + self.knows.life
        answer: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": self.knows.life}
        if refreshable:
            answer["refresh_token"] = self.knows.token("refresh")
            self.knows.refresh[answer["refresh_token"]] = True
        return answer


class Handler(BaseHTTPRequestHandler):
    server: OAuthServer

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        sent = {name: values[0] for name, values in form.items()}
        if self.headers.get("Authorization", "").startswith("Basic "):
            pair = base64.b64decode(self.headers["Authorization"][6:]).decode()
            sent["client_id"], _, sent["client_secret"] = pair.partition(":")
        try:
            self.reply(self.server.grant(sent))
        except Refused as err:
            self.reply({"error": str(err)}, 401 if str(err) == "invalid_client" else 400)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/authorize":
            where = self.server.visit(self.path)
            return self.reply({}, 302, Location=where)
        if self.server.knows.faults and (fault := self.server.knows.faults.popleft()):
            return fault(self)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.server.knows.access.get(token, 0) < time.time():
            return self.reply({"error": "invalid_token"}, 401)
        return self.reply({"tickets": self.server.knows.tickets})

    def reply(self, body: object, status: int = 200, **headers: str) -> None:
        self.send(json.dumps(body).encode(), status, **{"Content-Type": "application/json", **headers})

    def send(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response_only(status)
        for name, value in {"Date": format_datetime(datetime.now(UTC), usegmt=True), **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def oauth_server() -> Iterator[OAuthServer]:
    """Run one in a thread."""
    server = OAuthServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class MemoryTokens:
    """A `TokenStore` for tests of one process; `writes` are what was kept, in order."""

    kept: dict[str, dict[str, str]] = field(default_factory=dict)
    writes: list[dict[str, str]] = field(default_factory=list)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)

    def read(self, name: str) -> dict[str, str] | None:
        return self.kept.get(name)

    def write(self, name: str, tokens: Any) -> None:
        assert all(isinstance(value, str) for value in tokens.values())
        self.kept[name] = dict(tokens)
        self.writes.append(dict(tokens))

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        with self._locks.setdefault(name, threading.Lock()):
            yield
