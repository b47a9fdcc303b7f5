"""`/api/v1/openapi.json`: all of `/api/v1` as an OpenAPI 3.1 document, made of what each view says of itself.

Parameters and bodies come from the schemas that check them (`bridge.views.api.operation`), paths from the routes; so
what is told cannot drift from what is taken. What is answered is held against its schemas by a test.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

import marshmallow
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Flask, Response, current_app
from werkzeug.routing import Rule

from bridge import access
from bridge.views import answers, api

_Json = dict[str, Any]

blueprint = Blueprint("openapi", __name__, url_prefix=api.VERSION)

NAME = "api"
"""What the endpoints of `/api` begin with."""
_ARGUMENT = re.compile(r"<(?:[^>:]*:)?(\w+)>")
_ERRORS: Mapping[int, str] = {
    400: "A parameter or the body is not as it should be; the answer names each place.",
    401: "No credential, or one that is not known.",
    403: "The credential lacks the scope, or is narrowed and sees less than is here.",
    404: "There is no such thing, or none that the credential sees.",
    409: "It goes against the state that things are in.",
    410: "The cursor leads nowhere any more: begin without one, and drop what that does not give again.",
    415: "The body is not said to be JSON.",
    429: "More requests than agreed; wait as long as Retry-After says.",
    503: "Not now; wait as long as Retry-After says.",
}
_ALWAYS = (400, 401, 403, 429, 503)
_TAG: _Json = {
    "description": "Strong: send it back by If-None-Match, and nothing is sent that you have.",
    "schema": {"type": "string"},
}
_IF_NONE_MATCH: _Json = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of an answer that you have.",
    "schema": {"type": "string"},
}
_ABOUT = """\
What `lrs-bridge` tells and does, for other programs. `bridge/README.md` has what a plugin of an LMS must know.

Reading needs a credential with the scope `reports/read`, changing `people/write`, or `programs/write` for programs
(`lrs-bridge credential create`). A credential may be narrowed to programs, teams or courses: what it does not see is as
if it were not there, and what cannot be cut down is answered with 403. Lists come in pages: follow `next` until it is
null. Answers carry an ETag and are compressed with gzip for those who take it.
"""


@blueprint.get("/openapi.json")
@api.operation("This document.", answers={"type": "object"})
def show() -> Response:
    """Answer the document; open to all, as it holds no data."""
    api.query()
    return api.answer(document(current_app))


def routes(app: Flask) -> Iterator[tuple[str, str, Rule]]:
    """Give (path as OpenAPI writes it, method, rule) of all that is under `/api`, by path."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        if rule.endpoint.startswith(f"{NAME}.") and rule.endpoint != f"{NAME}.unknown":
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield _ARGUMENT.sub(r"{\1}", rule.rule), method.lower(), rule


def document(app: Flask) -> _Json:
    """Describe all of `/api/v1`."""
    plugin = MarshmallowPlugin(schema_name_resolver=_name)
    spec = APISpec(
        title="lrs-bridge",
        version="1",
        openapi_version="3.1.0",
        plugins=[plugin],
        info={
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "x-lrs-bridge-version": version("lrs-bridge"),
        },
        servers=[{"url": "/"}],
    )
    about = "A key and secret of `lrs-bridge credential create`; each operation names the scope that it needs."
    spec.components.security_scheme("basic", {"type": "http", "scheme": "basic", "description": about})
    spec.components.header("ETag", _TAG)
    spec.components.parameter("IfNoneMatch", "header", _IF_NONE_MATCH)
    for code, words in _ERRORS.items():
        content = {"application/problem+json": {"schema": answers.Problem}}
        spec.components.response(f"Error{code}", {"description": words, "content": content})
    converter: Any = plugin.converter
    if converter is None:
        raise LookupError("apispec has not been set up")
    converter.add_attribute_function(_own_schema)
    for path, method, rule in routes(app):
        view = app.view_functions[rule.endpoint]
        said = api.described(view)
        if said is None:
            raise LookupError(f"{rule.endpoint} does not say by `operation` what it takes and answers")
        spec.path(path, operations={method: _operation(said, view, rule, method)})
    return spec.to_dict()


def _operation(said: api.Operation, view: Callable[..., Any], rule: Rule, method: str) -> _Json:
    reading, is_open = method == "get", rule.endpoint in api.OPEN
    errors = [*(() if is_open else _ALWAYS), *said.errors, *((415,) if said.body else ())]
    answered: _Json = {
        "description": "Done." if not reading else "Found.",
        "content": {"application/json": {"schema": _shape(said.answers)}},
    }
    described: _Json = {
        "operationId": rule.endpoint.removeprefix(f"{NAME}."),
        "summary": said.summary,
        "description": (view.__doc__ or "").strip(),
        "parameters": [*_arguments(rule), *_query(said.query)],
        "responses": {"200": answered} | {str(code): f"Error{code}" for code in sorted(set(errors))},
    }
    if reading:
        answered["headers"] = {"ETag": "ETag"}
        described["parameters"] += ["IfNoneMatch"]
        described["responses"]["304"] = {"description": "You have it, by If-None-Match."}
    if said.body:
        content = {"application/json": {"schema": _shape(said.body)}}
        described["requestBody"] = {"required": _needed(said.body), "content": content}
    scope = access.REPORTS if reading else api.changing(rule.endpoint.rpartition(".")[0])
    described["security"] = [] if is_open else [{"basic": [scope]}]
    return described


def _needed(body: api.Shape) -> bool:
    return not isinstance(body, type) or any(field.required for field in body().fields.values())


def _shape(shape: api.Shape) -> Any:  # noqa: ANN401 - what apispec takes
    return shape if isinstance(shape, type) else dict(shape)


def _query(schema: type[marshmallow.Schema]) -> list[_Json]:
    return [{"in": "query", "schema": schema}] if schema().fields else []


def _arguments(rule: Rule) -> Iterator[_Json]:
    for name in sorted(rule.arguments):
        kind = type(rule._converters[name]).__name__  # noqa: SLF001 - werkzeug has no public name for it
        number = {"type": "integer", "minimum": 0}
        about = "May hold slashes; write them as %2F." if kind == "PathConverter" else ""
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": number if kind == "IntegerConverter" else {"type": "string", "minLength": 1},
            **({"description": about} if about else {}),
        }


def _name(schema: Any) -> str:  # noqa: ANN401 - a schema, its class or its name
    cls = schema if isinstance(schema, type) else type(schema)
    return str(cls.__name__).strip("_")


def _own_schema(_converter: Any, field: marshmallow.fields.Field[Any], **_: Any) -> _Json:  # noqa: ANN401 - as apispec has them
    """Give what a field of ours says of itself."""
    return dict(getattr(field, "json_schema", {}))
