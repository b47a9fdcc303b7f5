"""Deliveries: the row carries the state."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from bridge import deliveries
from bridge.errors import UnknownName
from bridge.models import Delivery, DeliveryState
from connectors import Column, Receipt, Report

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def delivery(session: Session) -> Delivery:
    made = Delivery(report="performance", destination="files", state=DeliveryState.DUE, attempts=0, changes=0)
    session.add(made)
    session.flush()
    return made


def test_a_delivery_is_tried_again_at_growing_waits_and_then_waits_for_a_person(
    session: Session, delivery: Delivery
) -> None:
    waits = []
    while delivery.state != DeliveryState.FAILED:
        deliveries.failed(delivery, "disk full", now=NOW)
        waits.append(delivery.next_try_at and (delivery.next_try_at - NOW).total_seconds())
        session.flush()

    assert waits == [30, 120, 600, 3600, 21600, None]
    assert deliveries.due(session, now=NOW + timedelta(days=9)) == []
    assert delivery.last_error == "disk full"


def test_a_retry_is_due_when_its_wait_is_over(session: Session, delivery: Delivery) -> None:
    deliveries.failed(delivery, "down", now=NOW)
    session.flush()

    assert deliveries.due(session, now=NOW + timedelta(seconds=29)) == []
    assert deliveries.due(session, now=NOW + timedelta(seconds=30)) == [delivery.id]


def test_a_refusal_is_not_tried_again(delivery: Delivery) -> None:
    deliveries.failed(delivery, "no permission", now=NOW, final=True)

    assert delivery.state == DeliveryState.FAILED


def test_success_clears_the_error_and_keeps_the_receipt(delivery: Delivery) -> None:
    deliveries.failed(delivery, "down", now=NOW)

    deliveries.done(
        delivery, changes=0, now=NOW, checksum="abc", receipt=Receipt(location="/out", rows=3, changed=True)
    )

    assert (delivery.state, delivery.attempts, delivery.last_error, delivery.next_try_at) == ("done", 0, None, None)
    assert (delivery.rows, delivery.location, delivery.delivered_at) == (3, "/out", NOW)


def test_changed_records_make_done_deliveries_due_and_leave_failed_ones_to_a_person(
    session: Session, delivery: Delivery
) -> None:
    deliveries.done(delivery, changes=0, now=NOW, checksum="abc")
    failed = Delivery(report="other", destination="files", state=DeliveryState.FAILED)
    session.add(failed)
    session.flush()

    deliveries.mark_all_due(session)

    session.expire_all()
    assert (delivery.state, failed.state) == (DeliveryState.DUE, DeliveryState.FAILED)


def test_records_that_change_while_a_report_is_on_its_way_leave_the_delivery_due(
    session: Session, delivery: Delivery
) -> None:
    began_at = delivery.changes
    deliveries.mark_all_due(session)
    session.refresh(delivery)

    deliveries.done(delivery, changes=began_at, now=NOW, checksum="abc")

    assert delivery.state == DeliveryState.DUE


def test_a_person_can_ask_for_a_failed_delivery_again(session: Session, delivery: Delivery) -> None:
    deliveries.failed(delivery, "no permission", now=NOW, final=True)

    assert deliveries.ask_again(session, "performance") == [delivery.id]
    assert deliveries.due(session, now=NOW) == [delivery.id]
    assert delivery.checksum is None  # sent even if it has not changed


def test_asking_again_for_an_unknown_report_names_the_nearest(session: Session, delivery: Delivery) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'performance'"):
        deliveries.ask_again(session, "perfomance")


def test_a_checksum_changes_with_anything_that_a_report_says() -> None:
    def checksum(note: str = "n", value: float | None = 1.0, title: str = "Won") -> str:
        columns = (Column("won", title),)
        return deliveries.checksum(Report("r", "R", note, columns, [{"won": value}]))

    assert checksum() == checksum()
    assert len({checksum(), checksum(note="m"), checksum(value=None), checksum(title="Lost")}) == 4
