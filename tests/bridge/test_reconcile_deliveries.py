"""Reconciling deliveries: planted differences are found and mended, and none is made up."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import shelf as shelves
from click.testing import Result
from company import Company
from shelf import Shelf
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from bridge import context, deliveries, documents, jobs, publishing
from bridge.errors import Busy
from bridge.locks import single_flight
from bridge.models import Delivery, PublishedRow, SentRow
from bridge.reconcile import deliveries as reconciling
from bridge.reconcile.kept import State
from connectors import destinations
from lrs import db

DOCUMENT = """\
kind: destination
name: shelf
type: shelf
path: shelf
feeds: [records]
"""
NUMBER = 60


@pytest.fixture
def shelf(company: Company, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A shelf that holds all of a feed."""
    monkeypatch.setitem(destinations.DESTINATIONS, "shelf", shelves.load)  # type: ignore[arg-type]
    monkeypatch.setattr(reconciling, "PAGE", 7)
    company.write("shelf.yaml", DOCUMENT)
    jobs.load_documents()
    db.session.execute(
        text("""
            insert into published_row (feed, key, program, body, checksum)
            select 'records', 'k' || to_char(number, 'FM000'), 'calm-calls', jsonb_build_object('number', number),
                md5(number::text)
            from generate_series(1, :number) as number
        """),
        {"number": NUMBER},
    )
    db.session.commit()
    deliver()
    return _shelf()


def _shelf() -> Shelf:
    current = documents.current(db.session)
    assert current is not None
    found = documents.destination(current, "shelf", data_dir=context.settings().data_dir)
    assert isinstance(found, Shelf)
    return found


def deliver() -> None:
    for one in deliveries.due(db.session, now=datetime.now(UTC)):
        db.session.commit()
        jobs.deliver(one)


def compare(shelf: Shelf) -> tuple[int, dict[str, str]]:
    """Compare, as running does; gives how many agreed, and what was found by key."""
    agreed, found = 0, {}
    db.session.rollback()
    for page, feed in reconciling.compare(db.session, shelf, now=datetime.now(UTC)):
        db.session.commit()
        assert feed == "records"
        agreed += page.agreed
        for one in page.found:
            assert one.state == State.REPAIRED
            assert one.subject not in found
            found[one.subject] = one.text
    return agreed, found


def key(number: int) -> str:
    return f"k{number:03}"


def bodies(shelf: Shelf) -> dict[str, Any]:
    return {name: row["body"] for name, row in shelf.rows("records").items()}


def published(session: Session) -> dict[str, Any]:
    session.rollback()
    rows = session.scalars(select(PublishedRow).filter_by(feed="records", deleted=False))
    return {row.key: row.body for row in rows}


def words(what: str) -> str:
    return reconciling.WORDS[what]


def test_on_clean_data_nothing_is_found(shelf: Shelf, session: Session) -> None:
    calls = shelf.calls

    assert compare(shelf) == (NUMBER, {})
    deliver()

    assert shelf.calls == calls


def test_a_hundred_planted_differences_are_found_and_mended(shelf: Shelf, session: Session) -> None:
    planted: dict[str, str] = {}
    newest = session.scalar(select(func.max(PublishedRow.version))) or 0  # of a sequence that tests share
    for number in range(1, 21):
        shelf.change("records", key(number), body=None)
        planted[key(number)] = words("missing")
    for number in range(21, 41):
        shelf.change("records", key(number), body={"by": "a teacher"})
        planted[key(number)] = words("changed")
    for number in range(41, 46):
        shelf.change("records", key(number), version=1, checksum="older")
        planted[key(number)] = words("changed")
    for number in range(46, 56):
        shelf.change("records", key(number), version=newest + 10**6 + number)
        planted[key(number)] = words("later")
    for number in range(100, 145):
        shelf.change("records", key(number), version=3)
        planted[key(number)] = words("unknown")
    assert len(planted) == 100

    agreed, found = compare(shelf)
    assert found == planted
    assert agreed == NUMBER - 55
    deliver()

    assert bodies(shelf) == published(session)
    assert compare(shelf) == (NUMBER, {})


def test_a_row_that_is_gone_here_and_still_there_is_taken_away(shelf: Shelf, session: Session) -> None:
    session.execute(publishing.burying("held.key in ('k001', 'k002')"), {"feed": "records"})
    deliveries.mark_due(session, "records")
    session.commit()
    deliver()
    shelf.change("records", key(1), deleted=False, body={"number": 1}, sent={"number": 1})

    assert compare(shelf) == (NUMBER - 2, {key(1): words("extra")})
    deliver()

    assert bodies(shelf) == published(session)


