"""Errors as answers: the one place where they meet HTTP."""

import logging

import psycopg
import sqlalchemy.exc
from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from lrs import settings
from lrs.database import db
from lrs.errors import Forbidden, Invalid, LrsError, Rule, TooManyRequests, Unauthenticated, Unavailable

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5
"""A server that restarts is back by then."""

_STORABLE = Rule("numbers have at most 63 bits, and texts no NUL character", None, "Correct the value.")


def register(blueprint: Blueprint) -> None:
    """Answer the errors of a blueprint in JSON, and undo what their requests had begun."""
    blueprint.register_error_handler(LrsError, _answer)
    blueprint.register_error_handler(HTTPException, _answer_http)
    for away in (sqlalchemy.exc.OperationalError, psycopg.OperationalError):
        blueprint.register_error_handler(away, _answer_away)
    for unfit in (sqlalchemy.exc.DataError, psycopg.DataError):
        blueprint.register_error_handler(unfit, _answer_unfit)


def _answer(err: LrsError) -> Response:
    db.session.rollback()
    response = jsonify(err.to_dict())
    response.status_code = err.status
    match err:
        case Unauthenticated():
            response.headers.extend([("WWW-Authenticate", challenge) for challenge in _challenges(err)])
        case Forbidden() if request.authorization and request.authorization.type == "bearer":
            response.headers["WWW-Authenticate"] = _bearer(error="insufficient_scope", scope=" ".join(err.scopes))
        case TooManyRequests():
            response.headers["Retry-After"] = str(err.retry_after_seconds)
        case Unavailable():
            response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    log.info("refused with %d: %s", err.status, err.rule.words if err.rule else type(err).__name__)
    return response


def _answer_http(err: HTTPException) -> Response:
    """Answer what Flask itself refuses, such as a body that ends too soon."""
    response = _answer(LrsError(err.description or err.name))
    response.status_code = err.code or LrsError.status
    if isinstance(err, MethodNotAllowed):
        methods = list(err.valid_methods or ())
        if "GET" in methods and "HEAD" not in methods:
            methods.append("HEAD")  # answered wherever GET is (RFC 9110, 9.1)
        response.headers["Allow"] = ", ".join(methods)
    return response


def _answer_away(err: Exception) -> Response:
    """Answer while the database does not; nothing of the request is stored."""
    log.error("the database does not answer: %s", str(err).partition("\n")[0])
    return _answer(Unavailable("The database does not answer. Nothing was stored; send it again later."))


def _answer_unfit(err: Exception) -> Response:
    """Answer what passed our rules and no column can hold; a rule is missing where this happens."""
    log.error("no rule refused what the database cannot hold: %s", str(err).partition("\n")[0])
    return _answer(Invalid("A value of the request is none that can be stored.", _STORABLE))


def _challenges(err: Unauthenticated) -> list[str]:
    """Name the ways to authenticate that there are here (RFC 9110, 11.6.1; RFC 6750, 3)."""
    basic = 'Basic realm="xAPI", charset="UTF-8"'
    if settings.current().verifier is None:
        return [basic]
    return [basic, _bearer(error=err.challenge) if err.challenge else _bearer()]


def _bearer(**parameters: str) -> str:
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in {"realm": "xAPI", **parameters}.items())
