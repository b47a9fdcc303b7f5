"""Source records: every version once, in order, whatever is pulled again."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from company import Company
from factories import page, row
from flask import current_app
from rq import Queue
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from bridge import facts, jobs, sources
from bridge.errors import Paused, Superseded
from bridge.models import SourceRecord, SourceRecordVersion, SourceState
from connectors import Page, Row, RowProblem
from lrs import db

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def values(session: Session) -> list[str]:
    found = session.scalars(select(SourceRecordVersion).order_by(SourceRecordVersion.id)).all()
    return [version.data["value"] for version in found]


def store(session: Session, *rows: Row) -> int:
    return sources.store_page(session, "crm", page(*rows), started_at=NOW)


def test_a_record_without_a_cursor_gets_a_version_for_each_change(session: Session) -> None:
    counts = [store(session, row("1", value)) for value in ("open", "open", "won", "open")]

    assert counts == [1, 0, 1, 1]
    assert values(session) == ["open", "won", "open"]


def test_a_record_with_a_cursor_gets_each_version_once_in_any_order(session: Session) -> None:
    log = [
        row("1", "new", ("2026-01-01", 0)),
        row("1", "solved", ("2026-01-02", 1)),
        row("1", "new", ("2026-01-03", 2)),
    ]

    assert store(session, *log) == 3
    assert store(session, *reversed(log)) == 0


def test_the_same_version_twice_on_a_page_is_stored_once(session: Session) -> None:
    assert store(session, row("1", "new", ("2026-01-01", 0)), row("1", "new", ("2026-01-01", 0))) == 1


DAY = ("2026-01-01",)


def newest(session: Session, key: str = "1") -> str:
    """The state that facts are read from."""
    record = session.scalars(select(SourceRecord.id).where(SourceRecord.key == key)).one()
    ((_, _, versions),) = facts.versions_of(session, [record])
    data = versions[-1].data
    return "gone" if data is None else data["value"]


@pytest.mark.parametrize("cursor", [None, DAY])
def test_a_record_that_goes_back_to_what_it_was_is_that_again_though_its_cursor_stays(
    session: Session, cursor: tuple[str] | None
) -> None:
    told = [(store(session, row("1", value, cursor)), newest(session)) for value in ("open", "won", "open", "open")]

    assert told == [(1, "open"), (1, "won"), (1, "open"), (0, "open")]
    assert values(session) == ["open", "won", "open"]


def test_a_record_that_comes_back_within_the_grain_of_its_cursor_is_there_again(session: Session) -> None:
    told = [(store(session, one), newest(session)) for one in (row("1", "won", DAY), gone("1", DAY))]
    told += [(store(session, row("1", "won", DAY)), newest(session)) for _ in range(2)]

    assert told == [(1, "won"), (1, "gone"), (1, "won"), (0, "won")]


@pytest.mark.parametrize("cursor", [None, DAY])
def test_of_one_record_several_times_on_a_page_the_last_is_what_it_is_now(
    session: Session, cursor: tuple[str] | None
) -> None:
    told = [row("1", value, cursor) for value in ("open", "won", "open")]

    assert [store(session, *told) for _ in range(3)] == [3, 0, 0]
    assert [store(session, *told[:2]) for _ in range(3)] == [1, 0, 0]
    assert newest(session) == "won"


def test_an_older_version_that_is_read_again_stays_older(session: Session) -> None:
    """As a lookback, a slice of the past, or a file that holds them all shows them."""
    versions = [row("1", "open", ("2026-01-01",)), row("1", "won", ("2026-01-02",))]

    assert [store(session, *versions), store(session, versions[0]), store(session, *versions)] == [2, 0, 0]
    assert store(session, row("1", "corrected", ("2026-01-01",))) == 1
    assert newest(session) == "won"


def test_a_source_that_has_no_cursor_any_more_still_says_what_its_records_are_now(session: Session) -> None:
    store(session, row("1", "open", DAY))

    assert [store(session, row("1", value)) for value in ("open", "won", "won", "open")] == [0, 1, 0, 1]
    assert newest(session) == "open"


def test_what_was_sent_and_is_sent_again_is_known(session: Session) -> None:
    told = [row("1", value, DAY) for value in ("open", "won", "open")]

    stored = [sources.store_fetched(session, "crm", page(one), seen_at=NOW, present=False) for one in told]

    assert stored == [1, 1, 0]
    assert newest(session) == "won"


@pytest.mark.parametrize("cursor", [None, DAY])
@pytest.mark.parametrize("is_known", [False, True])
def test_what_two_bring_at_once_is_stored_once(session: Session, cursor: tuple[str] | None, *, is_known: bool) -> None:
    """A pull and a slice of the past: the second one waits for the first."""
    keys = [str(number) for number in range(20)]
    if is_known:
        store(session, *(row(key, "open", cursor) for key in keys))
    session.commit()
    engine, counts = db.engine, []

    def store_elsewhere() -> None:
        with Session(engine) as other:
            rows = [row(key, "won", cursor) for key in reversed(keys)]
            counts.append(sources.store_fetched(other, "crm", page(*rows), seen_at=NOW))
            other.commit()

    store(session, *(row(key, "won", cursor) for key in keys))
    thread = threading.Thread(target=store_elsewhere)
    thread.start()
    thread.join(0.2)
    assert counts == []
    session.commit()
    thread.join(5)

    assert counts == [0]
    assert len(values(session)) == 20 * (1 + is_known)


def gone(key: str, cursor: tuple[object, ...] | None = None) -> Row:
    return replace(row(key, "", cursor), data={}, deleted=True)


def deletions(session: Session) -> list[bool]:
    return list(session.scalars(select(SourceRecordVersion.deleted).order_by(SourceRecordVersion.id)))


def test_a_deletion_is_a_version_and_what_comes_back_is_one_too(session: Session) -> None:
    counts = [store(session, one) for one in (row("1", "won"), gone("1"), gone("1"), row("1", "won"), gone("1"))]

    assert counts == [1, 1, 0, 1, 1]
    assert deletions(session) == [False, True, False, True]


def test_a_deletion_with_a_cursor_is_stored_once_whatever_hash_it_came_with(session: Session) -> None:
    deletion = gone("1", ("2026-01-02", 1))

    assert store(session, row("1", "new", ("2026-01-02", 1)), deletion) == 2
    assert store(session, replace(deletion, content_hash=b"other"), deletion) == 0


def test_keys_of_different_sources_do_not_meet(session: Session) -> None:
    store(session, row("1", "a"))
    sources.store_page(session, "helpdesk", page(row("1", "b")), started_at=NOW)

    assert sources.counts(session) == {"crm": (1, 1), "helpdesk": (1, 1)}


def test_problems_of_a_full_read_replace_those_of_the_one_before(session: Session) -> None:
    problem = RowProblem(row=7, column="opened_at", message="No date.", raw="x")
    other = RowProblem(row=9, column=None, message="Too short.", raw="y")
    for started_at, found in ((NOW, problem), (NOW + timedelta(hours=1), other)):
        sources.begin(session, "crm", now=started_at)
        sources.store_page(session, "crm", page(problems=(found,)), started_at=started_at)
        sources.finish(session, "crm", {"read": "all"}, started_at=started_at, every=60)

    assert [(one.row, one.message) for one in sources.problems(session, "crm")] == [(9, "Too short.")]


def test_problems_of_a_pull_that_failed_are_not_listed_twice(session: Session) -> None:
    problem = RowProblem(row=7, column="opened_at", message="No date.", raw="x")
    for hour in range(3):
        sources.begin(session, "crm", now=NOW + timedelta(hours=hour))
        sources.store_page(session, "crm", page(problems=(problem,)), started_at=NOW + timedelta(hours=hour))
        sources.fail(session, "crm", "cut off", now=NOW + timedelta(hours=hour))

    assert len(sources.problems(session, "crm")) == 1


def test_problems_stay_listed_while_the_source_is_unchanged(session: Session) -> None:
    problem = RowProblem(row=7, column="opened_at", message="No date.", raw="x")
    sources.store_page(session, "crm", page(problems=(problem,)), started_at=NOW)
    sources.finish(session, "crm", {"read": "all"}, started_at=NOW, every=60)

    sources.finish(session, "crm", None, started_at=NOW + timedelta(hours=1), every=60)

    assert len(sources.problems(session, "crm")) == 1
    assert sources.state(session, "crm").state == {"read": "all"}


def test_a_source_is_due_at_first_and_then_after_its_interval(session: Session) -> None:
    assert sources.due(session, {"crm": "a"}, now=NOW) == ["crm"]

    sources.begin(session, "crm", now=NOW, document_hash="a")
    sources.finish(session, "crm", None, started_at=NOW, every=60)

    assert sources.due(session, {"crm": "a"}, now=NOW + timedelta(seconds=59)) == []
    assert sources.due(session, {"crm": "a"}, now=NOW + timedelta(seconds=60)) == ["crm"]


def test_a_source_whose_document_has_changed_is_due_at_once_and_without_its_back_off(session: Session) -> None:
    sources.begin(session, "crm", now=NOW, document_hash="a")
    for _ in range(4):
        sources.fail(session, "crm", "no such column", now=NOW)

    assert sources.due(session, {"crm": "a"}, now=NOW + timedelta(seconds=1)) == []
    assert sources.due(session, {"crm": "b"}, now=NOW + timedelta(seconds=1)) == ["crm"]

    sources.begin(session, "crm", now=NOW, document_hash="b")
    sources.fail(session, "crm", "still down", now=NOW)
    assert sources.state(session, "crm").next_pull_at == NOW + timedelta(seconds=sources.RETRY_SECONDS[0])


@pytest.mark.parametrize(
    ("failures", "retry_after", "wait"),
    [(1, None, 30), (2, None, 120), (9, None, 3600), (1, 900.0, 900), (2, 5.0, 120)],
)
def test_a_failed_pull_is_tried_again_later_and_later_and_never_before_the_source_allows(
    session: Session, failures: int, retry_after: float | None, wait: int
) -> None:
    for _ in range(failures):
        sources.fail(session, "crm", "down", now=NOW, retry_after=retry_after)

    state = sources.state(session, "crm")
    assert state.next_pull_at == NOW + timedelta(seconds=wait)
    assert (state.failures, state.last_error) == (failures, "down")


def test_a_wait_that_was_asked_for_is_no_failure_while_pages_come_in_between(session: Session) -> None:
    for number in range(20):
        begun = sources.begin(session, "crm", now=NOW)
        read = replace(page(), state={"page": number, "quota": {"left": 0}})
        sources.store_page(session, "crm", read, started_at=NOW, fence=begun.fence)
        sources.wait(session, "crm", "used up", now=NOW, retry_after=60, fence=begun.fence)

    row = sources.state(session, "crm")
    assert (row.failures, row.last_error, row.waits_for) == (1, None, "used up")
    assert row.next_pull_at == NOW + timedelta(seconds=60)
    assert row.failed_at is None
    assert sources.begin(session, "crm", now=NOW).state == {"page": 19, "quota": {"left": 0}}
    assert sources.state(session, "crm").waits_for is None


def test_a_wait_again_and_again_for_nothing_is_a_failure(session: Session) -> None:
    waits = []
    for number in range(6):
        begun = sources.begin(session, "crm", now=NOW)
        read = replace(page(), state={"page": 1, "quota": {"left": number}})
        sources.store_page(session, "crm", read, started_at=NOW, fence=begun.fence)
        sources.wait(session, "crm", "busy", now=NOW, retry_after=5, fence=begun.fence)
        row = sources.state(session, "crm")
        waits.append(((row.next_pull_at - NOW).total_seconds(), row.last_error))

    assert waits == [(30, None), (120, None), (600, None), (3600, None), (3600, "busy"), (3600, "busy")]


def test_a_pull_that_came_further_before_it_failed_does_not_back_off(session: Session) -> None:
    for number in range(5):
        begun = sources.begin(session, "crm", now=NOW)
        read = replace(page(), state={"page": number})
        sources.store_page(session, "crm", read, started_at=NOW, fence=begun.fence)
        assert sources.state(session, "crm").last_error is None
        sources.fail(session, "crm", "cut off", now=NOW, fence=begun.fence)

    assert sources.state(session, "crm").next_pull_at == NOW + timedelta(seconds=sources.RETRY_SECONDS[0])


# --- fences --------------------------------------------------------------------------------------------------------


def test_of_two_pulls_only_the_later_one_stores_anything(session: Session) -> None:
    """The first one's lock was lost with its connection, and it does not know."""
    first = sources.begin(session, "crm", now=NOW)
    sources.store_page(session, "crm", page(row("1", "open")), started_at=NOW, fence=first.fence)
    session.commit()
    with Session(db.engine) as other:
        second = sources.begin(other, "crm", now=NOW)
        sources.store_page(other, "crm", page(row("2", "open")), started_at=NOW, fence=second.fence)
        other.commit()

        deeds = (
            lambda: sources.store_page(session, "crm", page(row("3", "x")), started_at=NOW, fence=first.fence),
            lambda: sources.rest(session, "crm", now=NOW, fence=first.fence),
            lambda: sources.finish(session, "crm", {"at": 1}, started_at=NOW, every=60, fence=first.fence),
            lambda: sources.fail(session, "crm", "down", now=NOW, fence=first.fence),
        )
        for deed in deeds:
            with pytest.raises(Superseded, match="begun again elsewhere"):
                deed()
            session.rollback()

        sources.finish(other, "crm", {"at": 2}, started_at=NOW, every=60, fence=second.fence)
        other.commit()
    assert sources.counts(session) == {"crm": (2, 2)}
    assert sources.state(session, "crm").state == {"at": 2}


