"""Moodle's web services over REST: forms in, JSON out, and errors that come with HTTP 200.

https://docs.moodle.org/dev/Web_services and Moodle's own webservice/rest/locallib.php. Three traps are seen to here:
- an error is an object with `exception` and `errorcode`, whatever the HTTP status says;
- PHP drops the form fields beyond `max_input_vars` in silence, so a call with many is not made;
- an answer may be a page of a proxy, of maintenance, or half of what was sent.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import msgspec
import requests

from connectors.errors import DestinationRefused, DestinationUnavailable, SourceBroken, SourceRefused, SourceUnavailable
from connectors.reach import Reach
from connectors.secrets import SecretName
from connectors.sources.authentications import Nobody
from connectors.sources.calls import ATTEMPTS, Caller, System, host_and_port
from connectors.sources.quota import Limits

SERVER = "webservice/rest/server.php"
MOST_FIELDS = 900
"""PHP takes 1,000 fields of a form by default (max_input_vars), the token and three others among them."""
_TOKEN = "Make one under Site administration > Server > Web services > Manage tokens, and store it under"  # noqa: S105 - no secret
REMEDIES: Mapping[str, str] = {
    "invalidtoken": f"The token is not valid there, or not any more. {_TOKEN} the secret's name.",
    "accessexception": (
        "The token has no right to this function: add it to the token's service, give the account of the token the "
        "capability webservice/rest:use, and look at the token's end date and IP restriction."
    ),
    "nopermissions": "Give the role of the token's account the capability that is named.",
    "wsaccessusersuspended": "The token's account is suspended there. Activate it, or make a token for another one.",
    "wsaccessuserdeleted": "The token's account was deleted there. Make a token for another one.",
    "wsaccessuserunconfirmed": "Confirm the token's account there.",
    "wsaccessuserexpired": "The password of the token's account has expired there. Renew it.",
    "wsaccessusernologin": "The token's account may not log in there (authentication `nologin`). Change that.",
    "forcepasswordchangenotice": "The token's account must change its password there first.",
    "usernotfullysetup": "Log in there once as the token's account and fill in its profile.",
    "sitepolicynotagreed": "Log in there once as the token's account and agree to the site's policy.",
    "servicenotavailable": "Enable the token's service under Site administration > Server > Web services.",
    "nocriteriaset": "The course has no completion criteria.",
    "invalidparameter": "This Moodle, or its plugin lrs-bridge, is of a version that does not fit. Update the plugin.",
    "invalidresponse": "This Moodle, or its plugin lrs-bridge, is of a version that does not fit. Update the plugin.",
}
"""What to do about errors that an admin there has to see to."""
_PASSING = frozenset({"sitemaintenance", "upgraderunning", "locktimeout", "sessionwaiterr", "busy"})
"""What Moodle answers on purpose and not for long."""
_ON_PURPOSE = re.compile(r"(moodle|required_capability|invalid|webservice|restricted|dml_missing_record)\w*")
"""Exceptions that say no; any other is a failure within Moodle, such as a deadlock in its database."""
_NO_FUNCTION = "It has no function {}: install or update the plugin there, and its database with it."
_WEB_SERVICES_OFF = (
    "Enable web services (Site administration > Advanced features) and the REST protocol (Server > Web services > "
    "Manage protocols) there."
)


@dataclass(frozen=True, slots=True)
class Site:
    """A Moodle, as a document names it."""

    url: str
    """Its wwwroot."""
    token: SecretName
    allow_private: frozenset[str] = frozenset()
    """The host, if it may have a private address."""

    @property
    def server(self) -> str:
        """The address that is called."""
        return f"{self.url.rstrip('/')}/{SERVER}"


class _Problem(msgspec.Struct):
    """An error as REST gives it; `debuginfo` is for developers and may hold data, so it is not read."""

    exception: str
    errorcode: str = ""
    message: str = ""


class Calls(AbstractContextManager["Calls"]):
    """Calls functions of one site; a context manager that closes its connections.

    All that is called may be called twice: what stops half-way is tried again, `attempts` times in all within seconds.
    """

    def __init__(self, site: Site, reach: Reach, *, attempts: int = ATTEMPTS) -> None:
        self._site = site
        host = host_and_port(urlsplit(site.url))
        system = System(site.url, frozenset({host}), site.allow_private, Nobody(), {}, Limits())
        self._caller = Caller(system, reach, attempts=attempts)

    def __enter__(self) -> Self:
        """Begin; nothing is opened yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections, and blank the token in whatever went wrong."""
        self._caller.__exit__(kind, error, trace)

    def call(self, function: str, **parameters: Any) -> Any:  # noqa: ANN401 - each function has its own
        """Give what a function answers; lists and mappings are parameters too. Raises DestinationError."""
        body = form(parameters)
        with _told(self._caller, self._site):
            token = self._caller.surroundings().value(self._site.token)
            head = urlencode({"wstoken": token, "wsfunction": function, "moodlewsrestformat": "json"})
            # The token first: of a form that is cut, the end is missing.
            return self._caller.patiently(
                "POST",
                self._site.server,
                {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
                f"{head}&{body}".encode() if body else head.encode(),
                lambda _url, told, headers: self._read(function, told, headers),
            )

    def _read(self, function: str, told: bytes, headers: Mapping[str, str]) -> Any:  # noqa: ANN401
        answer = _decoded(self._site, told, headers)
        if not isinstance(answer, dict) or "exception" not in answer:
            return answer
        problem = msgspec.convert(answer, _Problem, strict=False)
        said = self._caller.hidden.hide(f"{problem.message} ({problem.errorcode})")
        what = f"{self._site.url} answered to {function}: {said}"
        if problem.errorcode == "invalidrecord" and "external_functions" in problem.message:
            raise SourceRefused(f"{what}. {_NO_FUNCTION.format(function)}")
        if not _ON_PURPOSE.match(problem.exception.rpartition("\\")[2]) or problem.errorcode in _PASSING:
            raise SourceUnavailable(what)
        remedy = REMEDIES.get(problem.errorcode)
        raise SourceRefused(f"{what}. {remedy}" if remedy else what)


def form(parameters: Mapping[str, Any]) -> str:
    """Write parameters as PHP reads them, `options[0][name]=x`; raises ValueError when they are too many for it."""
    fields = list(_fields(parameters))
    if len(fields) > MOST_FIELDS:
        raise ValueError(f"{len(fields)} form fields are more than {MOST_FIELDS}: PHP may drop some. Call in pieces.")
    return urlencode(fields)


def _fields(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _fields(inner, f"{name}[{key}]" if name else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, inner in enumerate(value):
            yield from _fields(inner, f"{name}[{place}]")
    elif value is not None:
        yield name, str(int(value)) if isinstance(value, bool) else str(value)


def _decoded(site: Site, told: bytes, headers: Mapping[str, str]) -> Any:  # noqa: ANN401
    try:
        return msgspec.json.decode(told)
    except (msgspec.MsgspecError, ValueError, RecursionError) as err:
        kind = headers.get("Content-Type", "something").partition(";")[0].strip()
        if "json" in kind:
            raise SourceUnavailable(f"{site.url} answered with JSON that stops half-way or is broken.") from err
        # It may be a page that stands in for Moodle for a while, so it is worth another try.
        what = f"{site.url} answered with {kind}, not with JSON."
        remedy = "Check `url`; a page to log in, of maintenance, or of a proxy before it looks like this too."
        raise SourceUnavailable(f"{what} {remedy}") from err


@contextmanager
def _told(caller: Caller, site: Site) -> Iterator[None]:
    """Give errors as those of a destination, without the token."""
    try:
        yield
    except SourceUnavailable as err:
        raise DestinationUnavailable(caller.told(str(err)), retry_after=err.retry_after) from err
    except SourceRefused as err:
        more = f" {_WEB_SERVICES_OFF}" if err.status == requests.codes.forbidden else ""
        raise DestinationRefused(caller.told(f"{err}{more}"), status=err.status) from err
    except SourceBroken as err:
        raise DestinationUnavailable(caller.told(f"{site.url}: {err}")) from err
