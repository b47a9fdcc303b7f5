"""Posting: one forward's statements to its target, batch by batch, each noted in a transaction of its own.

No transaction is open while the target is asked, for that would hold back the horizon of all reading.
"""

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
from sqlalchemy.orm import Session

import lrs
from bridge import context, documents, forwarding
from bridge.forwarding import Outgoing, Unclear
from bridge.mapping import Chosen, Documents
from bridge.readings import LANES
from connectors import DestinationError, DestinationRefused, DestinationUnavailable, LrsDestination
from connectors import lrs as client

log = logging.getLogger(__name__)


def forward(session: Session, current: Documents, name: str, is_over: Callable[[], bool]) -> bool:
    """Send what there is, or for a while; gives whether there may be more. What went wrong stands on the row."""
    if name not in current.forwards or not forwarding.is_active(session, name):
        return False
    try:
        with target(session, current, name) as (writer, chosen):
            return _lanes(session, name, writer, chosen, is_over)
    except DestinationError as error:
        _note(session, name, error)
        return False


def retry(session: Session, current: Documents, name: str) -> None:
    """Send the dead letters of a forward again, one by one, and let it go on; raises UnknownName."""
    forwarding.ask_again(session, name)
    ids = [one.statement for one in forwarding.dead_letters(session, name)]
    session.commit()

    if not ids or name not in current.forwards:
        return
    try:
        with target(session, current, name) as (writer, chosen):
            for id_ in ids:
                _retry(session, name, writer, chosen, id_)
    except DestinationError as error:
        _note(session, name, error)


def _retry(session: Session, name: str, writer: client.Writer, chosen: Chosen, id_: uuid.UUID) -> None:
    one = forwarding.letter(session, chosen, id_)
    session.rollback()
    refused = post(session, writer, [one]) if isinstance(one, Outgoing) else []
    if isinstance(one, Unclear):
        forwarding.bury(session, name, id_, one.error, status=None, now=_now())
    elif refused:
        forwarding.bury(session, name, id_, refused[0].error, status=refused[0].status, now=_now())
    else:
        forwarding.raise_dead(session, name, id_)
        forwarding.went_well(session, name, taken=int(one is not None), now=_now())
    session.commit()


@contextmanager
def target(session: Session, current: Documents, name: str) -> Iterator[tuple[client.Writer, Chosen]]:
    """Give what posts to a forward's target, and which statements are to go there; raises DestinationError."""
    document = current.forwards[name]
    data_dir = context.settings().data_dir
    found = documents.destination(current, document.to, data_dir=data_dir, reach=context.reach())
    if not isinstance(found, LrsDestination):
        raise DestinationRefused(f"{document.to} is no LRS. Name a destination of type lrs in `to`.")
    endpoint = found.login.endpoint
    if endpoint == f"{context.settings().public_url}{lrs.PREFIX}/":
        raise DestinationRefused(f"{endpoint} is this very LRS, which has its statements. Name another one.")
    session.rollback()
    with found.writer() as writer:
        yield writer, Chosen(document, current.profiles)


def post(session: Session, writer: client.Writer, outgoing: Sequence[Outgoing]) -> list[client.Refusal]:
    """Post statements with their attachments; gives those that are refused. Raises DestinationError."""
    place = context.settings().attachments
    files = lrs.files.at(place) if place else None
    return list(
        writer.post_each(
            [one.content for one in outgoing],
            attachments=lambda contents: forwarding.attachments(session, contents, files),
            equal=lrs.equal,
        )
    )


def _lanes(session: Session, name: str, writer: client.Writer, chosen: Chosen, is_over: Callable[[], bool]) -> bool:
    for lane in range(LANES):
        full = True
        while full:
            batch = forwarding.next_batch(session, chosen, name, lane)
            session.rollback()
            if batch is None or batch.before == batch.after:
                break
            if is_over():
                return True
            refused = [one for part in forwarding.requests(batch.outgoing) for one in post(session, writer, part)]
            for unclear in batch.unclear:
                forwarding.bury(session, name, unclear.id, unclear.error, status=None, now=_now())
            for one in refused:
                forwarding.bury(session, name, id_of(one), one.error, status=one.status, now=_now())
            forwarding.taken(session, name, lane, batch, dead=len(refused), now=_now())
            full = batch.full
            if refused and forwarding.too_many_dead(session, name):
                session.commit()
                what = f"{forwarding.MOST_DEAD} statements were refused, the last with: {refused[-1].error}"
                raise DestinationRefused(f"{what} Mend what is wrong there, then `lrs-bridge forward retry {name}`.")
            session.commit()
    return False


def _note(session: Session, name: str, error: DestinationError) -> None:
    session.rollback()
    later = isinstance(error, DestinationUnavailable)
    asked = error.retry_after if isinstance(error, DestinationUnavailable) else None
    forwarding.failed(session, name, str(error), now=_now(), final=not later, retry_after=asked)
    session.commit()
    log.error("Forwarding by %s failed: %s", name, error)


class _Identified(msgspec.Struct):
    id: uuid.UUID


def id_of(refused: client.Refusal) -> uuid.UUID:
    """Give the id of a statement that was refused."""
    return msgspec.json.decode(refused.statement, type=_Identified).id


def _now() -> datetime:
    return datetime.now(UTC)
