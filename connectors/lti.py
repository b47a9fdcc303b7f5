"""What is said between a learning platform and us as its tool: LTI 1.3 launches, rosters, deep links, registration.

https://www.imsglobal.org/spec/lti/v1p3, https://www.imsglobal.org/spec/security/v1p0 (security framework),
https://www.imsglobal.org/spec/lti-nrps/v2p0 (names and roles), https://www.imsglobal.org/spec/lti-dr/v1p0.

By pylti1p3next, which reads messages and speaks to services. What it leaves to the tool is done here: of a launch the
audience, `azp`, issuer, times and signature (RS256 alone) are checked before anything that it says is believed; the
state and the nonce are those of this one login, which whoever calls keeps and gives once; and tokens of one client are
never used for another of the same issuer (all of Canvas is one issuer).
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, cast
from urllib.parse import urlsplit

import jwt
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pylti1p3.assignments_grades import AssignmentsGradesService
from pylti1p3.cookie import CookieService
from pylti1p3.deep_link import DeepLink
from pylti1p3.deep_link_resource import DeepLinkResource
from pylti1p3.deployment import Deployment
from pylti1p3.dynamic_registration import DynamicRegistration
from pylti1p3.exception import LtiException, LtiInvalidNonceException, LtiServiceException, OIDCException
from pylti1p3.grade import Grade
from pylti1p3.lineitem import LineItem
from pylti1p3.message_launch import MessageLaunch
from pylti1p3.names_roles import NamesRolesProvisioningService
from pylti1p3.oidc_login import OIDCLogin
from pylti1p3.redirect import Redirect
from pylti1p3.registration import Registration
from pylti1p3.request import Request
from pylti1p3.roles import AbstractRole, TeacherRole
from pylti1p3.service_connector import ServiceConnector
from pylti1p3.session import SessionService
from pylti1p3.tool_config.abstract import ToolConfAbstract

from connectors import http
from connectors.errors import ConnectorError, SourceBroken, SourceRefused, SourceUnavailable
from connectors.keys import KeySets

ALGORITHMS = ("RS256",)
"""What the security framework, section 5.1.4, asks of every platform."""
LEEWAY_SECONDS = 30
"""Clocks differ."""
OLDEST_SECONDS = 600
"""A message is read within seconds after it was made; the login that it answers lasts no longer either."""
LONGEST_TOKEN = 64 * 1024
"""Characters of a message; those of Moodle have some 3,000."""
MOST_PAGES = 500
"""Of a roster; a platform that never ends one is not followed for ever."""
KEY_BITS = 2048
_UNSIGNED = "it is not signed by any of the platform's keys. The address of its keys is shown by `lrs-bridge lti show`."

_CLAIM = "https://purl.imsglobal.org/spec/lti/claim"
_ROSTER = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
_GRADES = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
_DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
_TOOL = "https://purl.imsglobal.org/spec/lti-tool-configuration"
_PLATFORM = "https://purl.imsglobal.org/spec/lti-platform-configuration"
SCOPES = ("https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly",)
"""What we ask a platform for: who is in a course, and nothing else."""
GRADE_SCOPES = (
    "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem",
    "https://purl.imsglobal.org/spec/lti-ags/scope/score",
)
"""What we ask for beside it where an administrator wants scores in gradebooks."""
PLACES = ("course_navigation", "account_navigation", "user_navigation")
"""Where Canvas may show us: doc/api/navigation_tools.md."""


class LaunchRefused(ConnectorError):
    """A login or launch that is not believed; the message says why, without repeating what was sent."""


class Role(StrEnum):
    """What a person is where they come from."""

    LEARNER = "learner"
    TEACHER = "teacher"
    """Of the course that the launch comes from."""
    ADMINISTRATOR = "administrator"
    """Of the whole platform, outside of any course."""


class Message(StrEnum):
    """The messages that we read."""

    RESOURCE = "LtiResourceLinkRequest"
    DEEP_LINKING = "LtiDeepLinkingRequest"


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """A platform as it was registered."""

    issuer: str
    client_id: str
    auth_url: str
    token_url: str
    jwks_url: str
    deployments: frozenset[str] = frozenset()
    token_audience: str | None = None
    """What a request for a token names as its audience; None: the token URL."""
    private_hosts: frozenset[str] = frozenset()
    """Hosts that may have private addresses: an administrator named them, where all else is the platform's word."""


