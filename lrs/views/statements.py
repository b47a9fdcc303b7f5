"""The statements resource (xAPI 1.0.3, Communication 2.1): GET here, PUT and POST in `lrs.views.storing`."""

import base64
import binascii
import json
from typing import Annotated

import msgspec
from flask import Blueprint, Response, g, request, url_for

from lrs import queries
from lrs.database import db
from lrs.errors import Invalid, Rule, Unavailable
from lrs.horizon import consistent_through
from lrs.views import auth, storing
from lrs.xapi import parameters, times
from lrs.xapi.parameters import Query

CONSISTENT_THROUGH = "X-Experience-API-Consistent-Through"

_MORE = Rule("the path of more is taken as it was given", "Communication 2.1.3", "Start the query again.")

blueprint = Blueprint("statements", __name__, url_prefix="/statements")
storing.register(blueprint)


@blueprint.after_request
def _say_consistent_through(response: Response) -> Response:
    if response.status_code == Unavailable.status:
        return response  # the database that would know is away
    # Readers ask before they read: asked now, it could promise statements that the answer lacks.
    through = g.get("through") or consistent_through(db.session)
    response.headers[CONSISTENT_THROUGH] = times.to_text(through)
    return response


@blueprint.get("")
def get() -> Response:
    """Answer one statement by its id, or a page of what a query finds."""
    by = auth.reads_only_by()
    asked = request.args.to_dict(flat=False)
    query = parameters.parse(asked)
    g.through = consistent_through(db.session)
    if query.statement_id or query.voided_statement_id:
        return _answer(queries.find_one(db.session, query, by=by))
    return _answer(_page(query, asked, None, by))


@blueprint.get("/more/<token>")
def more(token: str) -> Response:
    """Answer the next page of a query."""
    by = auth.reads_only_by()
    asked, after = _read_token(token)
    query = parameters.parse(asked)
    g.through = consistent_through(db.session)
    return _answer(_page(query, asked, after, by))


def _page(query: Query, asked: dict[str, list[str]], after: int | None, by: int | None) -> str:
    page = queries.find(db.session, query, after=after, by=by)
    further = "" if page.next is None else url_for(".more", token=_write_token(asked, page.next))
    # The texts are what was stored: put together, not decoded.
    return f'{{"statements":[{",".join(page.payloads)}],"more":{json.dumps(further)}}}'


def _answer(text: str) -> Response:
    return Response(text, content_type="application/json")


def _write_token(asked: dict[str, list[str]], after: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([asked, after]).encode()).decode().rstrip("=")


class _Token(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    asked: dict[str, list[str]]
    after: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


def _read_token(token: str) -> tuple[dict[str, list[str]], int]:
    """Read what `_write_token` wrote. It is not signed: it says nothing that the caller could not ask for."""
    try:
        read = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=_Token)
    except (binascii.Error, msgspec.DecodeError, UnicodeError) as err:
        raise Invalid("This is not a path that more gave.", _MORE) from err
    return read.asked, read.after