def test_a_page_that_is_being_stored_is_whole_before_the_next_pull_begins(session: Session) -> None:
    first = sources.begin(session, "crm", now=NOW)
    session.commit()
    sources.store_page(session, "crm", page(row("1", "open")), started_at=NOW, fence=first.fence)
    begun: list[sources.Begun] = []

    def begin() -> None:
        with Session(engine) as other:
            begun.append(sources.begin(other, "crm", now=NOW))
            other.commit()

    engine = db.engine
    thread = threading.Thread(target=begin)
    thread.start()
    thread.join(0.2)
    assert begun == []

    session.commit()
    thread.join(5)
    assert begun == [sources.Begun(first.fence + 1, {"read": "all"})]


def test_a_pull_whose_lock_was_lost_stops_quietly_at_its_next_page(
    company: Company, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connection is killed between two pages, and another worker pulls meanwhile."""
    caplog.set_level("INFO")
    jobs.load_documents()

    class Paged:
        name, title, every_seconds = "helpdesk", "Helpdesk", 3600

        def pull(self, _state: object) -> Iterator[Page]:
            yield replace(page(row("1", "open")), state={"page": 1})
            with Session(db.engine) as other:
                terminate = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
                assert list(other.scalars(text(terminate))) == [True]
                while other.scalar(text("select count(*) from pg_locks where locktype = 'advisory'")):
                    time.sleep(0.01)
                other.commit()
            threading.Thread(target=self.pull_elsewhere).start()
            assert self.pulled.wait(10)
            yield replace(page(row("2", "of the first")), state={"page": 2})

        pulled = threading.Event()

        def pull_elsewhere(self) -> None:
            with company.app.app_context():
                monkeypatch.setattr(self, "pull", lambda _: iter([replace(page(row("3", "x")), state={"page": 9})]))
                jobs.pull("helpdesk")
            self.pulled.set()

    source = Paged()
    monkeypatch.setattr("bridge.documents.source", lambda *_, **__: source)
    jobs.pull("helpdesk")

    db.session.rollback()
    found = list(db.session.scalars(text("select key from source_record where source = 'helpdesk' order by key")))
    assert found == ["1", "3"]
    assert sources.state(db.session, "helpdesk").state == {"page": 9}
    assert sources.state(db.session, "helpdesk").last_error is None
    assert "This pull of helpdesk stops" in caplog.text
    assert [record for record in caplog.records if record.levelname == "ERROR" and "jobs" in record.name] == []


def test_a_long_pull_lets_others_have_the_worker_and_goes_on_at_once(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.load_documents()
    closed: list[object] = []

    class Long:
        name, title, every_seconds = "helpdesk", "Helpdesk", 3600

        def pull(self, state: dict[str, int] | None) -> Iterator[Page]:
            try:
                for number in range((state or {"page": 0})["page"], 5):
                    # The first page of two has no state: it cannot be gone on from.
                    yield replace(page(row(f"{number}a", "x")), state=None)
                    yield replace(page(row(f"{number}b", "x")), state={"page": number + 1})
            finally:
                closed.append(state)

    monkeypatch.setattr("bridge.documents.source", lambda *_, **__: Long())
    monkeypatch.setattr(jobs, "SLICE_SECONDS", 0)
    jobs.pull("helpdesk")

    state = sources.state(db.session, "helpdesk")
    assert (state.state, state.succeeded_at) == ({"page": 1}, None)
    assert closed == [None]
    assert "helpdesk" in sources.due(db.session, {"helpdesk": state.document_hash or ""}, now=datetime.now(UTC))
    for _ in range(5):
        jobs.pull("helpdesk")
    db.session.expire_all()
    assert sources.state(db.session, "helpdesk").succeeded_at is not None
    assert sources.counts(db.session)["helpdesk"] == (10, 10)


def test_problems_are_replaced_though_the_last_page_has_no_state(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.load_documents()
    found = [(RowProblem(row=7, column=None, message="Too short.", raw="x"),), ()]

    class Source:
        name, title, every_seconds = "helpdesk", "Helpdesk", 3600

        def pull(self, _state: object) -> Iterator[Page]:
            yield replace(page(problems=found.pop(0)), state={"page": 1})
            yield replace(page(), state=None)

    monkeypatch.setattr("bridge.documents.source", lambda *_, **__: Source())
    jobs.pull("helpdesk")
    assert len(sources.problems(db.session, "helpdesk")) == 1

    jobs.pull("helpdesk")
    assert sources.problems(db.session, "helpdesk") == []
    assert sources.state(db.session, "helpdesk").state == {"page": 1}


def test_a_large_file_may_take_longer_than_other_jobs(company: Company) -> None:
    jobs.load_documents()
    jobs.pull_due()

    queue = Queue("sources", connection=current_app.extensions["lrs-bridge-broker"])
    assert {job.timeout for job in queue.jobs if job.func_name.endswith(".pull")} == {jobs.PULL_SECONDS}


def test_a_command_pulls_to_the_end(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "SLICE_SECONDS", 0)
    jobs.load_documents()

    jobs.pull_now("helpdesk")

    assert sources.state(db.session, "helpdesk").succeeded_at is not None


# --- pausing and beginning anew ------------------------------------------------------------------------------------


def test_a_paused_source_is_not_due_and_cannot_begin(session: Session) -> None:
    begun = sources.begin(session, "crm", now=NOW, document_hash="a")
    sources.pause(session, "crm", now=NOW, why="audit")

    assert sources.due(session, {"crm": "b"}, now=NOW) == []
    assert sources.is_paused(session, "crm")
    with pytest.raises(
        Paused, match=r"paused since 2026-11-20T12:00:00Z \(audit\)\. `lrs-bridge source resume crm` lets it go on"
    ):
        sources.begin(session, "crm", now=NOW)
    with pytest.raises(Superseded):
        sources.store_page(session, "crm", page(row("1", "x")), started_at=NOW, fence=begun.fence)

    sources.resume(session, "crm")
    assert not sources.is_paused(session, "crm")
    assert sources.due(session, {"crm": "a"}, now=NOW) == ["crm"]
    assert sources.begin(session, "crm", now=NOW).state is None


def test_a_source_that_was_never_pulled_can_be_paused(session: Session) -> None:
    sources.pause(session, "crm", now=NOW)

    assert sources.due(session, {"crm": "a"}, now=NOW) == []


def test_a_source_that_is_reset_reads_all_again_and_doubles_nothing(session: Session) -> None:
    begun = sources.begin(session, "crm", now=NOW, document_hash="a")
    rows = [row("1", "open", ("2026-01-01", 0)), row("2", "open")]
    bad = RowProblem(row=7, column="opened_at", message="No date.", raw="x")
    sources.store_page(session, "crm", page(*rows, problems=(bad,)), started_at=NOW, fence=begun.fence)

    sources.reset(session, "crm")

    with pytest.raises(Superseded):
        sources.fail(session, "crm", "down", now=NOW, fence=begun.fence)
    assert sources.due(session, {"crm": "a"}, now=NOW) == ["crm"]
    again = sources.begin(session, "crm", now=NOW, document_hash="a")
    assert again.state is None
    assert sources.problems(session, "crm") == []
    assert sources.store_page(session, "crm", page(*rows), started_at=NOW, fence=again.fence) == 0
    assert sources.counts(session) == {"crm": (2, 2)}


def test_looking_at_a_source_writes_nothing(session):
    """Another process may be about to store the first row: who only looks must not be in its way."""
    assert sources.standing(session, "helpdesk").fence == 0
    session.flush()

    assert session.scalar(select(func.count()).select_from(SourceState)) == 0