@dataclass(frozen=True, slots=True)
class ToolKey:
    """A key pair of ours, as PEM."""

    public: str
    private: str = field(repr=False)

    @property
    def kid(self) -> str:
        """Name the key: its thumbprint (RFC 7638)."""
        return str(jwk(self.public)["kid"])


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A launch that is believed."""

    claims: Mapping[str, Any]

    @property
    def message(self) -> Message:
        """Give what the platform wants."""
        return Message(self.claims[f"{_CLAIM}/message_type"])

    @property
    def deployment(self) -> str:
        """Give where on the platform we were put."""
        return str(self.claims[f"{_CLAIM}/deployment_id"])

    @property
    def subject(self) -> str:
        """Give the person's id there."""
        return str(self.claims["sub"])

    @property
    def target(self) -> str:
        """Give the address of ours that is wanted."""
        return text(self.claims.get(f"{_CLAIM}/target_link_uri")) or ""

    @cached_property
    def role(self) -> Role:
        """Give what the person is; roles outside of the course count for nothing within one.

        Canvas names somebody's roles in the institution in courses too where they are learners.
        """
        if self.context_id is not None:
            return Role.TEACHER if _teaches(self.claims) else Role.LEARNER
        return Role.ADMINISTRATOR if _holds(_Administrator, self.claims) else Role.LEARNER

    @property
    def name(self) -> str | None:
        """Give the person's name."""
        parts = [text(self.claims.get(key)) for key in ("given_name", "family_name")]
        return text(self.claims.get("name")) or " ".join(part for part in parts if part) or None

    @property
    def email(self) -> str | None:
        """Give the person's mail address."""
        return text(self.claims.get("email"))

    @property
    def employee(self) -> str | None:
        """Give the number that the institution knows the person by: Moodle's idnumber, Canvas's SIS id."""
        return text(self._of("lis").get("person_sourcedid"))

    @property
    def context_id(self) -> str | None:
        """Give the course's id there; None outside of any."""
        return text(self._of("context").get("id"))

    @property
    def context_title(self) -> str | None:
        """Give what the course is called."""
        return text(self._of("context").get("title"))

    @property
    def resource_link(self) -> str | None:
        """Give the id of the link that was followed."""
        return text(self._of("resource_link").get("id"))

    @property
    def custom(self) -> dict[str, str]:
        """Give the custom parameters; an unresolved variable (`$...`) is none."""
        return _custom(self.claims)

    @property
    def members_url(self) -> str | None:
        """Give where the course's roster is."""
        service = self.claims.get(_ROSTER)
        return text(service.get("context_memberships_url")) if isinstance(service, Mapping) else None

    @property
    def grades(self) -> dict[str, Any] | None:
        """Give where the course's gradebook is, if we may put columns and scores into it."""
        found = self.claims.get(_GRADES)
        if not isinstance(found, Mapping) or text(found.get("lineitems")) is None:
            return None
        scopes = found.get("scope")
        allowed = isinstance(scopes, list) and set(GRADE_SCOPES) <= set(scopes)
        return {"lineitems": found["lineitems"], "scope": list(GRADE_SCOPES)} if allowed else None

    @property
    def deep_linking(self) -> dict[str, Any]:
        """Give what the platform says of the links that it wants."""
        found = self.claims.get(_DEEP_LINKING)
        return dict(found) if isinstance(found, Mapping) else {}

    def _of(self, name: str) -> Mapping[str, Any]:
        found = self.claims.get(f"{_CLAIM}/{name}")
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a course's roster."""

    user: str
    name: str | None
    email: str | None
    employee: str | None
    custom: Mapping[str, str]
    told: Mapping[str, Any] = field(repr=False)
    """The row as the platform sent it."""


# --- launches ---------------------------------------------------------------------------------------------------------


