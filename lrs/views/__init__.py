"""The xAPI resources over HTTP: parse, call one noun, answer."""

from flask import Blueprint, Response, g, request

from lrs.errors import NotFound
from lrs.views import about, auth, errors, statements
from lrs.xapi import versions
from lrs.xapi.versions import Version

PREFIX = "/xapi"

_METHODS = ["GET", "PUT", "POST", "DELETE"]
_OPEN = {"xapi.about.read"}
"""Endpoints that need no credential and no version header (Communication 2.8)."""


def blueprint() -> Blueprint:
    """Make the blueprint that holds all resources."""
    xapi = Blueprint("xapi", __name__, url_prefix=PREFIX)
    xapi.before_request(_admit)
    xapi.after_request(_name_version)
    errors.register(xapi)
    xapi.register_blueprint(about.blueprint)
    xapi.register_blueprint(statements.blueprint)
    xapi.add_url_rule("/", "unknown", _unknown, methods=_METHODS, defaults={"path": ""})
    xapi.add_url_rule("/<path:path>", "unknown", _unknown, methods=_METHODS)
    return xapi


def _admit() -> None:
    if request.endpoint in _OPEN:
        return
    g.version = versions.from_header(request.headers.get(versions.HEADER))
    auth.authenticate()


def _name_version(response: Response) -> Response:
    response.headers[versions.HEADER] = g.get("version", Version.ONE)
    return response


def _unknown(path: str) -> Response:
    raise NotFound(f"There is nothing at {PREFIX}/{path} that answers {request.method}.")
