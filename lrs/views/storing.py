"""Storing statements: PUT and POST (xAPI 1.0.3, Communication 2.1.1 and 2.1.2)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
from flask import Blueprint, Response, current_app, g, jsonify, request

from lrs import database, store
from lrs.errors import Invalid, LrsError, Rule
from lrs.events import statements_stored
from lrs.store import Incoming
from lrs.views import auth, bodies
from lrs.xapi import multipart, parameters, signatures, validation
from lrs.xapi.multipart import Received

_NO_PARAMETERS = Rule("a POST has no query parameters", "Communication 2.1.2", "Drop them, or use GET or PUT.")
_STATEMENT_ID = Rule(
    "a PUT names the statement by the parameter statementId, once and alone", "Communication 2.1.1", "Add it."
)
_SAME_ID = Rule("statementId is the id of the statement", "Communication 2.1.1", "Send the same id in both places.")
_ONE = Rule("a PUT carries one statement", "Communication 2.1.1", "Send a list with POST.")


def register(blueprint: Blueprint) -> None:
    """Add PUT and POST to the statements resource."""
    blueprint.post("")(post)
    blueprint.put("")(put)


def post() -> Response:
    """Store a statement or a list of them; answer their ids in order, also for none."""
    author = auth.author()
    if request.args:
        raise Invalid("The request has query parameters.", _NO_PARAMETERS, pointer=next(iter(request.args)))
    received = bodies.read_statements()
    batch = [_read(text, index, received) for index, text in enumerate(received.texts)]
    return jsonify(_store(batch, received, author))


def put() -> Response:
    """Store one statement under the id that the query names."""
    author = auth.author()
    statement_id = _statement_id()
    received = bodies.read_statements()
    if received.is_list:
        raise Invalid("The body is a list.", _ONE)
    incoming = _read(received.texts[0], 0, received)
    if incoming.statement.id and incoming.statement.id.lower() != statement_id.lower():
        raise Invalid("The statement's id is not the statementId.", _SAME_ID, pointer="/id")
    incoming.statement.id = statement_id
    _store([incoming], received, author)
    return Response(status=204)


def _read(text: msgspec.Raw, index: int, received: Received) -> Incoming:
    with _at(index, received):
        return Incoming(text, validation.validate(bytes(text), g.version, attached=received.parts))


@contextmanager
def _at(index: int, received: Received) -> Iterator[None]:
    """Say in errors which statement of a list it is."""
    try:
        yield
    except LrsError as err:
        err.index = index if received.is_list else None
        raise


def _check_attached(batch: Sequence[Incoming], received: Received) -> None:
    """Hold what was sent along against the statements that name it (Communication 1.5.2, Data 2.6)."""
    for index, one in enumerate(batch):
        if one.statement.attachments is not msgspec.UNSET:
            with _at(index, received):
                multipart.check(one.statement, received.parts)
                signatures.check(one.text, one.statement, received.parts, g.version)
    multipart.check_named(received.parts, (one.statement for one in batch))


def _statement_id() -> str:
    if set(request.args) != {"statementId"}:
        raise Invalid("The parameters are not statementId alone.", _STATEMENT_ID, pointer="statementId")
    found = parameters.parse(request.args.to_dict(flat=False)).statement_id
    return str(found)


def _store(batch: Sequence[Incoming], received: Received, author: store.Author) -> list[str]:
    _check_attached(batch, received)
    # Without a session: it would take longer than the rest.
    with database.lease() as connection:
        ids = store.store(connection, batch, author=author, version=g.version)
        connection.commit()
    if ids:
        # The app itself: receivers are registered for it, not for the proxy.
        statements_stored.send(current_app._get_current_object(), count=len(ids))  # type: ignore[attr-defined]  # noqa: SLF001
    return ids