def login_address(
    platform: Platform, *, state: str, nonce: str, redirect_uri: str, login_hint: str, message_hint: str | None
) -> str:
    """Give where to send a browser so that the platform launches it with this state and nonce.

    `state` begins with `state-`. Raises LaunchRefused when the platform has sent no login hint.
    """
    sent = {
        "iss": platform.issuer,
        "client_id": platform.client_id,
        "login_hint": login_hint,
        "lti_message_hint": message_hint or "",
    }
    login = _Login(_Request(sent), _Tool(platform), state=state, nonce=nonce)
    try:
        return login.address(redirect_uri)
    except OIDCException as err:
        raise LaunchRefused(f"The platform has sent no login that can be answered ({err}).") from err


def read_launch(platform: Platform, id_token: str, *, state: str, nonce: str, keys: KeySets) -> Launch:
    """Give what a platform's message says; raises LaunchRefused, and SourceUnavailable while its keys cannot be had.

    `state` is the one that the browser proved to be its own and `nonce` the login's: whoever calls has taken both away
    for good.
    """
    if len(id_token) > LONGEST_TOKEN:
        raise LaunchRefused("The platform's message is too long.")
    request = _Request({"id_token": id_token, "state": state})
    launch = _Launch(request, _Tool(platform), nonce=nonce, keys=keys)
    try:
        claims = launch.validate().get_launch_data()
        return _checked(Launch(claims=cast("Mapping[str, Any]", claims)), platform)
    except (LtiException, jwt.PyJWTError) as err:
        raise LaunchRefused(f"The platform's message is not valid: {_fault(err)}") from err
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as err:
        raise LaunchRefused("The platform's message is not what LTI 1.3 says.") from err


def _fault(error: Exception) -> str:
    """Say what is wrong with a message and who mends it; the libraries' words would do neither."""
    match error:
        case LtiInvalidNonceException():
            return "its nonce is that of another login. Open the page again from your course."
        case jwt.ExpiredSignatureError():
            return "it has expired. Open the page again; if that does not help, the clock here or of the LMS is wrong."
        case jwt.ImmatureSignatureError():
            return "it comes from the future: the clock here or of the LMS is wrong."
        case jwt.MissingRequiredClaimError():
            return f"it does not say {error.claim}."
        case jwt.InvalidSignatureError():
            return _UNSIGNED
        case _:
            return str(error)


def _checked(launch: Launch, platform: Platform) -> Launch:
    """Raise LaunchRefused for what the library lets pass."""
    claims = launch.claims
    authorised, issued = claims.get("azp"), claims["iat"]
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if authorised != platform.client_id and (several or authorised is not None):
        raise LaunchRefused("The platform's message was made for another tool (azp).")
    if issued < time.time() - OLDEST_SECONDS - LEEWAY_SECONDS:
        raise LaunchRefused("The platform's message is too old.")
    if launch.message not in Message:
        raise LaunchRefused("The platform's message is of a kind that is not read here.")
    if not launch.target:
        raise LaunchRefused("The platform's message does not say where it leads (target_link_uri).")
    if not isinstance(claims["sub"], str) or not text(claims["sub"]):
        raise LaunchRefused("The platform's message does not say who comes (sub).")
    return launch


