"""`/api/v1`: what the commands tell and do, for other programs; the base that each resource hangs its routes on.

Whoever calls sends HTTP Basic with a credential (`bridge.access`): reading needs the scope `reports/read`, changing
`people/write`, or `programs/write` for programs; a narrowed credential sees what `bridge.views.seen` lets it. Every
error is a problem document (RFC 9457), also for a path or method that is not there. Lists come in pages: `items`, and
in `next` and the header `Link` the path of the page after this one, until there is none.

Each view says by `operation` what it takes and answers: that is what it is checked by and what `/api/v1/openapi.json`
tells.
"""

import base64
import json
import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import marshmallow
from flask import Blueprint, Response, current_app, g, request, url_for
from flask.blueprints import BlueprintSetupState
from sqlalchemy.exc import DataError, OperationalError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, Unauthorized, UnsupportedMediaType
from werkzeug.routing import Rule

from bridge import access
from bridge.errors import BridgeError, Busy, NotReady, UnknownName, ViewChanged
from bridge.errors import NotFound as NothingStored
from bridge.views import packing, seen
from lrs import db, settings

log = logging.getLogger(__name__)

PREFIX = "/api"
VERSION = "/v1"
"""What the `url_prefix` of each resource's blueprint begins with; `bridge.views` lists them."""

PAGE, LONGEST_PAGE = 100, 1000
LONGEST_CURSOR = 4096
DEEPEST = 100
"""Lists and objects in each other that are reported as too many, if the parser cannot follow them all."""
MOST_PLACES = 20
"""Faults of a body that are named."""
RETRY_AFTER_SECONDS = 5
"""A server that restarts is back by then."""

_CHANGING: Mapping[str, str] = {"api.programs": access.PROGRAMS}
"""Scope that changing needs, by blueprint, where it is not that for people."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
OPEN = frozenset({"api.openapi.show"})
"""What describes the resources and holds no data: open to all, so that other programs' tools can read it."""
_NOWHERE = "api.unknown"
"""Where every path leads that is no resource; it answers 404, whatever the scopes."""
_STATUS: Mapping[type[BridgeError], int] = {
    UnknownName: 404,
    NothingStored: 404,
    Busy: 409,
    ViewChanged: 410,
    NotReady: 503,
}
"""Any other error of ours says that the request cannot be worked with."""

_OPERATION = "operation"
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_HALVES = re.compile("[\ud800-\udfff]")
_HALF = "Half of a surrogate pair (\\ud800 to \\udfff alone) is no character and cannot be stored."

Item = TypeVar("Item")
View = TypeVar("View", bound=Callable[..., Any])
Shape = type[marshmallow.Schema] | Mapping[str, Any]
"""A schema, or a JSON Schema where somebody else than marshmallow checks."""


class Forbidden(HTTPException):
    """Known, but not allowed; names the scope that would do."""

    code = 403

    def __init__(self, description: str, scope: str) -> None:
        super().__init__(description)
        self.scope = scope


class Closed(HTTPException):
    """Known, and of the right scope, but a narrowed credential, which sees less than is here."""

    code = 403


