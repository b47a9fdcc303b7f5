"""Deliveries of rows: what is sent, what is not sent again, and what becomes of it when a destination fails."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import shelf as shelves
from click.testing import Result
from company import Company, done, scored
from shelf import Shelf
from sqlalchemy import select, text, update

from bridge import context, deliveries, documents, jobs, sending, sent_rows, status
from bridge.models import Delivery, DeliveryKind, PublishedRow, SentRow
from connectors import destinations
from lrs import db

DOCUMENT = """\
kind: destination
name: shelf
title: The shelf
type: shelf
path: shelf
feeds: [records, measures]
"""


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited for between two tries, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr(sending, "time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture
def shelf(company: Company, monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Shelf:
    """A shelf that the company's documents name; nothing is published or sent yet."""
    monkeypatch.setitem(destinations.DESTINATIONS, "shelf", shelves.load)  # type: ignore[arg-type]
    company.write("shelf.yaml", DOCUMENT)
    company.post(done(), scored("ann", 8.0), scored("bo", 4.0, at="2026-06-02T09:00:00Z"))
    jobs.load_documents()
    company.pull()
    jobs.map_items()
    jobs.build_records()
    jobs.publish()
    return _shelf()


def _shelf() -> Shelf:
    current = documents.current(db.session)
    assert current is not None
    found = documents.destination(current, "shelf", data_dir=context.settings().data_dir)
    assert isinstance(found, Shelf)
    return found


def deliver() -> None:
    """Attempt what is due, as workers do."""
    now = datetime.now(UTC)
    for delivery in deliveries.due(db.session, now=now):
        db.session.commit()
        jobs.deliver(delivery)


def delivery(feed: str = "records") -> Delivery:
    db.session.rollback()
    db.session.expire_all()
    return db.session.scalars(select(Delivery).filter_by(report=feed, kind=DeliveryKind.FEED)).one()


def published(feed: str = "records") -> dict[str, int]:
    """Give the versions of all rows that are there."""
    db.session.rollback()
    rows = db.session.execute(select(PublishedRow.key, PublishedRow.version).filter_by(feed=feed, deleted=False))
    return {key: version for key, version in rows}  # noqa: C416 - rows are no pairs to mypy


def on_shelf(feed: str = "records") -> dict[str, int]:
    return {key: row["version"] for key, row in _shelf().rows(feed).items()}


def key_of(name: str) -> str:
    db.session.rollback()
    return db.session.scalars(
        select(PublishedRow.key).where(PublishedRow.feed == "records", PublishedRow.person["name"].astext == name)
    ).one()


def score_again(company: Company, who: str = "bo", at: str = "2026-06-03T09:00:00Z") -> None:
    company.post(scored(who, 9.0, at=at))
    jobs.map_items()
    jobs.build_records()
    jobs.publish()


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_a_destination_gets_the_feeds_that_it_asks_for_row_by_row(shelf: Shelf) -> None:
    deliver()

    assert on_shelf("records") == published("records")
    assert on_shelf("measures") == published("measures")
    assert set(json.loads((shelf.path / "rows.json").read_text())["rows"]) == {"records", "measures"}
    row = delivery()
    assert (row.state, row.rows, row.attempts, row.last_error) == ("done", 2, 0, None)
    assert row.delivered_at is not None


def test_nothing_that_has_not_changed_is_sent_again(shelf: Shelf) -> None:
    deliver()
    before = shelf.calls
    deliveries.mark_due(db.session, "records")
    db.session.commit()

    deliver()

    assert shelf.calls == before
    assert delivery().state == "done"


def test_only_the_row_that_changed_is_sent(company: Company, shelf: Shelf) -> None:
    deliver()
    sent = len(shelf.effects())

    score_again(company)
    deliver()

    assert [key for _, key, _ in shelf.effects()[sent:]] == [key_of("Bo Berg")]
    assert on_shelf() == published()