def _fetch(url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Fetch a JSON object; raises SourceUnavailable and SourceRefused, and LaunchRefused for what is none."""
    if fault := http.url_fault(url):
        raise LaunchRefused(" ".join(fault))
    with http.session() as session, http.call(session, http.SOURCE, "GET", url, headers=headers or {}) as response:
        try:
            found = response.json()
        except ValueError as err:
            raise LaunchRefused(f"{http.shown(url)} answers no JSON.") from err
    if not isinstance(found, dict):
        raise LaunchRefused(f"{http.shown(url)} answers no JSON object.")
    return found


class _Request(Request):
    """What was sent, for the library."""

    def __init__(self, sent: Mapping[str, str]) -> None:
        self._sent = sent

    def get_param(self, key: str) -> str:
        return self._sent.get(key, "")

    def is_secure(self) -> bool:
        return True


class _Cookies(CookieService):
    """The browser has been proved before: the state is its own."""

    def __init__(self, state: str) -> None:
        self._state = state

    def get_cookie(self, name: str) -> str | None:
        return name if name == self._state else None

    def set_cookie(self, name: str, value: str | int, exp: int | None = 3600) -> None:
        pass


class _Session(SessionService):
    """Keeps nothing: the library's would take the same nonce, and the same message, again and again."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce

    def check_nonce(self, nonce: str) -> bool:
        return nonce == self._nonce

    def check_state_is_valid(self, state: str, id_token_hash: str) -> bool:  # noqa: ARG002 - the library's
        return False

    def save_nonce(self, nonce: str) -> None:
        pass

    def save_launch_data(self, key: str, jwt_body: Mapping[str, Any]) -> None:
        pass

    def set_state_valid(self, state: str, id_token_hash: str) -> None:
        pass


class _Tool(ToolConfAbstract[_Request]):
    """The one platform that the login was begun with."""

    def __init__(self, platform: Platform, key: ToolKey | None = None) -> None:
        self._platform, self._key = platform, key

    def check_iss_has_one_client(self, iss: str) -> bool:  # noqa: ARG002 - the library's
        return False

    def check_iss_has_many_clients(self, iss: str) -> bool:  # noqa: ARG002 - the library's
        return True

    def find_registration_by_issuer(self, iss: str, *_: object, **__: object) -> Registration:
        raise NotImplementedError

    def find_registration_by_params(self, iss: str, client_id: str, *_: object, **__: object) -> Registration:
        if (iss, client_id) != (self._platform.issuer, self._platform.client_id):
            raise LtiException(
                "it has another issuer or client id than its login. Compare your LMS's with `lrs-bridge lti list`."
            )
        return _registration(self._platform, self._key)

    def find_deployment(self, iss: str, deployment_id: str) -> Deployment | None:
        raise NotImplementedError

    def find_deployment_by_params(
        self,
        iss: str,  # noqa: ARG002 - the library's
        deployment_id: str,
        client_id: str,  # noqa: ARG002 - the library's
        *_: object,
        **__: object,
    ) -> Deployment | None:
        known = deployment_id in self._platform.deployments
        return Deployment().set_deployment_id(deployment_id) if known else None


class _Login(OIDCLogin[_Request, _Tool, _Session, _Cookies, str]):
    """The library's, with a state and nonce that somebody keeps."""

    def __init__(self, request: _Request, tool: _Tool, *, state: str, nonce: str) -> None:
        super().__init__(request, tool, session_service=_Session(nonce), cookie_service=_Cookies(state))
        self._state, self._nonce = state, nonce

    def address(self, redirect_uri: str) -> str:
        return self._prepare_redirect_url(redirect_uri)

    def get_redirect(self, url: str) -> Redirect[str]:
        raise NotImplementedError

    def _get_uuid(self) -> str:
        return self._state.removeprefix("state-")

    def _generate_nonce(self) -> str:
        return self._nonce


class _Launch(MessageLaunch[_Request, _Tool, _Session, _Cookies]):
    """The library's, with our keys and a signature check that looks at everything."""

    def __init__(self, request: _Request, tool: _Tool, *, nonce: str, keys: KeySets) -> None:
        cookies = _Cookies(request.get_param("state"))
        super().__init__(request, tool, session_service=_Session(nonce), cookie_service=cookies)
        self._keys = keys

    def get_client_id(self) -> str:
        named = self._get_jwt_body().get("aud")
        ours = self._tool_config._platform.client_id  # noqa: SLF001 - its own
        return ours if isinstance(named, list) and ours in named else str(named)

    def validate_jwt_signature(self) -> "_Launch":
        platform = self._tool_config._platform  # noqa: SLF001 - its own
        header = self._jwt["header"]
        if header.get("alg") not in ALGORITHMS:
            raise LtiException("it is not signed with RS256, as LTI 1.3 wants it.")
        named = header.get("kid")
        key = self._keys.find(platform.jwks_url, str(named), allow_private=platform.private_hosts)
        if key is None:
            raise LtiException(_UNSIGNED)
        claims = jwt.decode(
            self._get_id_token(),
            key.key,
            algorithms=list(ALGORITHMS),
            audience=platform.client_id,
            issuer=platform.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "aud", "exp", "iat", "nonce", "sub"]},
        )
        self._jwt["body"] = cast("Any", claims)  # what is read from here on is what was signed
        return self

    def validate_deployment(self) -> "_Launch":
        try:
            super().validate_deployment()
        except LtiException as err:
            raise LtiException(
                "its deployment id is not written down here. An administrator of lrs-bridge adds it with "
                "`lrs-bridge lti register --deployment`."
            ) from err
        return self

    def _get_request_param(self, key: str) -> str:
        return self._request.get_param(key)


