"""Storing statements: PUT and POST (xAPI 1.0.3, Communication 2.1.1 and 2.1.2)."""

import logging
from typing import Any

import msgspec
import psycopg
import sqlalchemy.exc
from flask import Blueprint, Response, current_app, g, request, url_for

from lrs import database, erased, intake, refused, settings
from lrs.credentials import Grant
from lrs.errors import Conflict, Invalid, LrsError
from lrs.events import statements_stored
from lrs.intake import Sent, Taken
from lrs.views import auth, bodies

log = logging.getLogger(__name__)

REFUSED = "X-LRS-Bridge-Refused"
"""On an answer that tells of refused statements: where they wait, with the reasons."""


def register(blueprint: Blueprint) -> None:
    """Add PUT and POST to the statements resource."""
    blueprint.post("")(post)
    blueprint.put("")(put)
    blueprint.after_request(_say_where_it_waits)


def _say_where_it_waits(response: Response) -> Response:
    if "refused" in g:
        response.headers[REFUSED] = url_for("xapi.refused.show", number=g.refused)
    return response


def post() -> Response:
    """Store a statement or a list of them; answer their ids in order, also for none.

    Where partial success left a statement out, null stands in place of its id.
    """
    return Response(msgspec.json.encode(_take_in().ids), content_type="application/json")


def put() -> Response:
    """Store one statement under the id that the query names."""
    _take_in()
    return Response(status=204)


def keep_refused(err: Invalid) -> None:
    """Keep a request to store statements that is refused before it gets there; nothing happens to any other."""
    if request.endpoint in {"xapi.statements.post", "xapi.statements.put"}:
        _keep_aside(_sent(), err)


def _sent() -> Sent:
    return Sent(request.method, request.query_string.decode(), request.content_type or "", g.version, bodies.read())


def _take_in() -> Taken:
    """Store what was sent; what is refused for what it says is kept."""
    sent = _sent()
    try:
        taken = _store(sent, g.grant)
    except (Invalid, Conflict) as err:
        _keep_aside(sent, err)
        raise
    if any(taken.ids):
        # The app itself: receivers are registered for it, not for the proxy.
        statements_stored.send(current_app._get_current_object(), count=len(taken.ids))  # type: ignore[attr-defined]  # noqa: SLF001
    return taken


def _store(sent: Sent, grant: Grant) -> Taken:
    batch = intake.read(sent, lenient=grant.lenient, partial=grant.partial)
    # Without a session: it would take longer than the rest.
    with database.lease() as connection:
        taken = intake.store(
            connection,
            batch,
            author=auth.author(),
            version=g.version,
            deduplicate_seconds=grant.deduplicate_seconds,
            partial=grant.partial,
            files=settings.current().files,
            at_once=True,
        )
        if taken.refused:  # in the same transaction: the client will take the others' success for that of all
            _keep(connection, *_rest(sent, taken))
        connection.commit()
    return taken


def _rest(sent: Sent, taken: Taken) -> tuple[Sent, LrsError]:
    """Give the statements that were refused as a request of their own."""
    body = b"[" + b",".join(bytes(one.text) for one in taken.refused) + b"]"
    for place, one in enumerate(taken.refused):
        one.error.index = place
    return sent._replace(body=body), intake.InvalidBatch([one.error for one in taken.refused])


def _keep_aside(sent: Sent, err: LrsError) -> None:
    """Keep what was refused, in a transaction of its own; the answer is the same when that fails."""
    if not sent.body:
        return
    try:
        with database.lease() as connection:
            _keep(connection, sent, err)
            connection.commit()
    except (psycopg.Error, sqlalchemy.exc.SQLAlchemyError):
        g.pop("refused", None)
        log.exception("a refused request of credential %d could not be kept", g.grant.id)


def _keep(connection: psycopg.Connection[Any], sent: Sent, err: LrsError) -> None:
    bounds = settings.current()
    body = erased.strip(connection, sent.body)
    if body is None:
        return  # of erased persons alone
    g.refused = refused.keep(
        connection,
        sent._replace(body=body),
        credential_id=g.grant.id,
        err=err,
        max_bytes=bounds.refused_max_bytes,
        max_days=bounds.refused_max_days,
    )
