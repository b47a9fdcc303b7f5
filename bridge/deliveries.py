"""Deliveries: each report on its way to each destination that it names, and each feed to those that take rows.

The rules guarded here: the row carries the state; a report that has not changed is not sent again; a destination that
is down is tried again a bounded number of times, then waits for a person. Which rows of a feed are still to be sent,
`sent_rows` knows.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import case, delete, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from bridge import publishing, sent_rows
from bridge.errors import UnknownName
from bridge.mapping import Documents
from bridge.models import Delivery, DeliveryKind, DeliveryState
from connectors import Receipt, Report, RowDestination

RETRY_SECONDS = (30, 120, 600, 3600, 6 * 3600)
"""Waits after the first, second, ... failure; after the last one the delivery is `failed`."""


def plan(session: Session, documents: Documents, takers: Sequence[RowDestination] = ()) -> None:
    """Make a row for each report and destination that the documents name, and for each feed that a taker wants.

    Rows that nobody asks for any more are dropped. `takers`: the destinations of the documents that take rows.
    """
    reports = [
        (DeliveryKind.REPORT, report.name, name)
        for report in documents.reports.values()
        for name in report.destinations
    ]
    feeds = [(DeliveryKind.FEED, feed, taker.name) for taker in takers for feed in taker.feeds]
    wanted = [*sorted(reports), *feeds]
    named = tuple_(Delivery.kind, Delivery.report, Delivery.destination)
    session.execute(delete(Delivery).where(named.not_in(wanted)))
    for kind, report, destination in wanted:
        made = insert(Delivery).values(kind=kind, report=report, destination=destination)
        session.execute(made.on_conflict_do_nothing())
    for taker in takers:
        sent_rows.address(session, taker.name, documents.destinations[taker.name].data)


def mark_all_due(session: Session) -> None:
    """Note that records have changed: every delivery that is done, or is just being made, is to be looked at again.

    Feeds are looked at once they have been published anew (`mark_due`).
    """
    session.execute(_AGAIN.where(Delivery.kind == DeliveryKind.REPORT))
    publishing.records_changed(session)


def mark_due(session: Session, feed: str) -> None:
    """Note that rows of a feed have changed."""
    session.execute(_AGAIN.where(Delivery.kind == DeliveryKind.FEED, Delivery.report == feed))


_AGAIN = update(Delivery).values(
    changes=Delivery.changes + 1,
    state=case((Delivery.state == DeliveryState.DONE, DeliveryState.DUE), else_=Delivery.state),
)


def due(session: Session, *, now: datetime) -> Sequence[int]:
    """Name the deliveries to attempt now; the caller commits, for some become due by the clock."""
    sent_rows.revisit(session, now=now)
    ready = or_(Delivery.next_try_at.is_(None), Delivery.next_try_at <= now)
    states = Delivery.state.in_([DeliveryState.DUE, DeliveryState.RETRY])
    return session.scalars(select(Delivery.id).where(states, ready).order_by(Delivery.id)).all()


def find(session: Session, delivery_id: int, *, for_update: bool = False) -> Delivery | None:
    """Give a delivery as it is now; None when no document asks for it any more."""
    return session.get(Delivery, delivery_id, populate_existing=True, with_for_update=for_update or None)


def done(delivery: Delivery, *, changes: int, now: datetime, checksum: str, receipt: Receipt | None = None) -> None:
    """Note that the destination holds the report as it was at `changes`; no receipt means that it held it already."""
    delivery.state = DeliveryState.DONE if delivery.changes == changes else DeliveryState.DUE
    delivery.checksum = checksum
    delivery.attempts, delivery.last_error, delivery.next_try_at = 0, None, None
    if receipt is not None:
        delivery.delivered_at, delivery.rows, delivery.location = now, receipt.rows, receipt.location


def rows_done(delivery: Delivery, *, changes: int, now: datetime, rows: int) -> None:
    """Note that a destination has answered for every row of a feed, as they were at `changes` or later."""
    delivery.state = DeliveryState.DONE if delivery.changes == changes else DeliveryState.DUE
    delivery.attempts, delivery.last_error, delivery.next_try_at = 0, None, None
    delivery.rows, delivery.delivered_at = rows, delivery.delivered_at or now


def failed(delivery: Delivery, error: str, *, now: datetime, final: bool = False) -> None:
    """Note a failed attempt and when the next is due; `final`, or too many, and a person must ask for it again."""
    delivery.last_error = error
    if final or delivery.attempts >= len(RETRY_SECONDS):
        delivery.state, delivery.next_try_at = DeliveryState.FAILED, None
    else:
        delivery.state = DeliveryState.RETRY
        delivery.next_try_at = now + timedelta(seconds=RETRY_SECONDS[delivery.attempts])
    delivery.attempts += 1


def postponed(delivery: Delivery, error: str, *, until: datetime) -> None:
    """Note that a destination said when to come back; it counts as a failed attempt, as others do."""
    failed(delivery, error, now=until)
    if delivery.state == DeliveryState.RETRY:
        delivery.next_try_at = until


def progressed(session: Session, delivery_id: int) -> None:
    """Note that a destination answered: whatever fails from now on is a first failure."""
    session.execute(update(Delivery).where(Delivery.id == delivery_id, Delivery.attempts > 0).values(attempts=0))


def undelivered(session: Session) -> Sequence[int]:
    """Name the deliveries that are not done, whether their next try is due or not."""
    return session.scalars(select(Delivery.id).where(Delivery.state != DeliveryState.DONE).order_by(Delivery.id)).all()


def ask_again(session: Session, name: str | None = None) -> Sequence[int]:
    """Make deliveries due at once and give them: all of a report, a feed or a destination, whatever became of them.

    Reports are sent even if nothing has changed; of feeds what is still to be sent, and what was refused. Without a
    name: those that failed or are to be tried again. Raises UnknownName.
    """
    trouble = Delivery.state.in_([DeliveryState.RETRY, DeliveryState.FAILED])
    which = trouble if name is None else or_(Delivery.report == name, Delivery.destination == name)
    asked = session.scalars(select(Delivery).where(which).order_by(Delivery.id)).all()
    if name is not None and not asked:
        raise UnknownName("delivered report, feed or destination", name, _names(session))
    for delivery in asked:
        delivery.state, delivery.attempts, delivery.next_try_at = DeliveryState.DUE, 0, None
        if delivery.kind == DeliveryKind.REPORT:
            delivery.checksum = None
        else:
            sent_rows.ask_again(session, delivery.id)
    session.flush()
    return [delivery.id for delivery in asked]


def replay(session: Session, name: str) -> Sequence[int]:
    """Make everything of a report, feed or destination due to be sent anew; names the deliveries. Raises UnknownName.

    Rows get new versions, so that a destination takes them over whatever it has made of them.
    """
    asked = ask_again(session, name)
    for delivery in session.scalars(select(Delivery).where(Delivery.id.in_(asked))):
        if delivery.kind == DeliveryKind.FEED:
            sent_rows.forget(session, delivery)
    return asked


def everything(session: Session) -> Sequence[Delivery]:
    """Give all deliveries, by report or feed and destination."""
    return session.scalars(select(Delivery).order_by(Delivery.kind.desc(), Delivery.report, Delivery.destination)).all()


def _names(session: Session) -> set[str]:
    return {*session.scalars(select(Delivery.report)), *session.scalars(select(Delivery.destination))}


def fault(error: Exception) -> str:
    """Say of a fault of ours no more than what cannot hold a secret."""
    return f"A fault of lrs-bridge ({type(error).__name__}); the worker's log has it."


def checksum(report: Report) -> str:
    """Give a SHA-256 over all that the report says; reads its rows once."""
    digest = hashlib.sha256(msgspec.json.encode([report.name, report.title, report.note]))
    digest.update(msgspec.json.encode([[column.name, column.title, column.unit] for column in report.columns]))
    for row in report.rows:
        digest.update(msgspec.json.encode(row))
    return digest.hexdigest()