def test_what_is_gone_here_goes_there(company: Company, shelf: Shelf) -> None:
    deliver()
    gone = key_of("Ann Archer")

    company.change("program.yaml", "assessments:", "population: {team: [South]}\nassessments:")
    jobs.load_documents()
    jobs.build_records()
    jobs.publish()
    deliver()

    assert on_shelf() == published()
    assert gone not in on_shelf()
    assert all(row["user"]["name"] == "Bo Berg" for row in shelf.rows("records").values())


def test_a_tombstone_goes_also_to_who_may_have_the_row_without_our_knowing(company: Company, shelf: Shelf) -> None:
    """A row was sent, and we were killed before its answer was stored; then it went."""
    deliver()
    db.session.execute(text("delete from sent_row"))
    db.session.commit()

    company.change("program.yaml", "assessments:", "population: {team: [South]}\nassessments:")
    jobs.load_documents()
    jobs.build_records()
    jobs.publish()
    deliver()

    assert on_shelf() == published()


def test_people_are_named_as_the_site_knows_them(company: Company, shelf: Shelf) -> None:
    company.change("shelf.yaml", "path: shelf", "path: shelf\nsite: https://moodle.example.com")
    accounts = '[{"home_page": "https://moodle.example.com", "name": "16"}, {"home_page": "https://x", "name": "a"}]'
    db.session.execute(
        text("update published_row set person = jsonb_set(person, '{accounts}', cast(:accounts as jsonb))"),
        {"accounts": accounts},
    )
    db.session.commit()
    jobs.load_documents()

    deliver()

    for row in _shelf().rows("records").values():
        assert row["user"]["accounts"] == [{"home_page": "https://moodle.example.com", "name": "16"}]


def test_of_other_programs_nothing_is_sent_and_what_was_sent_is_taken_back(company: Company, shelf: Shelf) -> None:
    deliver()
    company.change("shelf.yaml", "path: shelf", "path: shelf\nprograms: [other]")
    jobs.load_documents()
    deliver()
    assert on_shelf() == {}

    company.change("shelf.yaml", "programs: [other]", "programs: [other, calm-calls]")
    jobs.load_documents()
    deliver()
    assert on_shelf() == published()
    assert len(on_shelf()) == 2


def test_a_document_that_names_another_system_has_everything_sent_there(company: Company, shelf: Shelf) -> None:
    deliver()

    company.change("shelf.yaml", "path: shelf", "path: another")
    jobs.load_documents()
    deliver()

    assert _shelf().path != shelf.path
    assert on_shelf() == published()


def test_a_feed_that_is_no_longer_asked_for_has_no_delivery(company: Company, shelf: Shelf) -> None:
    company.change("shelf.yaml", "feeds: [records, measures]", "feeds: [records]")
    jobs.load_documents()

    assert db.session.scalars(select(Delivery.report).filter_by(kind="feed")).all() == ["records"]


def test_a_report_does_not_go_to_who_takes_rows(company: Company, shelf: Shelf) -> None:
    company.change("program.yaml", "destinations: [folder]", "destinations: [folder, shelf]")
    jobs.load_documents()

    [problem] = documents.problems(db.session)
    assert problem.text == "shelf takes rows, not reports"
    assert (problem.file.rpartition("/")[2], problem.line) == ("program.yaml", 18)


def test_all_is_settled_when_what_changed_is_published_and_sent(company: Company, shelf: Shelf) -> None:
    deliver()
    assert status.settled(db.session)

    company.post(scored("bo", 9.0, at="2026-06-03T09:00:00Z"))
    jobs.map_items()
    jobs.build_records()
    deliver()
    assert not status.settled(db.session)
    jobs.publish()
    assert not status.settled(db.session)
    deliver()
    assert status.settled(db.session)


# --- what the destination answers -------------------------------------------------------------------------------------


