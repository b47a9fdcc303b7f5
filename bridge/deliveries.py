"""Deliveries: each report on its way to each destination that it names.

The rules guarded here: the row carries the state; a report that has not changed is not sent again; a destination that
is down is tried again a bounded number of times, then waits for a person.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import case, delete, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from bridge.errors import UnknownName
from bridge.mapping import Documents
from bridge.models import Delivery, DeliveryState
from connectors import Receipt, Report

RETRY_SECONDS = (30, 120, 600, 3600, 6 * 3600)
"""Waits after the first, second, ... failure; after the last one the delivery is `failed`."""


def plan(session: Session, documents: Documents) -> None:
    """Make a row for each report and destination that the documents name; drop rows that they no longer name."""
    wanted = [(report.name, name) for report in documents.reports.values() for name in report.destinations]
    session.execute(delete(Delivery).where(tuple_(Delivery.report, Delivery.destination).not_in(wanted)))
    for report, destination in sorted(wanted):
        session.execute(insert(Delivery).values(report=report, destination=destination).on_conflict_do_nothing())


def mark_all_due(session: Session) -> None:
    """Note that records have changed: every delivery that is done, or is just being made, is to be looked at again."""
    again = case((Delivery.state == DeliveryState.DONE, DeliveryState.DUE), else_=Delivery.state)
    session.execute(update(Delivery).values(changes=Delivery.changes + 1, state=again))


def due(session: Session, *, now: datetime) -> Sequence[int]:
    """Name the deliveries to attempt now."""
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


def failed(delivery: Delivery, error: str, *, now: datetime, final: bool = False) -> None:
    """Note a failed attempt and when the next is due; `final`, or too many, and a person must ask for it again."""
    delivery.last_error = error
    if final or delivery.attempts >= len(RETRY_SECONDS):
        delivery.state, delivery.next_try_at = DeliveryState.FAILED, None
    else:
        delivery.state = DeliveryState.RETRY
        delivery.next_try_at = now + timedelta(seconds=RETRY_SECONDS[delivery.attempts])
    delivery.attempts += 1


def undelivered(session: Session) -> Sequence[int]:
    """Name the deliveries that are not done, whether their next try is due or not."""
    return session.scalars(select(Delivery.id).where(Delivery.state != DeliveryState.DONE).order_by(Delivery.id)).all()


def ask_again(session: Session, report: str) -> Sequence[int]:
    """Make a report's deliveries due at once, whatever became of them and even if nothing has changed; names them."""
    asked = session.scalars(select(Delivery).where(Delivery.report == report).order_by(Delivery.id)).all()
    if not asked:
        raise UnknownName("delivered report", report, set(session.scalars(select(Delivery.report))))
    for delivery in asked:
        delivery.state, delivery.checksum, delivery.attempts, delivery.next_try_at = DeliveryState.DUE, None, 0, None
    session.flush()
    return [delivery.id for delivery in asked]


def everything(session: Session) -> Sequence[Delivery]:
    """Give all deliveries, by report and destination."""
    return session.scalars(select(Delivery).order_by(Delivery.report, Delivery.destination)).all()


def checksum(report: Report) -> str:
    """Give a SHA-256 over all that the report says; reads its rows once."""
    digest = hashlib.sha256(msgspec.json.encode([report.name, report.title, report.note]))
    digest.update(msgspec.json.encode([[column.name, column.title, column.unit] for column in report.columns]))
    for row in report.rows:
        digest.update(msgspec.json.encode(row))
    return digest.hexdigest()