class _Administrator(AbstractRole):
    _system_roles = ("Administrator", "SysAdmin")
    _institution_roles = ("Administrator", "SysAdmin")


def _holds(role: type[AbstractRole], claims: Mapping[str, Any]) -> bool:
    made: AbstractRole = role(claims)
    return made.check()


def _teaches(claims: Mapping[str, Any]) -> bool:
    """Tell whether somebody teaches the course; where no role in it is named, nobody does."""
    roles = claims.get(f"{_CLAIM}/roles") or []
    in_course = [one for one in roles if isinstance(one, str) and ("/membership" in one or "/" not in one)]
    return _holds(TeacherRole, {f"{_CLAIM}/roles": in_course})


def text(value: object) -> str | None:
    """Give a text that PostgreSQL can hold and people can read; None for anything else."""
    return value if isinstance(value, str) and value.strip() and value.isprintable() else None


def _custom(claims: Mapping[str, Any]) -> dict[str, str]:
    found = claims.get(f"{_CLAIM}/custom")
    given = found.items() if isinstance(found, Mapping) else ()
    return {str(name): str(value) for name, value in given if text(str(value)) and not str(value).startswith("$")}


# --- our keys and what we sign ----------------------------------------------------------------------------------------


def make_key() -> ToolKey:
    """Make a key pair."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    private = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = made.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return ToolKey(public.decode(), private.decode())


def jwk(public: str) -> dict[str, Any]:
    """Give a public key as platforms read it (RFC 7517)."""
    return dict(Registration.get_jwk(public))


def deep_link_answer(
    platform: Platform, key: ToolKey, deployment: str, settings: Mapping[str, Any], links: Sequence[tuple[str, str]]
) -> tuple[str, str]:
    """Give (address, signed message) that answers a request for links.

    `settings` is `Launch.deep_linking`, `links` are (title, address of ours). Raises LaunchRefused when the platform
    does not say where to.
    """
    address = text(settings.get("deep_link_return_url"))
    if address is None or http.url_fault(address):
        raise LaunchRefused("The platform does not say where to send the links (deep_link_return_url).")
    chosen = [DeepLinkResource().set_title(title).set_url(url) for title, url in links]
    answer = DeepLink(_registration(platform, key), deployment, cast("Any", settings))
    return address, answer.get_response_jwt(chosen)


def _registration(platform: Platform, key: ToolKey | None) -> Registration:
    made = Registration().set_issuer(platform.issuer).set_client_id(platform.client_id)
    made.set_auth_login_url(platform.auth_url).set_auth_token_url(platform.token_url)
    made.set_key_set_url(platform.jwks_url)
    if platform.token_audience:
        made.set_auth_audience(platform.token_audience)
    if key is not None:
        made.set_tool_private_key(key.private).set_tool_public_key(key.public)
    return made


# --- the roster -------------------------------------------------------------------------------------------------------


def members(platform: Platform, key: ToolKey, url: str, *, resource_link: str | None = None) -> list[Member]:
    """Give who is in a course: active members, each once.

    With `resource_link` each comes with the custom parameters that a launch of that link would have. Raises
    SourceUnavailable, SourceRefused and SourceBroken.
    """
    if resource_link is not None:
        from pylti1p3.utils import add_param_to_url

        url = add_param_to_url(url, "rlid", resource_link)
    found: dict[str, Member] = {}
    with http.bounded_session(platform.private_hosts) as session:
        service = NamesRolesProvisioningService(
            _Connector(_registration(platform, key), session), {"context_memberships_url": url}
        )
        for page in _pages(service, url):
            for told in page:
                if isinstance(told, Mapping) and told.get("status", "Active") == "Active" and text(told.get("user_id")):
                    found.setdefault(told["user_id"], _member(told))
    return list(found.values())


def _pages(service: NamesRolesProvisioningService, first: str) -> Iterable[Sequence[Any]]:
    """Give the pages, which must stay on the server that was named."""
    url: str | None = first
    seen = set[str]()
    while url is not None:
        if urlsplit(url)[:2] != urlsplit(first)[:2] or url in seen or len(seen) >= MOST_PAGES:
            raise SourceBroken("The platform's roster leads elsewhere, in circles or on for ever.")
        seen.add(url)
        with _asking("roster"):
            page, url = service.get_members_page(url)
        yield page


def _member(told: Mapping[str, Any]) -> Member:
    messages = told.get("message")
    listed = messages if isinstance(messages, list) else [messages]
    custom = [_custom(one) for one in listed if isinstance(one, Mapping)]
    return Member(
        user=str(told["user_id"]),
        name=text(told.get("name")),
        email=text(told.get("email")),
        employee=text(told.get("lis_person_sourcedid")),
        custom=custom[0] if custom else {},
        told=told,
    )


class _Connector(ServiceConnector):
    """The library's, which would give one client's token to another of the same issuer."""

    _tokens: dict[tuple[str, ...], tuple[str, float]] = {}  # noqa: RUF012 - for all of a process, on purpose

    def _get_cached_access_token(self, scope_key: str) -> str | None:
        token, expires = self._tokens.get(self._whose(scope_key), ("", 0.0))
        return token if expires > time.monotonic() else None

    def _cache_access_token(self, scope_key: str, access_token: str, expires_in: float) -> None:
        self._tokens[self._whose(scope_key)] = (access_token, time.monotonic() + float(expires_in) - LEEWAY_SECONDS)

    def _whose(self, scope_key: str) -> tuple[str, ...]:
        client, url = self._registration.get_client_id(), self._registration.get_auth_token_url()
        return str(client), str(url), str(self._registration.get_kid()), scope_key


# --- grades -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Score:
    """What somebody reached in a program, from 0 to 1."""

    user: str
    score: float
    completed: bool
    at: datetime


class Gradebook:
    """A column of a course's gradebook (Assignment and Grade Services 2.0), found by its tag or made."""

    MAXIMUM = 100

    def __init__(self, platform: Platform, key: ToolKey, service: Mapping[str, Any], *, tag: str, title: str) -> None:
        """Find the column or make it; `service` is `Launch.grades`. Raises SourceUnavailable and SourceRefused."""
        self._session = http.bounded_session(platform.private_hosts)
        connector = _Connector(_registration(platform, key), self._session)
        self._service = AssignmentsGradesService(connector, cast("Any", dict(service)))
        column = LineItem().set_tag(tag).set_label(title).set_score_maximum(self.MAXIMUM)
        with _asking("gradebook"):
            self._column = self._service.find_or_create_lineitem(column, find_by="tag")

    def put(self, score: Score) -> None:
        """Send a score; the same one again changes nothing. Raises SourceUnavailable and SourceRefused."""
        grade = Grade().set_user_id(score.user).set_timestamp(score.at.isoformat())
        grade.set_score_given(round(score.score * self.MAXIMUM, 2)).set_score_maximum(self.MAXIMUM)
        grade.set_activity_progress("Completed" if score.completed else "InProgress")
        grade.set_grading_progress("FullyGraded")
        with _asking("gradebook"):
            self._service.put_grade(grade, self._column)

    def close(self) -> None:
        """End the connections."""
        self._session.close()


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Turn what the library raises while it asks a platform's service into errors of ours."""
    try:
        yield
    except LtiServiceException as err:
        status = err.response.status_code
        if status in http.BUSY:
            raise SourceUnavailable(f"The platform's {what} does not answer now (HTTP {status}): try later.") from err
        raise SourceRefused(
            f"The platform's {what} refuses us (HTTP {status}). Let the tool use it there.", status=status
        ) from err
    except http.PrivateAddress as err:
        raise _not_named(err) from err
    except LtiException as err:
        raise SourceRefused(f"The platform's {what} cannot be used: {err}") from err
    except requests.JSONDecodeError as err:
        raise SourceBroken(f"The platform's {what} is no JSON.") from err
    except requests.RequestException as err:
        raise SourceUnavailable(f"The platform cannot be reached ({type(err).__name__}).") from err
    except (KeyError, TypeError, AttributeError, ValueError) as err:
        raise SourceBroken(f"The platform's {what}, or its answer with a token, is not what LTI says.") from err


