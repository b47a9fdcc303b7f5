"""One attempt at a delivery, as a job makes it: it commits, and the outcome stands on the delivery's row.

The row is not locked while a destination is asked: whoever changes records must not wait for it. Of the feeds of one
destination one is sent at a time, for many a system counts its callers.
"""

import logging
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from bridge import context, deliveries, documents, reports, sent_rows
from bridge.locks import single_flight
from bridge.mapping import Documents
from bridge.models import Delivery, DeliveryKind, DeliveryState
from bridge.sending import Sending
from bridge.sent_rows import Aim
from connectors import DestinationError, DestinationUnavailable, RowDestination
from lrs import db

log = logging.getLogger(__name__)

SLICE_SECONDS = 60
"""How long rows are sent in one go, before others have the worker."""


def attempt(delivery_id: int) -> bool:
    """Bring a report or rows to a destination, unless they are there already; gives whether more is due at once.

    Raises Busy.
    """
    with single_flight(db.engine, f"delivery {delivery_id}"):
        session = db.session
        current, delivery = documents.current(session), deliveries.find(session, delivery_id)
        if current is None or delivery is None:
            return False
        if delivery.kind == DeliveryKind.REPORT:
            return _report(session, current, delivery)
        with single_flight(db.engine, f"rows to {delivery.destination}"):
            return _rows(session, current, delivery)


def _report(session: Session, current: Documents, delivery: Delivery) -> bool:
    delivery_id, changes, held = delivery.id, delivery.changes, delivery.checksum
    checksum = deliveries.checksum(reports.build(session, current, delivery.report))
    receipt, error = None, None
    if checksum != held:
        settings = context.settings()
        destination = documents.destination(
            current, delivery.destination, data_dir=settings.data_dir, reach=context.reach()
        )
        if isinstance(destination, RowDestination):
            raise TypeError(f"{destination.name} takes rows, not reports")
        try:
            receipt = destination.push(reports.build(session, current, delivery.report))
        except DestinationError as raised:
            error = raised
            log.error("Delivery of %s to %s failed: %s", delivery.report, delivery.destination, error)
    session.rollback()
    found = deliveries.find(session, delivery_id, for_update=True)
    if found is None:
        return False
    if error is None:
        deliveries.done(found, changes=changes, now=_now(), checksum=checksum, receipt=receipt)
    else:
        _failed(found, error)
    session.commit()
    return found.state == DeliveryState.DUE


def _rows(session: Session, current: Documents, delivery: Delivery) -> bool:
    delivery_id, changes, feed, name = delivery.id, delivery.changes, delivery.report, delivery.destination
    destination = documents.destination(current, name, data_dir=context.settings().data_dir, reach=context.reach())
    if not isinstance(destination, RowDestination):
        raise TypeError(f"{name} takes reports, not rows")
    until = time.monotonic() + SLICE_SECONDS
    aim = Aim(delivery_id, feed, destination)
    sending = Sending(session, aim, _now, lambda: time.monotonic() > until)
    error: DestinationError | None = None
    session.rollback()
    try:
        for _ in sending.run():
            session.commit()
    except DestinationError as raised:
        error = raised
        log.error("Delivery of %s to %s failed: %s", feed, name, error)
    except Exception as fault:
        # A fault of ours: written down and tried again later and later, not every few seconds.
        session.rollback()
        if found := deliveries.find(session, delivery_id, for_update=True):
            deliveries.failed(found, deliveries.fault(fault), now=_now())
        session.commit()
        raise
    session.rollback()
    log.info("Delivered %d rows of %s to %s.", sending.rows, feed, name)
    found = deliveries.find(session, delivery_id, for_update=True)
    if found is None:
        return False
    _conclude(session, found, sending, error, changes)
    session.commit()
    return found.state == DeliveryState.DUE


def _conclude(
    session: Session, delivery: Delivery, sending: Sending, error: DestinationError | None, changes: int
) -> None:
    """Note how an attempt at rows went."""
    held = sent_rows.counts(session).get(delivery.id, sent_rows.Counts()).held
    if sending.rows:
        delivery.rows, delivery.delivered_at, delivery.location = held, _now(), sending.aim.destination.site
    if error is not None:
        _failed(delivery, error)
    elif sending.unfinished:
        delivery.state = DeliveryState.DUE
    elif sending.failing:
        deliveries.failed(delivery, f"{_rows_word(sending.failing)} cannot be delivered: {sending.error}", now=_now())
    elif sending.unanswered:
        deliveries.failed(delivery, f"{_rows_word(sending.unanswered)} got no answer.", now=_now())
    else:
        deliveries.rows_done(delivery, changes=changes, now=_now(), rows=held)


def _failed(delivery: Delivery, error: DestinationError) -> None:
    wait = error.retry_after if isinstance(error, DestinationUnavailable) else None
    if wait is not None:
        deliveries.postponed(delivery, str(error), until=_now() + timedelta(seconds=wait))
    else:
        deliveries.failed(delivery, str(error), now=_now(), final=not isinstance(error, DestinationUnavailable))


def _rows_word(number: int) -> str:
    return f"{number} {'row' if number == 1 else 'rows'}"


def _now() -> datetime:
    return datetime.now(UTC)