def test_a_refused_row_is_listed_stops_no_other_and_waits_for_a_change(company: Company, shelf: Shelf) -> None:
    refused = key_of("Bo Berg")
    shelf.order(refuse=[refused])

    deliver()
    deliveries.mark_due(db.session, "records")
    deliver()

    assert on_shelf() == {key: version for key, version in published().items() if key != refused}
    [row] = sent_rows.needing_a_person(db.session, delivery().id, limit=9)
    assert (row.key, row.outcome, row.message, row.attempts) == (refused, "refused", "The title is too long.", 1)
    assert delivery().state == "done"
    assert any("The title is too long." in line for line in status.overview(db.session)["refused_rows"])

    shelf.order()
    score_again(company)
    deliver()
    assert on_shelf() == published()
    assert sent_rows.needing_a_person(db.session, delivery().id, limit=9) == []


def test_a_row_of_somebody_whom_they_do_not_know_is_told_and_not_sent_again(shelf: Shelf) -> None:
    shelf.order(nobody=["Bo Berg"])

    deliver()
    calls = shelf.calls
    deliveries.mark_due(db.session, "records")
    deliver()

    assert shelf.calls == calls
    assert sent_rows.counts(db.session)[delivery().id] == sent_rows.Counts(held=2, unmatched=1)


def test_a_row_that_has_no_place_there_is_sent_again_from_time_to_time(shelf: Shelf) -> None:
    key = key_of("Bo Berg")
    shelf.order(left_out=[key])
    deliver()
    assert delivery().state == "done"
    assert sent_rows.counts(db.session)[delivery().id] == sent_rows.Counts(held=1, left_out=1)

    shelf.order()
    deliver()
    assert key not in on_shelf()
    db.session.execute(update(SentRow).values(sent_at=datetime.now(UTC) - timedelta(hours=7)))
    db.session.commit()
    deliver()

    assert on_shelf() == published()


def test_a_row_that_is_not_answered_is_sent_again_and_after_some_tries_needs_a_person(shelf: Shelf) -> None:
    key = key_of("Bo Berg")
    shelf.order(silent=[key])

    states = []
    for _ in range(6):
        deliver()
        states.append((delivery().state, delivery().last_error))
        db.session.execute(update(Delivery).values(next_try_at=None))
        db.session.commit()

    assert states[0] == ("retry", "1 row got no answer.")
    assert states[-1] == ("failed", "1 row got no answer.")
    assert [effect for effect in shelf.effects() if effect[1] == key] == [["records", key, published()[key]]]


# --- when it fails ----------------------------------------------------------------------------------------------------


def test_a_destination_that_is_busy_is_asked_again_after_short_pauses(shelf: Shelf, pauses: list[float]) -> None:
    shelf.order(down=3)

    deliver()

    assert on_shelf() == published()
    assert pauses == [1.0, 2.0, 4.0]
    assert delivery().attempts == 0


def test_a_destination_that_is_down_is_tried_later_and_later_and_then_waits_for_a_person(shelf: Shelf) -> None:
    shelf.order(down=10_000)

    waits = []
    while delivery().state not in ("failed", "done"):
        for one in deliveries.due(db.session, now=datetime.now(UTC)):
            db.session.commit()
            jobs.deliver(one)
        found = delivery()
        waits.append(found.next_try_at and round((found.next_try_at - datetime.now(UTC)).total_seconds(), -1))
        db.session.execute(update(Delivery).values(next_try_at=None))
        db.session.commit()

    assert waits == [30, 120, 600, 3600, 21600, None]
    assert delivery().last_error == "It is down."
    assert "records to shelf: It is down." in status.overview(db.session)["failing_deliveries"]


def test_it_is_tried_again_when_it_says_so(shelf: Shelf, pauses: list[float]) -> None:
    shelf.order(down=1, retry_after=3600)

    deliver()

    found = delivery()
    assert pauses == []
    assert found.state == "retry"
    assert found.next_try_at is not None
    assert timedelta(minutes=59) < found.next_try_at - datetime.now(UTC) <= timedelta(hours=1)


def test_who_refuses_us_altogether_is_not_asked_again_before_a_person_says_so(shelf: Shelf) -> None:
    shelf.order(refuse_all=True)
    deliver()
    calls = shelf.calls
    deliver()
    assert (delivery().state, delivery().last_error) == ("failed", "The key was withdrawn. Make a new one.")
    assert shelf.calls == calls

    shelf.order()
    deliveries.ask_again(db.session, "shelf")
    db.session.commit()
    deliver()
    assert on_shelf() == published()