def _not_named(error: http.PrivateAddress) -> SourceRefused:
    return SourceRefused(
        f"{error.what} Of a platform only the hosts of its issuer and home page may be elsewhere: an administrator of "
        "lrs-bridge named those."
    )


# --- registration -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tool:
    """What we say of ourselves."""

    url: str
    """Where we are, without a slash at the end."""
    title: str = "lrs-bridge"
    scopes: Sequence[str] = SCOPES
    description: str = "What people learned, whether they use it, and what to practise next."
    custom: Mapping[str, str] = field(
        default_factory=lambda: {
            "canvas_course_id": "$Canvas.course.id",
            "canvas_user_id": "$Canvas.user.id",
            "canvas_domain": "$Canvas.api.domain",
        }
    )
    """Variables that platforms fill in; those that they do not know are passed over."""

    @property
    def login(self) -> str:
        """Give where a login begins."""
        return f"{self.url}/lti/login"

    @property
    def launch(self) -> str:
        """Give where messages go, and what links lead to."""
        return f"{self.url}/lti/launch"

    @property
    def jwks(self) -> str:
        """Give where our keys are."""
        return f"{self.url}/lti/jwks"

    @property
    def icon(self) -> str:
        """Give our picture."""
        return f"{self.url}/static/icon.svg"