def test_what_is_still_to_be_sent_is_no_difference(shelf: Shelf, session: Session) -> None:
    publishing.renew(session, "records", [key(1), key(2)])
    session.execute(publishing.burying("held.key = 'k003'"), {"feed": "records"})
    session.commit()

    assert compare(shelf) == (NUMBER - 3, {})


def test_what_was_refused_or_has_no_place_is_no_difference(shelf: Shelf, session: Session) -> None:
    shelf.order(refuse=[key(1)], left_out=[key(2)])
    deliveries.replay(session, "shelf")
    session.commit()
    deliver()
    shelf.change("records", key(2), body=None)

    assert compare(shelf) == (NUMBER - 2, {})


def test_rows_of_a_program_that_is_not_theirs_any_more_are_taken_away(
    company: Company, shelf: Shelf, session: Session
) -> None:
    company.write("shelf.yaml", DOCUMENT + "programs: [other]\n")
    jobs.load_documents()
    deliver()
    shelf.change("records", key(1), deleted=False)
    shelf.change("records", key(2), deleted=False)
    session.execute(text("delete from sent_row where key = 'k002'"))
    session.commit()

    assert compare(_shelf()) == (0, {key(1): words("extra"), key(2): words("extra")})
    deliver()

    assert bodies(shelf) == {}


def test_an_answer_that_was_lost_is_no_difference(shelf: Shelf, session: Session) -> None:
    session.execute(text("delete from sent_row where key = 'k001'"))
    session.commit()

    assert compare(shelf)[1] == {}


def test_after_a_restore_of_ours_what_they_hold_is_overtaken(shelf: Shelf, session: Session) -> None:
    """The database went back to yesterday; the destination has today's rows in versions that are still to come."""
    for number in range(1, NUMBER + 1):
        shelf.change("records", key(number), version=10**12 + number, body={"of": "today"}, sent={"of": "today"})

    _, found = compare(shelf)
    assert found == {key(number): words("later") for number in range(1, NUMBER + 1)}
    deliver()

    assert bodies(shelf) == published(session)
    versions = session.execute(select(PublishedRow.key, PublishedRow.version))
    assert all(version > 10**12 + int(name[1:]) for name, version in versions)


def test_nothing_is_sent_while_it_is_compared(shelf: Shelf, session: Session) -> None:
    pages: Iterator[Any] = reconciling.compare(session, shelf, now=datetime.now(UTC))
    next(pages)
    calls = shelf.calls
    publishing.renew(session, "records", [key(1)])
    session.execute(update(Delivery).values(state="due"))
    session.commit()

    deliver()
    assert shelf.calls == calls
    pages.close()  # type: ignore[attr-defined]
    deliver()
    assert shelf.calls > calls


def test_it_is_not_compared_while_rows_are_sent(shelf: Shelf, session: Session) -> None:
    with single_flight(db.engine, "rows to shelf"), pytest.raises(Busy):
        compare(shelf)


def test_other_destinations_are_left_alone(company: Company, shelf: Shelf, session: Session) -> None:
    company.write("two.yaml", DOCUMENT.replace("shelf", "two").replace("type: two", "type: shelf"))
    jobs.load_documents()
    deliver()
    shelf.change("records", key(1), body=None)

    compare(shelf)
    deliver()

    sent = session.scalars(select(SentRow.outcome).filter_by(key=key(2))).all()
    assert sent == ["stored", "stored"]
    assert bodies(shelf) == published(session)


def test_the_command_compares_and_the_next_delivery_mends(
    shelf: Shelf, session: Session, lrs_bridge: Callable[..., Result]
) -> None:
    shelf.change("records", key(1), body=None)

    result = lrs_bridge("reconcile", "deliveries", "shelf", "--json")

    assert result.exit_code == 0
    [told] = json.loads(result.output)
    assert (told["area"], told["name"], told["note"]) == ("deliveries", "shelf", "records")
    assert (told["agreed"], told["differed"], told["repaired"]) == (NUMBER - 1, 1, 1)
    assert told["kinds"] == {"missing there": 1}
    missing = {"kind": "missing there", "subject": key(1), "state": "repaired", "text": words("missing")}
    assert told["differences"] == [missing]
    deliver()
    assert bodies(shelf) == published(session)


def test_a_destination_that_is_being_sent_to_is_told_as_not_compared(
    shelf: Shelf, lrs_bridge: Callable[..., Result]
) -> None:
    with single_flight(db.engine, "rows to shelf"):
        result = lrs_bridge("reconcile", "deliveries", "shelf", "--json")

    assert result.exit_code == 1
    [told] = json.loads(result.output)
    assert "at work on rows to shelf" in told["error"]
    assert told["ended_at"] is not None
