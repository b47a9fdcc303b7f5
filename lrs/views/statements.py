"""The statements resource (xAPI 1.0.3, Communication 2.1)."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Annotated

import msgspec
from flask import Blueprint, Response, current_app, g, jsonify, request, url_for
from werkzeug.exceptions import RequestEntityTooLarge

from lrs import queries, settings, store
from lrs.database import db
from lrs.errors import Invalid, LrsError, Rule, TooLarge, Unavailable, UnsupportedMedia
from lrs.events import statements_stored
from lrs.horizon import consistent_through
from lrs.store import Incoming
from lrs.views import auth
from lrs.xapi import parameters, times, validation
from lrs.xapi.parameters import Query

CONSISTENT_THROUGH = "X-Experience-API-Consistent-Through"

_NO_PARAMETERS = Rule("a POST has no query parameters", "Communication 2.1.2", "Drop them, or use GET or PUT.")
_STATEMENT_ID = Rule(
    "a PUT names the statement by the parameter statementId, once and alone", "Communication 2.1.1", "Add it."
)
_SAME_ID = Rule("statementId is the id of the statement", "Communication 2.1.1", "Send the same id in both places.")
_ONE = Rule("a PUT carries one statement", "Communication 2.1.1", "Send a list with POST.")
_JSON = Rule(
    "statements come as application/json",
    "Communication 1.5",
    "Send Content-Type: application/json. multipart/mixed (attachments) is not supported yet.",
)
_LIMIT = Rule("a request has a size limit", "Communication 3.2", "Send fewer statements at once.")
_MORE = Rule("the path of more is taken as it was given", "Communication 2.1.3", "Start the query again.")

blueprint = Blueprint("statements", __name__, url_prefix="/statements")


@blueprint.after_request
def _say_consistent_through(response: Response) -> Response:
    if response.status_code == Unavailable.status:
        return response  # the database that would know is away
    # Readers ask before they read: asked now, it could promise statements that the answer lacks.
    through = g.get("through") or consistent_through(db.session)
    response.headers[CONSISTENT_THROUGH] = times.to_text(through)
    return response


@blueprint.post("")
def post() -> Response:
    """Store a statement or a list of them; answer their ids in order, also for none."""
    author = auth.author()
    if request.args:
        raise Invalid("The request has query parameters.", _NO_PARAMETERS, pointer=next(iter(request.args)))
    texts, is_list = validation.split(_body())
    ids = _store([_read(text, index if is_list else None) for index, text in enumerate(texts)], author)
    return jsonify(ids)


@blueprint.put("")
def put() -> Response:
    """Store one statement under the id that the query names."""
    author = auth.author()
    statement_id = _statement_id()
    texts, is_list = validation.split(_body())
    if is_list:
        raise Invalid("The body is a list.", _ONE)
    incoming = _read(texts[0], None)
    if incoming.statement.id and incoming.statement.id.lower() != statement_id.lower():
        raise Invalid("The statement's id is not the statementId.", _SAME_ID, pointer="/id")
    incoming.statement.id = statement_id
    _store([incoming], author)
    return Response(status=204)


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


# --- in ------------------------------------------------------------------------------------------------------------


def _body() -> bytes:
    if request.mimetype != "application/json":
        raise UnsupportedMedia(f"The content type {request.mimetype or '(none)'} is not read here.", _JSON)
    limit = settings.current().max_body_bytes
    # One more than allowed: a body of unknown length is cut off there in silence, and so can be told from a whole one.
    request.max_content_length = limit + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        body = None
    if body is None or len(body) > limit:
        raise TooLarge(f"The body has more than {limit} bytes.", _LIMIT)
    return body


def _read(text: msgspec.Raw, index: int | None) -> Incoming:
    try:
        return Incoming(text, validation.validate(bytes(text), g.version))
    except LrsError as err:
        err.index = index
        raise


def _statement_id() -> str:
    if set(request.args) != {"statementId"}:
        raise Invalid("The parameters are not statementId alone.", _STATEMENT_ID, pointer="statementId")
    found = parameters.parse(request.args.to_dict(flat=False)).statement_id
    return str(found)


def _store(batch: Sequence[Incoming], author: store.Author) -> list[str]:
    ids = store.store(db.session, batch, author=author, version=g.version)
    g.through = consistent_through(db.session)  # in the same transaction: a look of its own would cost two more trips
    db.session.commit()
    if ids:
        # The app itself: receivers are registered for it, not for the proxy.
        statements_stored.send(current_app._get_current_object(), count=len(ids))  # type: ignore[attr-defined]  # noqa: SLF001
    return ids


# --- out -----------------------------------------------------------------------------------------------------------


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