@dataclass(frozen=True, slots=True)
class Registered:
    """What came of a registration."""

    platform: Platform
    title: str
    family: str
    """`moodle`, `canvas` and so on."""


def register(tool: Tool, *, issuer: str, configuration_url: str, token: str | None) -> Registered:
    """Register ourselves with a platform (Dynamic Registration 1.0); `issuer` is the one that was invited.

    Everything must be on the issuer's own host, so that no invitation serves another platform, nor makes us call
    others. Raises LaunchRefused, SourceRefused and SourceUnavailable.
    """
    _on_host(configuration_url, issuer, "openid_configuration")
    flow = _Registering(tool, issuer, configuration_url, token)
    try:
        return cast("Registered", flow.register())  # what complete_registration gives, and not what the library says
    except LtiServiceException as err:
        raise LaunchRefused(f"The platform refused the registration (HTTP {err.response.status_code}).") from err
    except LtiException as err:
        raise LaunchRefused(f"The registration failed: {err}") from err
    except requests.RequestException as err:
        raise SourceUnavailable(f"The platform cannot be reached ({type(err).__name__}).") from err
    except (AssertionError, KeyError, TypeError, AttributeError, ValueError) as err:
        raise LaunchRefused("The platform's configuration is not what LTI Dynamic Registration says.") from err


def _on_host(url: object, issuer: str, what: str) -> str:
    if not isinstance(url, str) or http.url_fault(url) or urlsplit(url).hostname != urlsplit(issuer).hostname:
        raise LaunchRefused(f"{what} is not an https:// address on the invited platform's host.")
    return url