class Malformed(HTTPException):
    """A query or body that says something else than it should; names each place."""

    code = 400

    def __init__(self, description: str, errors: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(description)
        self.errors = errors


class Conflict(Malformed):
    """Understood, and against the state that things are in; names each place, if there are any."""

    code = 409


class TooMany(HTTPException):
    """Faster than agreed."""

    code = 429

    def __init__(self, description: str, retry_after_seconds: int) -> None:
        super().__init__(description)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Operation:
    """What a view takes and answers."""

    summary: str
    answers: Shape
    query: type[marshmallow.Schema]
    body: Shape | None
    errors: tuple[int, ...]
    """Beside those that every operation has."""


def operation(
    summary: str,
    *,
    answers: Shape,
    query: type[marshmallow.Schema] = marshmallow.Schema,
    body: Shape | None = None,
    errors: Sequence[int] = (),
) -> Callable[[View], View]:
    """Say what a view takes and answers; without `query` it takes no parameters."""

    def say(view: View) -> View:
        setattr(view, _OPERATION, Operation(summary, answers, query, body, tuple(errors)))
        return view

    return say


def described(view: Callable[..., Any]) -> Operation | None:
    """Give what a view said of itself by `operation`."""
    found: Operation | None = getattr(view, _OPERATION, None)
    return found


def _here() -> Operation:
    found = described(current_app.view_functions[str(request.endpoint)])
    if found is None:
        raise LookupError(f"{request.endpoint} does not say by `operation` what it takes")
    return found


def blueprint(resources: Iterable[Blueprint]) -> Blueprint:
    """Make the blueprint that holds these resources: each admits whom this module admits, and fails as it says."""
    made = Blueprint("api", __name__, url_prefix=PREFIX)
    made.before_request(_admit)
    made.after_request(packing.pack)
    made.register_error_handler(HTTPException, _refuse)
    made.register_error_handler(BridgeError, _refuse_ours)
    made.register_error_handler(OperationalError, _tell_that_the_database_is_away)
    made.register_error_handler(DataError, _refuse_what_no_column_holds)
    made.register_error_handler(Exception, _tell_of_a_fault)
    for resource in resources:
        made.register_blueprint(resource)
    made.record(_catch_the_rest)
    return made


def _catch_the_rest(state: BlueprintSetupState) -> None:
    """Lead every other path and method here too, so that they are admitted and refused alike."""
    # Not by add_url_rule: a rule of Flask's has a list of methods, and those that it does not have pass us by.
    state.app.view_functions[_NOWHERE] = _unknown
    state.app.url_map.add(Rule(f"{PREFIX}/", endpoint=_NOWHERE, defaults={"path": ""}))
    state.app.url_map.add(Rule(f"{PREFIX}/<path:path>", endpoint=_NOWHERE))


# --- who calls ------------------------------------------------------------------------------------------------------


def _admit() -> None:
    """Find out who calls, as `g.grant`, and whether they may."""
    if request.endpoint in OPEN and request.method in ("GET", "HEAD"):
        return
    sent = request.authorization if request.headers.get("Authorization", "").isascii() else None
    if sent is None or sent.type != "basic" or sent.username is None or sent.password is None:
        raise Unauthorized(
            "No credential was sent. Send HTTP Basic with a key and secret that `lrs-bridge credential create` printed."
        )
    grant = access.granted(db.session, sent.username, sent.password)
    if grant is None:
        raise Unauthorized("This credential is not known, or revoked.")
    db.session.commit()
    g.grant = grant
    _slow_down()
    scope = access.REPORTS if request.method in _READING else changing(request.blueprint or "")
    if request.endpoint != _NOWHERE and not grant.allows(scope):
        raise Forbidden(
            f"The credential {grant.name!r} may not {request.method} {request.path}: it lacks the scope {scope}. "
            f"`lrs-bridge credential change {grant.key} --scope ...` gives it other scopes.",
            scope,
        )
    closed = seen.find_out(grant.key)
    if request.endpoint != _NOWHERE and closed is not None:
        raise Closed(closed)
    _check_query()
    if request.method == "OPTIONS":  # Flask would answer it by itself
        _refuse_method()


def changing(blueprint: str) -> str:
    """Give the scope that changing by this blueprint's views needs."""
    return _CHANGING.get(blueprint, access.PEOPLE)


def _slow_down() -> None:
    limit, grant = settings.current().limit, g.grant
    if grant.requests_per_minute is None or limit is None:
        return
    seconds = limit(grant.id, grant.requests_per_minute)
    if seconds > 0:
        raise TooMany(
            f"The credential {grant.name!r} has used up its {grant.requests_per_minute} requests a minute.",
            math.ceil(seconds),
        )


def _check_query() -> None:
    """Refuse what no text in the database can equal, before it is asked."""
    try:
        query, path = unquote_to_bytes(request.query_string).decode(), request.path
    except UnicodeDecodeError:
        raise Malformed("The query is not UTF-8. Encode each value, as a URL library does.") from None
    if "\0" in query + path:
        raise Malformed("A NUL character (%00) stands in the address; nothing that is stored has one.")


# --- what is asked, and answers -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """The part of a list that is asked for."""

    after: Any
    """What `position` (see `answer_page`) gave for the last item of the page before; None for the first page."""
    limit: int


def query() -> dict[str, Any]:
    """Read the query as the view's `operation` has it; another parameter, or one that comes twice, is an error."""
    schema = _here().query()
    twice = sorted(name for name, values in request.args.lists() if len(values) > 1)
    if twice:
        raise Malformed(
            "A parameter stands twice in the query.", [{"detail": "Send it once.", "parameter": name} for name in twice]
        )
    try:
        return dict(schema.load(request.args.to_dict(), unknown=marshmallow.RAISE))
    except marshmallow.ValidationError as error:
        places = [{"detail": text, "parameter": pointer[1:]} for pointer, text in _faults(error.messages)]
        raise Malformed("The query is not as it should be.", places) from error


def document() -> dict[str, Any]:
    """Read the JSON body as an object of any keys, for whoever checks it by rules of their own."""
    sent = _sent()
    if not isinstance(sent, dict):
        raise Malformed("The body is no JSON object.", [{"detail": "Send an object.", "pointer": ""}])
    return sent


def body() -> dict[str, Any]:
    """Read the JSON body as the view's `operation` has it; another key is an error."""
    shape = _here().body
    schema = shape() if isinstance(shape, type) else marshmallow.Schema()
    sent = _sent()
    try:
        return dict(schema.load(sent, unknown=marshmallow.RAISE))
    except marshmallow.ValidationError as error:
        places = [{"detail": text, "pointer": pointer} for pointer, text in _faults(error.messages)]
        raise Malformed("The body is not as it should be.", places) from error


def _sent() -> Any:  # noqa: ANN401 - any JSON
    if not request.is_json:
        raise UnsupportedMediaType("The body is not said to be JSON. Send JSON with `Content-Type: application/json`.")
    return _json(request.get_data())


class PageQuery(marshmallow.Schema):
    """The parameters of a list; a resource with filters adds its own to a subclass."""

    after = marshmallow.fields.String()
    limit = marshmallow.fields.Integer(load_default=PAGE, validate=marshmallow.validate.Range(1, LONGEST_PAGE))


def page(asked: Mapping[str, Any], *, fits: Callable[[Any], bool]) -> Page:
    """Give the page that a query read by `PageQuery` asks for; `fits` tells a position of this list from others."""
    cursor = asked.get("after")
    return Page(None if cursor is None else _position(cursor, fits), asked["limit"])


def answer_page(
    found: Sequence[Item],
    asked: Page,
    *,
    row: Callable[[Item], Any],
    position: Callable[[Item], Any],
    about: Mapping[str, Any] | None = None,
) -> Response:
    """Answer a page of a list.

    `found` holds up to one item more than the page, which tells that there is a next one; `row` gives what is shown of
    an item, `position` the JSON value that `Page.after` will have; `about` is told before them.
    """
    shown = found[: asked.limit]
    following = None
    if len(found) > asked.limit:
        others = {name: value for name, value in request.args.items() if name != "after"}
        values = dict(request.view_args or {}) | others | {"after": _cursor(position(shown[-1]))}
        following = url_for(str(request.endpoint), **values)
    response = answer({**(about or {}), "items": [row(item) for item in shown], "next": following})
    if following:
        response.headers["Link"] = f'<{following}>; rel="next"'
    return response


def answer(content: object, status: int = 200) -> Response:
    """Answer JSON, its keys in their order."""
    return Response(json.dumps(content, ensure_ascii=False) + "\n", status, content_type="application/json")


def is_text(position: object) -> bool:
    """Tell a position that is a key from others."""
    return isinstance(position, str) and "\0" not in position


def _cursor(position: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(position, separators=(",", ":")).encode()).decode().rstrip("=")


def _position(cursor: str, fits: Callable[[Any], bool]) -> object:
    padded = cursor[:LONGEST_CURSOR] + "=" * (-len(cursor) % 4)
    try:
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if next(_unfit_texts(found), None) is None and fits(found):
            return found
    except (ValueError, RecursionError):
        pass
    raise Malformed(
        "`after` is none that a page gave.",
        [{"detail": "Follow `next` of the page before, or leave `after` out.", "parameter": "after"}],
    )


def _json(sent: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Read JSON that says one thing only, of texts that can be stored; raises Malformed, naming the place."""
    try:
        text = sent.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is not UTF-8: byte {error.start + 1:,} is none of it.") from None
    try:
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise Malformed(f"The body is no JSON: {error.msg} in line {error.lineno:,}, column {error.colno:,}.") from None
    except RecursionError:
        raise Malformed(
            f"The body is nested too deeply, more than {DEEPEST} times {_deepest(text)}; nothing that can be sent "
            "here is."
        ) from None
    if places := list(islice(_unfit_texts(found), MOST_PLACES)):
        raise Malformed("The body is not as it should be.", [{"detail": _HALF, "pointer": one} for one in places])
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise Malformed(f"The key {json.dumps(key)} stands twice in one object of the body. Send it once.")
    return made


def _refuse_constant(written: str) -> object:
    raise Malformed(f"The body is no JSON: {written} is no number of it.")


def _deepest(text: str) -> str:
    """Say where a JSON text is first nested more than DEEPEST times."""
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > DEEPEST:
            line_start = text.rfind("\n", 0, found.start()) + 1
            return f"in line {text.count(chr(10), 0, found.start()) + 1:,}, column {found.start() - line_start + 1:,}"
    return "somewhere"


def _unfit_texts(content: object) -> Iterator[str]:
    """Give a JSON pointer to each text, or object with a key, that holds half of a surrogate pair."""
    waiting = [("", content)]
    while waiting:
        place, one = waiting.pop()
        if isinstance(one, dict):
            if any(_HALVES.search(key) for key in one):
                yield place
            else:
                waiting += [(f"{place}/{key.replace('~', '~0').replace('/', '~1')}", one[key]) for key in one]
        elif isinstance(one, list):
            waiting += [(f"{place}/{number}", inner) for number, inner in enumerate(one)]
        elif isinstance(one, str) and _HALVES.search(one):
            yield place


def _faults(messages: Any, pointer: str = "") -> list[tuple[str, str]]:  # noqa: ANN401 - marshmallow's, of any depth
    """Give (JSON pointer, text) for each fault."""
    if isinstance(messages, dict):
        places = [(pointer if key == "_schema" else f"{pointer}/{key}", inner) for key, inner in messages.items()]
        return [fault for place, inner in places for fault in _faults(inner, place)]
    return [(pointer, str(text)) for text in (messages if isinstance(messages, list) else [messages])]


# --- errors ---------------------------------------------------------------------------------------------------------


def _refuse(error: HTTPException) -> Response:
    response = _problem(error.code or 500, error.description or error.name)
    match error:
        case Unauthorized():
            response.headers["WWW-Authenticate"] = 'Basic realm="lrs-bridge", charset="UTF-8"'
        case Forbidden(scope=scope):
            response = _problem(403, str(error.description), scope=scope)
        case Malformed(errors=errors) if errors:
            response = _problem(error.code or 400, str(error.description), errors=list(errors))
        case TooMany(retry_after_seconds=seconds):
            response.headers["Retry-After"] = str(seconds)
        case MethodNotAllowed():
            allowed = ", ".join(sorted(error.valid_methods or ()))
            told = f"{request.method} is not allowed at {request.path}. Allowed: {allowed}."
            response = _problem(405, told)
            response.headers["Allow"] = allowed
    return response


def _refuse_ours(error: BridgeError) -> Response:
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 400)
    response = _problem(status, str(error))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _tell_that_the_database_is_away(error: Exception) -> Response:
    log.error("the database does not answer: %s", str(error).partition("\n")[0])
    response = _problem(503, "The database does not answer. Nothing was changed; send it again later.")
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _refuse_what_no_column_holds(error: Exception) -> Response:
    log.error("no rule refused what the database cannot hold: %s", str(error).partition("\n")[0])
    return _problem(400, "A value of the request is none that can be stored.")


def _tell_of_a_fault(error: Exception) -> Response:
    log.error("a fault of ours", exc_info=error)
    return _problem(500, f"A fault of lrs-bridge ({type(error).__name__}); the log of the web process has it.")


def _problem(status: int, detail: str, **more: object) -> Response:
    db.session.rollback()
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return Response(json.dumps(content, ensure_ascii=False) + "\n", status, content_type="application/problem+json")


def _unknown(path: str) -> Response:
    """Answer for every path and method that no resource has."""
    _refuse_method()
    raise NotFound(f"There is nothing at {PREFIX}/{path}.")


def _refuse_method() -> None:
    """Raise MethodNotAllowed if this path has a resource, by other methods."""
    here = current_app.create_url_adapter(request)
    methods = [one for one in _METHODS if here and here.match(method=one)[0] != _NOWHERE]
    if methods:
        raise MethodNotAllowed([*methods, "HEAD"] if "GET" in methods else methods)
