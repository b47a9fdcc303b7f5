"""Source records: every version once, in order, whatever is pulled again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from factories import page, row
from sqlalchemy import select
from sqlalchemy.orm import Session

from bridge import sources
from bridge.models import SourceRecordVersion
from connectors import Row, RowProblem

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


def gone(key: str, cursor: tuple[str, int] | None = None) -> Row:
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
