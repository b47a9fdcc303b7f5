"""The xAPI resources over HTTP: parse, call one noun, answer."""

import re
from typing import cast
from urllib.parse import unquote_to_bytes

from flask import Blueprint, Flask, Response, current_app, g, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import MethodNotAllowed

from lrs import settings
from lrs.errors import Invalid, LrsError, NotFound, Rule, Unauthenticated
from lrs.views import (
    about,
    activities,
    agents,
    alternate,
    auth,
    chunks,
    cors,
    documents,
    errors,
    openapi,
    refused,
    statements,
    storing,
)
from lrs.views.alternate import AlternateSyntax
from lrs.xapi import versions
from lrs.xapi.versions import Version

PREFIX = "/xapi"

_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH")
_OPEN = {"xapi.about.read", "xapi.openapi.read"}
"""Endpoints that need no credential and no version header (Communication 2.8), and the description of them all."""

_HALF_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED = Rule("the query is URL encoded UTF-8", "Communication 1.4", "Encode each value, as a URL library does.")
_CREDENTIAL = Rule("key and secret travel in base64", "Communication 4.0", "Encode them, as an HTTP library does.")


def blueprint() -> Blueprint:
    """Make the blueprint that holds all resources."""
    xapi = Blueprint("xapi", __name__, url_prefix=PREFIX)
    xapi.record_once(_read_alternate_syntax)
    xapi.before_request(_admit)
    xapi.after_app_request(_finish)
    errors.register(xapi)
    xapi.register_blueprint(about.blueprint)
    xapi.register_blueprint(openapi.blueprint)
    xapi.register_blueprint(statements.blueprint)
    xapi.register_blueprint(refused.blueprint)
    xapi.register_blueprint(refused.repaired_blueprint)
    for resource in (*documents.blueprints(), agents.blueprint, activities.blueprint):
        xapi.register_blueprint(resource)
    xapi.add_url_rule("/", "unknown", _unknown, methods=_METHODS, defaults={"path": ""})
    xapi.add_url_rule("/<path:path>", "unknown", _unknown, methods=_METHODS)
    return xapi


def _read_alternate_syntax(state: BlueprintSetupState) -> None:
    app = cast("Flask", state.app)
    with app.app_context():
        max_body_bytes = settings.current().max_body_bytes
    layer = AlternateSyntax(app.wsgi_app, prefix=PREFIX, max_body_bytes=max_body_bytes)
    app.wsgi_app = layer  # type: ignore[method-assign]  # what Flask has in place of middleware


def _admit() -> Response | None:
    if request.method == "OPTIONS":
        return cors.preflight()
    chunks.guard(request.environ)
    refused: LrsError | None = request.environ.get(alternate.REFUSED)
    if refused is not None:
        raise refused
    if request.endpoint in _OPEN:
        return None
    wrong_version = _read_version()
    if not request.headers.get("Authorization", "").isascii():  # werkzeug would stumble over it
        raise Unauthenticated("The header Authorization holds more than ASCII.", _CREDENTIAL)
    auth.authenticate()
    if wrong_version and not g.grant.lenient:
        storing.keep_refused(wrong_version)
        raise wrong_version
    _check_query(request.query_string)
    return None


def _read_version() -> Invalid | None:
    """Read the version that the request names; what is wrong with it, when it is not one that we speak.

    Whoever called is found out first: a known client's statements are kept all the same, and a lenient one's are taken
    for 1.0.3, as content of the first generation (0.9, 0.95) is repaired to be.
    """
    try:
        g.version = versions.from_header(request.headers.get(versions.HEADER))
    except Invalid as err:
        g.version = Version.ONE
        return err
    return None


def _check_query(query: bytes) -> None:
    """Refuse what werkzeug would read as something else than was meant; raises Invalid."""
    try:
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError as err:
        raise Invalid("The query is not UTF-8.", _ENCODED) from err
    if _HALF_ESCAPE.search(query):
        raise Invalid("The query has a % that begins no escape.", _ENCODED)


def _finish(response: Response) -> Response:
    """Add what every answer under the prefix has, also of what never reached a resource."""
    if request.path.startswith(PREFIX):
        response.headers[versions.HEADER] = g.get("version", Version.ONE)
        cors.open_to_browsers(response)
    return response


def _unknown(path: str) -> Response:
    if methods := _methods_here():
        raise MethodNotAllowed(methods)
    raise NotFound(f"There is nothing at {PREFIX}/{path}.")


def _methods_here() -> list[str]:
    """Give the methods that a resource at this path answers."""
    here = current_app.create_url_adapter(request)
    return [one for one in _METHODS if here and here.match(method=one)[0] != request.endpoint]