def test_a_row_that_makes_every_call_fail_is_found_and_stops_no_other(company: Company, shelf: Shelf) -> None:
    for number in range(12):
        db.session.execute(
            text("""
                insert into published_row (feed, key, program, body, checksum)
                values ('records', :key, 'calm-calls', '{}', 'x')
            """),
            {"key": f"{number:03}"},
        )
    db.session.commit()
    shelf.order(poison=["007"])

    deliver()

    assert on_shelf() == {key: version for key, version in published().items() if key != "007"}
    assert delivery().state == "retry"
    assert delivery().last_error == "1 row cannot be delivered: It answered 500."


def test_one_that_is_down_stops_no_other(company: Company, shelf: Shelf) -> None:
    company.write("shelf2.yaml", DOCUMENT.replace("name: shelf", "name: ashelf").replace("path: shelf", "path: two"))
    jobs.load_documents()
    shelf.order(down=10_000)

    deliver()

    current = documents.current(db.session)
    assert current is not None
    other = documents.destination(current, "ashelf", data_dir=context.settings().data_dir)
    assert isinstance(other, Shelf)
    assert {key: row["version"] for key, row in other.rows("records").items()} == published()
    assert (context.settings().data_dir / "reports" / "calm.json").exists()


def test_what_changes_while_rows_are_on_their_way_is_sent_too(
    company: Company, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = [True]
    send = Shelf.send

    def and_then(self: Shelf, rows: Any) -> Any:
        answers = send(self, rows)
        if once and rows[0].feed == "records":
            once.clear()
            score_again(company)
        return answers

    monkeypatch.setattr(Shelf, "send", and_then)
    deliver()
    assert delivery().state == "due"
    deliver()

    assert on_shelf() == published()


def test_a_fault_of_ours_is_written_down_and_does_not_come_again_at_once(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Shelf, rows: Any) -> Any:
        raise KeyError("ann@example.com")

    monkeypatch.setattr(Shelf, "send", broken)
    with pytest.raises(KeyError):
        jobs.deliver(delivery().id)

    found = delivery()
    assert (found.state, found.attempts) == ("retry", 1)
    assert found.last_error == "A fault of lrs-bridge (KeyError); the worker's log has it."


# --- pulling the plug -------------------------------------------------------------------------------------------------

_WORKER = """
import sys
from datetime import UTC, datetime
sys.path.insert(0, {folder!r})
import shelf
from bridge import deliveries, jobs
from bridge.app import create_app
from bridge.settings import Settings
from connectors import destinations
from lrs import db

destinations.DESTINATIONS["shelf"] = shelf.load
with create_app(Settings.from_env()).app_context():
    for one in deliveries.due(db.session, now=datetime.now(UTC)):
        db.session.commit()
        jobs.deliver(one)
"""


@pytest.fixture
def worker() -> Iterator[Callable[[], int]]:
    """Deliver what is due in a process of its own; gives how it ended."""
    environment = os.environ | context.settings().to_mapping()

    def run() -> int:
        db.session.rollback()
        code = _WORKER.format(folder=str(Path(__file__).parent))
        return subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=120).returncode

    return run


def test_after_kills_at_any_call_both_sides_are_equal_and_nothing_happened_twice(
    shelf: Shelf, worker: Callable[[], int]
) -> None:
    for number in range(23):
        db.session.execute(
            text("""
                insert into published_row (feed, key, program, body, checksum)
                values ('records', :key, 'calm-calls', '{}', 'x')
            """),
            {"key": f"{number:03}"},
        )
    db.session.commit()
    ends = []
    for orders in ({"die_after": 1}, {"die_before": 2}, {"die_after": 2}, {"die_before": 1}, {"die_after": 3}):
        shelf.order(**orders)
        ends.append(worker())
    shelf.order()
    assert worker() == 0

    assert ends == [-signal.SIGKILL] * 5
    assert on_shelf() == published()
    assert on_shelf("measures") == published("measures")
    effects = [tuple(effect) for effect in shelf.effects()]
    assert len(effects) == len(set(effects))
    assert delivery().state == "done"


