"""The alternate request syntax (xAPI 1.0.3, Communication 1.3): everything in a form, for whoever cannot set headers.

`POST path?method=PUT` with a form becomes `PUT path` before Flask sees it. The form is read whatever the Content-Type
says: courses send it as text/plain, to be spared a preflight. xAPI 2.0 dropped this syntax, and it is refused there.

Two liberties: where the form does not say what its content is, it is application/json (1.5); and the form's
Content-Length is not looked at, as many senders count characters.
"""

import io
import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Request

from lrs.errors import Invalid, LrsError, Rule, TooLarge
from lrs.views import bodies, chunks
from lrs.xapi import versions
from lrs.xapi.versions import Version

REFUSED = "lrs.refused"
"""Where the environment has the error that stands in for a request that could not be read; the views raise it."""

_SECTION = "Communication 1.3"
_METHODS = ("GET", "PUT", "POST", "DELETE")
_WITH_CONTENT = ("PUT", "POST")
_HEADERS = {
    "authorization": "HTTP_AUTHORIZATION",
    "x-experience-api-version": "HTTP_X_EXPERIENCE_API_VERSION",
    "content-type": "CONTENT_TYPE",
    "if-match": "HTTP_IF_MATCH",
    "if-none-match": "HTTP_IF_NONE_MATCH",
}
"""Form fields that are headers, and their names in the environment; Content-Length is reckoned anew."""
_MAX_FIELDS = 100
MAX_FORM_BYTES = 4 * 2**20
"""A form is read, and copied some times, before anybody knows whose it is; what more must be sent goes without one."""
_MENTIONED = re.compile(r"(?:\A|&)method=")
_SLASHES = re.compile("/{2,}")
_NOT_A_HEADER = re.compile(r"[\x00-\x1f\x7f]")

_ALONE = Rule("method is the only parameter in the query", _SECTION, "Send the others as form fields.")
_METHOD = Rule("method is one of GET, PUT, POST and DELETE", _SECTION, "Correct it.")
_FORM = Rule("the body is a form in UTF-8, its names and values URL encoded", "Communication 1.3, 1.4", "Encode it.")
_CONTENT = Rule("what a PUT or POST carries is the form field content", _SECTION, "Add it.")
_FIELD = Rule("a form field that stands for a header is a line of text, and comes once", _SECTION, "Correct it.")
_LIMIT = Rule("a request has a size limit", "Communication 3.2", "Send fewer statements at once.")
_ONLY_ONE = Rule(
    "xAPI 2.0 has no alternate request syntax", None, "Send the request itself, or X-Experience-API-Version: 1.0.3."
)


class AlternateSyntax:
    """A WSGI application around another one that turns such requests under `prefix` into what they stand for."""

    def __init__(self, app: Any, *, prefix: str, max_body_bytes: int) -> None:  # noqa: ANN401  any WSGI application
        self._app = app
        self._prefix = f"{prefix}/"
        self._max_body_bytes = min(max_body_bytes, MAX_FORM_BYTES)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401  WSGI
        if environ["PATH_INFO"].startswith(self._prefix):
            # The endpoint that clients are given ends in a slash, and some put another before the resource; a redirect
            # would lose what they send.
            environ["PATH_INFO"] = _SLASHES.sub("/", environ["PATH_INFO"])
        if (
            environ["REQUEST_METHOD"] == "POST"
            and environ["PATH_INFO"].startswith(self._prefix)
            and _MENTIONED.search(environ.get("QUERY_STRING", ""))
        ):
            try:
                environ = environ | _meant(environ, self._max_body_bytes)
            except LrsError as err:
                environ[REFUSED] = err
        return self._app(environ, start_response)


def _meant(environ: dict[str, Any], max_body_bytes: int) -> dict[str, Any]:
    """Give what of the environment is other in the request that is meant; raises Invalid and TooLarge."""
    method = _method(environ["QUERY_STRING"])
    changes: dict[str, Any] = {"REQUEST_METHOD": method, "CONTENT_TYPE": "application/json"}
    content: str | None = None
    query: list[tuple[str, str]] = []
    for name, value in _fields(_body(environ, max_body_bytes)):
        if name == "content" and content is None:
            content = value
        elif (header := _HEADERS.get(name.lower())) is not None:
            if (header in changes and header != "CONTENT_TYPE") or _NOT_A_HEADER.search(value):
                raise Invalid(f"The form field {name} is wrong.", _FIELD, pointer=name)
            changes[header] = value.encode().decode("latin-1")  # as WSGI has all headers
        elif name.lower() != "content-length":
            query.append((name, value))
    if content is None and method in _WITH_CONTENT:
        raise Invalid("The form has no field content.", _CONTENT, pointer="content")
    version = changes.get("HTTP_X_EXPERIENCE_API_VERSION", environ.get("HTTP_X_EXPERIENCE_API_VERSION"))
    if versions.from_header(version) is Version.TWO:
        raise Invalid("The query has the parameter method.", _ONLY_ONE, pointer="method")
    body = (content or "").encode() if method in _WITH_CONTENT else b""
    return changes | {
        "QUERY_STRING": urlencode(query),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_TRANSFER_ENCODING": "",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
    }


def _method(query: str) -> str:
    parameters = parse_qsl(query, keep_blank_values=True)
    if len(parameters) > 1:
        raise Invalid("The query has more parameters than method.", _ALONE, pointer="method")
    method = parameters[0][1]
    if method not in _METHODS:
        raise Invalid(f"There is no method {method!r}.", _METHOD, pointer="method")
    return method


def _body(environ: dict[str, Any], max_body_bytes: int) -> bytes:
    chunks.guard(environ)
    request = Request(environ, populate_request=False)
    # One more than allowed, as in `lrs.views.bodies`.
    request.max_content_length = max_body_bytes + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        body = None
    except HTTPException as err:
        raise Invalid("The body ends too soon.", _FORM) from err
    if body is None or len(body) > max_body_bytes:
        raise TooLarge(f"The body has more than {max_body_bytes} bytes.", _LIMIT)
    bodies.check_whole(request, body)
    return body


def _fields(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError as err:
        raise Invalid(f"The body is no form: {err}.", _FORM) from err