class _Registering(DynamicRegistration):
    """The library's, with an eye on whom we talk to."""

    def __init__(self, tool: Tool, issuer: str, configuration_url: str, token: str | None) -> None:
        self._tool, self._issuer, self._url, self._token = tool, issuer, configuration_url, token

    def get_request_session(self) -> requests.Session:
        return http.bounded_session({urlsplit(self._issuer).hostname or ""})

    def get_client_name(self) -> str:
        return self._tool.title

    def get_description(self) -> str:
        return self._tool.description

    def get_initiate_login_uri(self) -> str:
        return self._tool.login

    def get_jwks_uri(self) -> str:
        return self._tool.jwks

    def get_redirect_uris(self) -> list[str]:
        return [self._tool.launch]

    def get_scopes(self) -> list[str]:
        return list(self._tool.scopes)

    def get_domain(self) -> str:
        return urlsplit(self._tool.url).netloc

    def get_target_link_uri(self) -> str:
        return self._tool.launch

    def get_claims(self) -> list[str]:
        return ["iss", "sub", "name", "given_name", "family_name", "email"]

    def get_messages(self) -> list[dict[str, str]]:
        shown = {"target_link_uri": self._tool.launch, "label": self._tool.title}
        places = [f"https://canvas.instructure.com/lti/{place}" for place in PLACES]
        links: Any = {"type": Message.RESOURCE, **shown, "placements": places}  # a list, as the specification says
        return [{"type": Message.DEEP_LINKING, **shown}, links]

    def get_logo_uri(self) -> str:
        return self._tool.icon

    def lti_registration_data(self) -> dict[str, Any]:
        data = super().lti_registration_data()
        data[_TOOL]["custom_parameters"] = dict(self._tool.custom)
        return data

    def get_openid_configuration_endpoint(self) -> str:
        return self._url

    def get_registration_token(self) -> str:
        return cast("str", self._token)  # the library takes None, and says it does not

    def get_openid_configuration(self) -> dict[str, Any]:
        found = _fetch(self._url)
        if found.get("issuer") != self._issuer:
            raise LaunchRefused("The platform's configuration names another issuer than the one that was invited.")
        _on_host(found.get("registration_endpoint"), self._issuer, "registration_endpoint")
        return found

    def complete_registration(self, openid_configuration: Any, openid_registration: Any) -> Registered:  # noqa: ANN401 - JSON
        deployment = text(openid_registration[_TOOL].get("deployment_id"))
        family = text(openid_configuration[_PLATFORM].get("product_family_code")) or ""
        platform = Platform(
            issuer=self._issuer,
            client_id=_said(openid_registration, "client_id"),
            auth_url=_address(openid_configuration, "authorization_endpoint"),
            token_url=_address(openid_configuration, "token_endpoint"),
            jwks_url=_address(openid_configuration, "jwks_uri"),
            deployments=frozenset({deployment} if deployment else ()),
            token_audience=text(openid_configuration.get("authorization_server")),
        )
        return Registered(platform, f"{family or 'LTI platform'} at {urlsplit(self._issuer).netloc}", family)


def _said(told: Mapping[str, Any], key: str) -> str:
    if (found := text(told.get(key))) is None:
        raise LaunchRefused(f"The platform does not say {key}.")
    return found


def _address(told: Mapping[str, Any], key: str) -> str:
    found = _said(told, key)
    if http.url_fault(found):
        raise LaunchRefused(f"The platform's {key} is not an https:// address.")
    return found


def canvas_configuration(tool: Tool) -> dict[str, Any]:
    """Give what a developer key of Canvas is made from: doc/api/lti_dev_key_config.md."""
    placements = [
        {
            "placement": place,
            "message_type": Message.RESOURCE,
            "target_link_uri": tool.launch,
            "text": tool.title,
            **({"visibility": "admins"} if place == "account_navigation" else {}),
        }
        for place in PLACES
    ]
    placements.append(
        {"placement": "link_selection", "message_type": Message.DEEP_LINKING, "target_link_uri": tool.launch}
    )
    return {
        "title": tool.title,
        "description": tool.description,
        "oidc_initiation_url": tool.login,
        "target_link_uri": tool.launch,
        "public_jwk_url": tool.jwks,
        "scopes": list(tool.scopes),
        "extensions": [
            {
                "platform": "canvas.instructure.com",
                "domain": urlsplit(tool.url).netloc,
                "privacy_level": "public",
                "settings": {"platform": "canvas.instructure.com", "text": tool.title, "placements": placements},
            }
        ],
        "custom_fields": dict(tool.custom),
    }


def address_fault(address: str) -> str | None:
    """Say what is wrong with an address of a platform; None when nothing is."""
    fault = http.url_fault(address)
    return " ".join(fault) if fault else None
