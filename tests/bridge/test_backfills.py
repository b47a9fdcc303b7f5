"""Backfills: the past in slices beside the present, newest first, each page with its checkpoint."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from company import Company
from factories import page, row
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from bridge import backfills, jobs, sources
from bridge.errors import Busy, Superseded
from bridge.locks import single_flight
from bridge.models import BackfillSlice
from connectors import Page, RowProblem, SourceBroken, SourceUnavailable
from lrs import db

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SLICES = [(NOW - (number + 1) * DAY, NOW - number * DAY) for number in range(3)]
"""Newest first."""


def plan(session: Session, source: str = "helpdesk") -> int:
    return backfills.plan(session, source, SLICES[::-1], now=NOW)


def begin(session: Session, *, at: datetime = NOW) -> backfills.Slice:
    part = backfills.begin(session, "helpdesk", now=at)
    assert part is not None
    return part


def states(session: Session) -> list[tuple[bool, int]]:
    """Give (done, failures) of all slices, newest first."""
    rows = session.execute(
        select(BackfillSlice.done_at.is_not(None), BackfillSlice.failures).order_by(BackfillSlice.high.desc())
    )
    return [tuple(one) for one in rows]


# --- what stands on the slices -------------------------------------------------------------------------------------


def test_slices_are_read_newest_first_and_each_once(session: Session) -> None:
    assert plan(session) == 3
    read = []
    while (part := backfills.begin(session, "helpdesk", now=NOW)) is not None:
        read.append((part.low, part.high))
        backfills.finish(session, part, now=NOW)

    assert read == SLICES
    progress = backfills.progress(session)["helpdesk"]
    assert (progress.slices, progress.done, progress.is_done) == (3, 3, True)


def test_the_same_slices_are_not_planned_twice_while_they_wait(session: Session) -> None:
    plan(session)
    backfills.finish(session, begin(session), now=NOW)

    assert plan(session) == 1  # the one that was done is asked for again
    assert backfills.progress(session)["helpdesk"].slices == 4


def test_a_plan_takes_the_place_of_one_that_was_worked_off(session: Session) -> None:
    plan(session)
    for _ in SLICES:
        backfills.finish(session, begin(session), now=NOW)

    assert backfills.plan(session, "helpdesk", SLICES[:1], now=NOW) == 1
    assert backfills.progress(session)["helpdesk"].slices == 1


def test_a_slice_goes_on_where_its_last_page_was_stored(session: Session) -> None:
    plan(session)
    first = begin(session)
    assert first.state is None
    backfills.store_page(session, "helpdesk", first, replace(page(row("1", "x")), state={"page": 1}), now=NOW)
    backfills.store_page(session, "helpdesk", first, replace(page(row("2", "x")), state=None), now=NOW)

    again = begin(session)

    assert (again.id, again.state, again.fence) == (first.id, {"page": 1}, first.fence + 1)


def test_a_slice_that_was_begun_again_elsewhere_stores_nothing_more(session: Session) -> None:
    plan(session)
    first, second = begin(session), begin(session)

    with pytest.raises(Superseded):
        backfills.store_page(session, "helpdesk", first, page(row("1", "x")), now=NOW)
    with pytest.raises(Superseded):
        backfills.finish(session, first, now=NOW)
    with pytest.raises(Superseded):
        backfills.fail(session, first, "x", now=NOW)
    backfills.store_page(session, "helpdesk", second, page(row("1", "x")), now=NOW)
    assert sources.counts(session) == {"helpdesk": (1, 1)}


def test_a_failing_slice_is_tried_later_and_later_and_then_set_aside_for_the_next_one(session: Session) -> None:
    plan(session)
    at, waits = NOW, []
    for _ in range(backfills.MAX_FAILURES):
        part = begin(session, at=at)
        assert part.high == NOW
        backfills.fail(session, part, "no such field", now=at)
        [due_at] = session.scalars(select(BackfillSlice.next_try_at).where(BackfillSlice.id == part.id))
        waits.append((due_at - at).total_seconds())
        at = due_at

    assert waits == [30, 120, 600, 3600, 3600, 3600]
    assert begin(session, at=at + 100 * DAY).high == NOW - DAY
    progress = backfills.progress(session)["helpdesk"]
    assert (progress.set_aside, progress.last_error) == (1, "no such field")
    assert "1 set aside" in progress.told()
    assert "no such field" in progress.told()

    backfills.try_again(session, "helpdesk")
    assert begin(session, at=at).high == NOW


def test_a_system_that_is_away_lets_all_slices_wait_as_long_as_it_says_and_sets_none_aside(session: Session) -> None:
    plan(session)
    at = NOW
    for _ in range(backfills.MAX_FAILURES + 3):
        backfills.wait(session, "helpdesk", begin(session, at=at), "busy", now=at, retry_after=7200)
        assert backfills.due(session, ["helpdesk"], now=at + timedelta(seconds=7199)) == []
        at += timedelta(seconds=7200)
        assert backfills.due(session, ["helpdesk"], now=at) == ["helpdesk"]

    assert states(session) == [(False, 0)] * 3


def test_only_sources_that_are_there_and_not_paused_are_due(session: Session) -> None:
    plan(session)
    plan(session, "gone")
    assert backfills.due(session, ["helpdesk", "crm"], now=NOW) == ["helpdesk"]

    part = begin(session)
    sources.pause(session, "helpdesk", now=NOW)

    assert backfills.due(session, ["helpdesk"], now=NOW) == []
    assert backfills.begin(session, "helpdesk", now=NOW) is None
    with pytest.raises(Superseded):
        backfills.store_page(session, "helpdesk", part, page(row("1", "x")), now=NOW)


def test_a_reset_forgets_the_slices(session: Session) -> None:
    plan(session)
    plan(session, "crm")

    sources.reset(session, "helpdesk")

    assert list(backfills.progress(session)) == ["crm"]


def test_problems_of_the_past_outlive_pulls_and_are_told_for_a_month(session: Session) -> None:
    plan(session)
    bad = page(problems=(RowProblem(7, "opened_at", "No date.", "x"),))
    part = begin(session)
    backfills.store_page(session, "helpdesk", part, replace(bad, state=None), now=NOW)
    for _ in range(2):
        begun = sources.begin(session, "helpdesk", now=NOW + DAY)
        sources.finish(session, "helpdesk", {}, started_at=NOW + DAY, every=60, fence=begun.fence)
    assert len(sources.problems(session, "helpdesk")) == 1

    again = begin(session)  # nothing of it had been stored, so it finds them again
    assert sources.problems(session, "helpdesk") == []
    backfills.store_page(session, "helpdesk", again, replace(bad, state={"page": 1}), now=NOW)
    begin(session)
    assert len(sources.problems(session, "helpdesk")) == 1

    backfills.forget_problems(session, now=NOW + 29 * DAY)
    assert len(sources.problems(session, "helpdesk")) == 1
    backfills.forget_problems(session, now=NOW + 31 * DAY)
    assert sources.problems(session, "helpdesk") == []


# --- the job -------------------------------------------------------------------------------------------------------


@dataclass
class Desk:
    """A helpdesk whose tickets of one day each are a slice of two pages; `faults` come before a page."""

    name: str = "helpdesk"
    title: str = "Helpdesk"
    every_seconds: int = 3600
    faults: dict[str, Exception] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None
    since: datetime | None = NOW

    def pull(self, _state: object) -> Iterator[Page]:
        yield replace(page(), state={"began": str(self.since)})
        yield replace(page(), state=None)  # the first part of an answer that is more than a page
        yield replace(page(*(row(f"day {number}.0", "old") for number in range(2))), state={"began": str(self.since)})

    def began(self, state: dict[str, str]) -> datetime | None:
        return datetime.fromisoformat(state["began"])

    def slices(self, _since: datetime | None, until: datetime | None) -> Sequence[tuple[datetime, datetime]]:
        assert until is not None
        return [(until - (number + 1) * DAY, until - number * DAY) for number in range(3)]

    def backfill(self, _low: datetime, high: datetime, state: dict[str, int] | None) -> Iterator[Page]:
        day = (NOW - high).days
        for number in range((state or {"page": 0})["page"], 2):
            key = f"day {day}.{number}"
            self.before(key)
            if fault := self.faults.pop(key, None):
                raise fault
            self.read.append(key)
            yield replace(page(row(key, "old"), row(f"{key}b", "x")), state={"page": number + 1})


ALL = [f"day {day}.{number}" for day in range(3) for number in range(2)]


@pytest.fixture
def desk(company: Company, monkeypatch: pytest.MonkeyPatch) -> Desk:
    jobs.load_documents()
    made = Desk()
    monkeypatch.setattr("bridge.documents.source", lambda *_, **__: made)
    return made


def keys() -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(text("select key from source_record order by key")))


def test_the_past_is_planned_with_the_first_page_of_the_first_pull_and_read_by_the_job(desk: Desk) -> None:
    jobs.pull("helpdesk")
    assert backfills.due(db.session, ["helpdesk"], now=NOW) == ["helpdesk"]

    jobs.backfill("helpdesk")

    assert desk.read == ALL
    assert len(keys()) == 12
    # Two of the twelve had been pulled, and are not doubled.
    assert sources.counts(db.session)["helpdesk"] == (12, 12)
    progress = backfills.progress(db.session)["helpdesk"]
    assert (progress.done, progress.rows, progress.versions) == (3, 12, 10)


def test_the_past_is_planned_once_and_anew_when_it_begins_anew(desk: Desk) -> None:
    for _ in range(3):
        jobs.pull("helpdesk")
    assert backfills.progress(db.session)["helpdesk"].slices == 3
    jobs.backfill("helpdesk")

    jobs.pull("helpdesk")
    assert backfills.progress(db.session)["helpdesk"].is_done

    desk.since = NOW + DAY
    jobs.pull("helpdesk")
    assert backfills.progress(db.session)["helpdesk"].done == 0


def test_a_pull_that_is_killed_after_its_first_page_has_planned_the_past(desk: Desk, monkeypatch) -> None:
    def killed(_state: object) -> Iterator[Page]:
        yield replace(page(), state={"began": str(NOW)})
        raise KeyboardInterrupt

    monkeypatch.setattr(desk, "pull", killed)
    with pytest.raises(KeyboardInterrupt):
        jobs.pull("helpdesk")

    db.session.rollback()
    assert backfills.progress(db.session)["helpdesk"].slices == 3


def test_the_job_lets_others_have_the_worker_and_rings_again(desk: Desk, monkeypatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(jobs, "ring", lambda _queue, job, *_, **__: rung.append(job.__name__))
    monkeypatch.setattr(jobs, "SLICE_SECONDS", 0)
    plan(db.session)
    db.session.commit()

    runs = 0
    while not backfills.progress(db.session)["helpdesk"].is_done:
        before = len(desk.read)
        jobs.backfill("helpdesk")
        assert len(desk.read) - before <= 1
        runs += 1

    assert desk.read == ALL
    assert rung.count("backfill") == runs


def test_a_killed_job_goes_on_with_the_page_that_was_not_stored(desk: Desk) -> None:
    plan(db.session)
    db.session.commit()
    desk.faults["day 1.1"] = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        jobs.backfill("helpdesk")
    db.session.rollback()

    jobs.backfill("helpdesk")

    assert desk.read == ALL
    assert len(keys()) == 12


def test_a_system_that_asks_to_wait_is_left_alone(desk: Desk) -> None:
    plan(db.session)
    db.session.commit()
    desk.faults["day 1.0"] = SourceUnavailable("Busy.", retry_after=900)

    jobs.backfill("helpdesk")

    assert desk.read == ALL[:2]
    progress = backfills.progress(db.session)["helpdesk"]
    assert progress.last_error == "Busy."
    assert progress.next_try_at is not None
    assert progress.next_try_at - datetime.now(UTC) > timedelta(seconds=890)


def test_a_slice_that_cannot_be_read_stands_aside_and_the_others_go_on(desk: Desk) -> None:
    plan(db.session)
    db.session.commit()
    desk.faults["day 1.0"] = SourceBroken("No list.")

    jobs.backfill("helpdesk")

    assert desk.read == [key for key in ALL if not key.startswith("day 1")]
    assert states(db.session) == [(True, 0), (False, 1), (True, 0)]


def test_a_fault_of_ours_is_written_down_without_its_words(desk: Desk) -> None:
    plan(db.session)
    db.session.commit()
    desk.faults["day 0.0"] = ValueError("secret words")

    with pytest.raises(ValueError, match="secret words"):
        jobs.backfill("helpdesk")

    told = backfills.progress(db.session)["helpdesk"].last_error
    assert told == "A fault of lrs-bridge (ValueError); the worker's log has it."


def test_one_at_a_time_reads_the_past_of_a_source_and_pulls_go_on(desk: Desk) -> None:
    plan(db.session)
    db.session.commit()
    with single_flight(db.engine, "backfill helpdesk"):
        jobs.backfill("helpdesk")
        assert desk.read == []
        with pytest.raises(Busy):
            jobs.backfill_now("helpdesk")
        jobs.pull("helpdesk")
        assert sources.state(db.session, "helpdesk").succeeded_at is not None


def test_a_source_that_is_paused_meanwhile_stops_at_its_next_page(desk: Desk, company: Company) -> None:
    def pause(key: str) -> None:
        if key == "day 1.1":
            with Session(engine) as other:
                sources.pause(other, "helpdesk", now=NOW)
                other.commit()

    engine = db.engine
    desk.before = pause
    plan(db.session)
    db.session.commit()

    jobs.backfill("helpdesk")

    assert len(keys()) == 6
    assert threading.active_count() < 50
    jobs.backfill("helpdesk")
    assert len(keys()) == 6
    sources.resume(db.session, "helpdesk")
    db.session.commit()
    desk.before = lambda _: None
    jobs.backfill("helpdesk")
    assert len(keys()) == 12


def test_the_schedule_rings_for_what_can_be_read(desk: Desk, monkeypatch) -> None:
    rung: list[tuple[str, ...]] = []
    monkeypatch.setattr(jobs, "ring", lambda queue, job, *names, **_: rung.append((queue, job.__name__, *names)))
    jobs.backfill_due()
    assert rung == []
    plan(db.session)
    plan(db.session, "not-in-force")
    db.session.commit()

    jobs.backfill_due()

    assert rung == [("sources", "backfill", "helpdesk")]


def test_slices_of_a_source_whose_document_cannot_read_its_past_any_more_wait(company: Company) -> None:
    jobs.load_documents()
    plan(db.session)  # helpdesk is a CSV file
    db.session.commit()

    jobs.backfill("helpdesk")

    assert states(db.session) == [(False, 0)] * 3
