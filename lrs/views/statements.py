"""The statements resource (xAPI 1.0.3, Communication 2.1): GET here, PUT and POST in `lrs.views.storing`."""

import json
from collections.abc import Sequence
from datetime import datetime

import msgspec
from flask import Blueprint, Response, g, request, url_for
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from werkzeug.http import http_date

from lrs import activities, queries, settings
from lrs.database import db
from lrs.errors import Forbidden, Invalid, Rule
from lrs.views import attached, auth, consistency, storing
from lrs.views.query import parameters as asked_parameters
from lrs.xapi import formats, languages, parameters
from lrs.xapi.formats import Format
from lrs.xapi.parameters import Query

MORE_SECONDS = 48 * 60 * 60
"""So long a path of `more` is good; the specification (2.5) wants 24 h."""

_MORE = Rule("the path of more is taken as it was given, by whom it was given to", "2.5", "Start the query again.")

blueprint = Blueprint("statements", __name__, url_prefix="/statements")
blueprint.after_request(consistency.tell)
storing.register(blueprint)


@blueprint.get("")
def get() -> Response:
    """Answer one statement by its id, or a page of what a query finds."""
    by = auth.reads_only_by()
    asked = asked_parameters()
    query = parameters.parse(asked)
    consistency.look()
    if query.statement_id or query.voided_statement_id:
        return _one(query, by)
    return _page(query, asked, None, by)


@blueprint.get("/more/<token>")
def more(token: str) -> Response:
    """Answer the next page of a query (2.5)."""
    by = auth.reads_only_by()
    if request.args:
        raise Invalid("The path of more has query parameters.", _MORE, pointer=next(iter(request.args)))
    asked, after = _read_token(token)
    query = parameters.parse(asked)
    consistency.look()
    return _page(query, asked, after, by)


def _one(query: Query, by: int | None) -> Response:
    payload = queries.find_one(db.session, query, by=by)
    (text,) = _written([payload], query, by)
    response = _answer(text, [payload], query)
    # 2.0, 4.1.6.1: it says when the statement was stored.
    response.headers["Last-Modified"] = http_date(datetime.fromisoformat(_stored(payload).stored))
    # Else a browser may take that for a reason not to ask again, and never hears that it was voided.
    response.headers["Cache-Control"] = "no-cache"
    return response


def _page(query: Query, asked: dict[str, list[str]], after: int | None, by: int | None) -> Response:
    page = queries.find(db.session, query, after=after, by=by)
    further = "" if page.next is None else url_for(".more", token=_write_token(asked, page.next))
    # Exact texts are what was stored: put together, not decoded.
    text = f'{{"statements":[{",".join(_written(page.payloads, query, by))}],"more":{json.dumps(further)}}}'
    return _answer(text, page.payloads, query)


def _answer(text: str, payloads: Sequence[str], query: Query) -> Response:
    response = attached.answer(text, payloads) if query.attachments else Response(text, mimetype="application/json")
    if query.format is Format.CANONICAL:
        response.vary.add("Accept-Language")
    return response


def _written(payloads: Sequence[str], query: Query, by: int | None) -> Sequence[str]:
    """Give statements in the form that is asked for.

    Who may read only its own gets no definition of an activity that others made (`by`: this credential).
    """
    match query.format:
        case Format.EXACT:
            return payloads
        case Format.IDS:
            return [formats.ids(payload) for payload in payloads]
        case Format.CANONICAL:
            wanted = languages.parse(request.headers.get("Accept-Language"))
            named = set().union(*map(formats.activities, payloads))
            known = activities.definitions(db.session, named) if by is None else {}
            return [formats.canonical(payload, wanted, known) for payload in payloads]


class _Stored(msgspec.Struct):
    stored: str


_stored = msgspec.json.Decoder(_Stored).decode


# --- more: all that is needed to go on, signed, for the credential that asked --------------------------------------


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings.current().secret_key, salt="lrs more")


def _write_token(asked: dict[str, list[str]], after: int) -> str:
    return str(_signer().dumps([g.grant.id, asked, after]))


class _Token(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    credential_id: int
    asked: dict[str, list[str]]
    after: int


def _read_token(token: str) -> tuple[dict[str, list[str]], int]:
    """Read what `_write_token` wrote; raises Invalid, and Forbidden for another credential than the one that asked."""
    try:
        read = msgspec.convert(_signer().loads(token, max_age=MORE_SECONDS), _Token)
    except SignatureExpired as err:
        raise Invalid(f"This path of more is older than {MORE_SECONDS // 3600} hours.", _MORE) from err
    except (BadSignature, msgspec.ValidationError) as err:
        raise Invalid("This is not a path that more gave.", _MORE) from err
    if read.credential_id != g.grant.id:
        raise Forbidden("This path of more was given to another credential.", _MORE)
    return read.asked, read.after