# --- commands ---------------------------------------------------------------------------------------------------------


def test_deliver_delivers_and_shows_feeds_beside_reports(shelf: Shelf, lrs_bridge: Callable[..., Result]) -> None:
    shelf.order(refuse=[key_of("Bo Berg")])

    result = lrs_bridge("deliver", "--json")

    assert result.exit_code == 0
    rows = {row["report"]: row for row in json.loads(result.output)}
    assert rows.keys() == {"calm", "records", "measures"}
    assert (rows["calm"]["kind"], rows["calm"]["state"], rows["calm"]["refused"]) == ("report", "done", None)
    feed = rows["records"]
    assert (feed["kind"], feed["state"], feed["rows"], feed["refused"], feed["unmatched"]) == ("feed", "done", 1, 1, 0)


def test_deliver_status_of_one_destination_leaves_the_others_out(
    shelf: Shelf, lrs_bridge: Callable[..., Result]
) -> None:
    told = json.loads(lrs_bridge("deliver", "status", "shelf", "--json").output)
    unknown = lrs_bridge("deliver", "status", "shelv")

    assert {one["destination"] for one in told} == {"shelf"}
    assert unknown.exit_code == 2
    assert "Did you mean 'shelf'?" in unknown.output


def test_deliver_status_names_refused_rows_and_sends_nothing(shelf: Shelf, lrs_bridge: Callable[..., Result]) -> None:
    key = key_of("Bo Berg")
    shelf.order(refuse=[key], nobody=["Ann Archer"])
    lrs_bridge("deliver")
    calls = shelf.calls

    shown, told = lrs_bridge("deliver", "status"), lrs_bridge("deliver", "status", "--json")

    assert (shown.exit_code, told.exit_code, shelf.calls) == (0, 0, calls)
    [records] = [row for row in json.loads(told.output) if row["report"] == "records"]
    assert records["open_rows"][0] == {"key": key, "outcome": "refused", "message": "The title is too long."}
    assert [row["outcome"] for row in records["open_rows"]] == ["refused", "unmatched"]
    assert "The title is too long." in " ".join(shown.output.split())


def test_deliver_retry_sends_what_was_refused_and_what_failed(shelf: Shelf, lrs_bridge: Callable[..., Result]) -> None:
    shelf.order(refuse=[key_of("Bo Berg")])
    lrs_bridge("deliver")
    shelf.order()

    assert lrs_bridge("deliver", "retry", "shelf").exit_code == 0
    assert on_shelf() == published()

    shelf.order(refuse_all=True)
    lrs_bridge("deliver", "replay", "shelf")
    assert delivery().state == "failed"
    shelf.order()
    assert lrs_bridge("deliver", "retry").exit_code == 0
    assert delivery().state == "done"


def test_deliver_replay_sends_everything_anew_and_it_is_taken(shelf: Shelf, lrs_bridge: Callable[..., Result]) -> None:
    lrs_bridge("deliver")
    shelf.change("records", key_of("Bo Berg"), body={"changed": "there"})

    result = lrs_bridge("deliver", "replay", "shelf")

    assert result.exit_code == 0
    assert on_shelf() == published()
    assert all(row["body"] == row["sent"] for row in shelf.rows("records").values())
    assert len(shelf.effects()) == 2 * (len(published()) + len(published("measures")))


@pytest.mark.parametrize("command", [("retry", "shlef"), ("replay", "shlef")])
def test_a_name_that_nothing_has_is_a_wrong_call(
    shelf: Shelf, lrs_bridge: Callable[..., Result], command: tuple[str, str]
) -> None:
    result = lrs_bridge("deliver", *command)

    assert result.exit_code == 2
    assert "Did you mean 'shelf'" in result.output


def test_deliver_says_by_its_exit_code_that_something_failed(shelf: Shelf, lrs_bridge: Callable[..., Result]) -> None:
    shelf.order(refuse_all=True)

    assert lrs_bridge("deliver").exit_code == 1
