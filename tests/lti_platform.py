"""An LTI platform for tests: keys of its own, logins, messages, tokens, rosters and registrations, over HTTP here.

It keeps what it is told: clients, nonces and states that were asked for, tokens that it gave. Its messages can be made
wrong in every way; what it refuses, a real platform does too.
"""

import html
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from oidc_provider import rsa_jwk, rsa_key

CLAIM = "https://purl.imsglobal.org/spec/lti/claim"
ROSTER = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
TOOL = "https://purl.imsglobal.org/spec/lti-tool-configuration"
GRADES = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
GRADE_SCOPES = [f"https://purl.imsglobal.org/spec/lti-ags/scope/{name}" for name in ("lineitem", "score")]
MEMBERS = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
COURSE_ROLE = "http://purl.imsglobal.org/vocab/lis/v2/membership#{}"
INSTITUTION_ROLE = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#{}"
PAGE = 2
"""Members on one page of a roster."""


STORAGE = """<script>
const stored = {};
addEventListener("message", ({data, origin, source}) => {
    const {subject, message_id, key, value} = data;
    if (subject === "lti.put_data") stored[key] = value;
    source.postMessage({subject: `${subject}.response`, message_id, key, value: stored[key]}, origin);
});
</script>"""
"""A platform's storage for what it frames: https://www.imsglobal.org/spec/lti-pm-s/v0p1."""


@dataclass
class User:
    """Somebody on the platform, and what they are in each of their courses."""

    id: str
    name: str
    email: str
    idnumber: str = ""
    courses: dict[str, str] = field(default_factory=dict)
    """`Learner` or `Instructor` by course id."""


class FakePlatform:
    """What a test says to it, and what it was asked."""

    def __init__(self, host: str, port: int) -> None:
        self.url = f"http://{host}:{port}"
        self.keys: list[dict[str, Any]] = [rsa_jwk("first", alg="RS256")]
        self.users: dict[str, User] = {}
        self.courses: dict[str, str] = {}
        self.clients: dict[str, dict[str, Any]] = {}
        self.tokens: set[str] = set()
        self.registration_tokens: set[str] = set()
        self.tool_keys: Callable[[], dict[str, Any]] = lambda: {"keys": []}
        self.asked: list[str] = []
        self.roster_status = 200
        self.columns: dict[str, dict[str, Any]] = {}
        self.grades: dict[tuple[str, str], dict[str, Any]] = {}
        """By column and user, the last one."""
        self.configuration: dict[str, Any] = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "registration_endpoint": f"{self.url}/register",
            "https://purl.imsglobal.org/spec/lti-platform-configuration": {"product_family_code": "moodle"},
        }
        self.signed_in = ""
        """Whose browser it is that follows a login."""

    def add_user(self, number: str, name: str, email: str, **courses: str) -> User:
        made = User(number, name, email, courses={key.removeprefix("c"): role for key, role in courses.items()})
        self.users[number] = made
        return made

    def add_client(self, client_id: str = "tool", deployment: str = "1", redirect_uri: str = "") -> str:
        self.clients[client_id] = {"deployment": deployment, "redirect_uris": [redirect_uri] if redirect_uri else []}
        return client_id

    def claims(
        self, user: str, nonce: str, /, *, course: str | None, client: str = "tool", **more: Any
    ) -> dict[str, Any]:
        """Give what a message of a launch says; a claim that is None is left out."""
        person, now = self.users[user], int(time.time())
        roles = [INSTITUTION_ROLE.format("Person")]
        if course is not None:
            roles.append(COURSE_ROLE.format(person.courses[course]))
        usual: dict[str, Any] = {
            "iss": self.url,
            "aud": client,
            "sub": user,
            "nonce": nonce,
            "iat": now,
            "exp": now + 60,
            "name": person.name,
            "email": person.email,
            f"{CLAIM}/message_type": "LtiResourceLinkRequest",
            f"{CLAIM}/version": "1.3.0",
            f"{CLAIM}/deployment_id": self.clients.get(client, {}).get("deployment", "1"),
            f"{CLAIM}/target_link_uri": "http://127.0.0.1:8080/lti/launch",
            f"{CLAIM}/resource_link": {"id": "link-1"},
            f"{CLAIM}/roles": roles,
            f"{CLAIM}/lis": {"person_sourcedid": person.idnumber} if person.idnumber else None,
            f"{CLAIM}/context": {"id": course, "title": self.courses[course]} if course is not None else None,
            ROSTER: {"context_memberships_url": f"{self.url}/members?course={course}"} if course is not None else None,
        }
        return {name: value for name, value in (usual | more).items() if value is not None}

    def sign(
        self,
        claims: dict[str, Any],
        *,
        key: Any = None,
        algorithm: str = "RS256",
        kid: str | None = "first",
        **more: Any,
    ) -> str:
        """Sign a message; `more` stands in its header."""
        headers = more if kid is None else {"kid": kid, **more}
        return jwt.encode(claims, rsa_key() if key is None else key, algorithm=algorithm, headers=headers)

    # --- what it answers ----------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes, token: str) -> tuple[int, Any, dict]:
        match method, path:
            case "GET", "/jwks":
                return 200, {"keys": self.keys}, {}
            case "GET", "/openid-configuration":
                return 200, self.configuration, {}
            case "POST", "/register":
                return self._register(json.loads(body), token)
            case "POST", "/token":
                return self._token({name: values[0] for name, values in parse_qs(body.decode()).items()})
            case "GET", "/members":
                return self._members(query, token)
            case (("GET" | "POST"), "/columns"):
                return self._columns(method, body, token)
            case "POST", _ if path.startswith("/columns/"):
                return self._grade(path.split("/")[2], json.loads(body), token)
            case "GET", "/auth":
                return self._auth(query)
            case "GET", "/course":
                return self._course(query)
            case "POST", "/links":
                return 200, parse_qs(body.decode()), {}
            case _:
                return 404, {}, {}

    def _register(self, asked: dict[str, Any], token: str) -> tuple[int, Any, dict]:
        if token not in self.registration_tokens:
            return 401, {"error": "invalid_token"}, {}
        self.registration_tokens.remove(token)  # good once, as Moodle's
        client = f"client-{uuid.uuid4()}"
        self.clients[client] = {"deployment": "7", "redirect_uris": asked["redirect_uris"], "asked": asked}
        return 200, asked | {"client_id": client, TOOL: asked[TOOL] | {"deployment_id": "7"}}, {}

    def _token(self, form: dict[str, str]) -> tuple[int, Any, dict]:
        try:
            assertion = form["client_assertion"]
            kid = jwt.get_unverified_header(assertion)["kid"]
            [key] = [jwt.PyJWK(one) for one in self.tool_keys()["keys"] if one["kid"] == kid]
            claims = jwt.decode(assertion, key.key, algorithms=["RS256"], audience=f"{self.url}/token")
            assert claims["iss"] == claims["sub"] in self.clients
            assert set(form["scope"].split()) <= {MEMBERS, *GRADE_SCOPES}
        except Exception as err:  # noqa: BLE001 - whatever is wrong with it
            return 400, {"error": "invalid_client", "why": str(err)}, {}
        token = f"{claims['sub']} {uuid.uuid4()}"
        self.tokens.add(token)
        return 200, {"access_token": token, "expires_in": 3600, "token_type": "Bearer", "scope": MEMBERS}, {}

    def _members(self, query: dict[str, str], token: str) -> tuple[int, Any, dict]:
        if token not in self.tokens:
            return 401, {"error": "invalid_token"}, {}
        if self.roster_status != 200:
            return self.roster_status, {}, {}
        course, start = query["course"], int(query.get("from", 0))
        everyone = [user for user in self.users.values() if course in user.courses]
        members = [
            {"user_id": user.id, "name": user.name, "email": user.email, "status": "Active"}
            | {"roles": [COURSE_ROLE.format(user.courses[course])], "lis_person_sourcedid": user.idnumber}
            for user in everyone[start : start + PAGE]
        ]
        more = {"course": course, "from": start + PAGE}
        link = {"Link": f'<{self.url}/members?{urlencode(more)}>; rel="next"'} if start + PAGE < len(everyone) else {}
        return 200, {"id": self.url, "context": {"id": course}, "members": members}, link

    def _columns(self, method: str, body: bytes, token: str) -> tuple[int, Any, dict]:
        if token not in self.tokens:
            return 401, {}, {}
        if method == "POST":
            made = json.loads(body)
            number = str(len(self.columns) + 1)
            self.columns[number] = made | {"id": f"{self.url}/columns/{number}"}
            return 201, self.columns[number], {}
        return 200, list(self.columns.values()), {}

    def _grade(self, column: str, grade: dict[str, Any], token: str) -> tuple[int, Any, dict]:
        if token not in self.tokens:
            return 401, {}, {}
        roles = self.users[grade["userId"]].courses.values()
        if "Instructor" in roles or not 0 <= grade["scoreGiven"] <= grade["scoreMaximum"]:
            return 400, {}, {}  # as Moodle does of teachers
        self.grades[column, grade["userId"]] = grade
        return 204, "", {}

    def _auth(self, query: dict[str, str]) -> tuple[int, Any, dict]:
        client = self.clients.get(query.get("client_id", ""))
        if client is None or query.get("redirect_uri") not in client["redirect_uris"]:
            return 400, "unknown client or redirect_uri", {}
        user, course = query["login_hint"], query["lti_message_hint"]
        if user != self.signed_in:
            return 403, "somebody else is signed in", {}
        target = {f"{CLAIM}/target_link_uri": query["redirect_uri"]}
        claims = self.claims(user, query["nonce"], course=course, client=query["client_id"], **target)
        fields = {"id_token": self.sign(claims), "state": query["state"]}
        return 200, _form(query["redirect_uri"], fields, "post", "_self"), {}

    def _course(self, query: dict[str, str]) -> tuple[int, Any, dict]:
        """Give the page of a course, with us in a frame or behind a button."""
        self.signed_in = query["user"]
        client = query["client"]
        target = self.clients[client]["redirect_uris"][0]
        fields = {
            "iss": self.url,
            "client_id": client,
            "login_hint": query["user"],
            "lti_message_hint": query["course"],
            "target_link_uri": target,
            "lti_deployment_id": self.clients[client]["deployment"],
        }
        frame = query.get("target", "_self")
        if frame == "tool" and query.get("storage"):
            fields["lti_storage_target"] = "_parent"
        shown = f'<iframe name="{frame}" title="tool" width="100%" height="900"></iframe>' if frame == "tool" else ""
        return 200, STORAGE + shown + _form(target.replace("/launch", "/login"), fields, "get", frame), {}


def _form(action: str, fields: dict[str, str], method: str, target: str) -> str:
    inputs = "".join(
        f'<input type="hidden" name="{name}" value="{html.escape(value)}">' for name, value in fields.items()
    )
    form = f'<form method="{method}" action="{html.escape(action)}" target="{target}">{inputs}</form>'
    return f"<!doctype html><title>A course</title>{form}<script>document.forms[0].submit()</script>"


@contextmanager
def fake_platform(host: str = "127.0.0.1") -> Iterator[FakePlatform]:
    """Run a platform in a thread; as `localhost` it is another site than we are, to browsers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            parts = urlsplit(self.path)
            platform.asked.append(f"{method} {parts.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            status, content, headers = platform.answer(method, parts.path, query, body, token)
            kind = "text/html; charset=utf-8" if isinstance(content, str) else "application/json"
            sent = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(sent)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    platform = FakePlatform(host, server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield platform
    server.shutdown()
    thread.join()
    server.server_close()
