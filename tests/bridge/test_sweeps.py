"""Sweeps: what a complete one did not name is deleted, and nothing else is."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from company import TICKETS, Company
from factories import page, row
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from bridge import jobs, sources, sweeps
from bridge.models import SourceRecordVersion, SweepPiece
from connectors import Row, Sweep
from lrs import db

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
numbers = map(str, count(1))


class Pull:
    """A pull that has begun."""

    def __init__(self, session: Session, source: str = "crm") -> None:
        self.session, self.source = session, source
        self.fence = sources.begin(session, source, now=NOW).fence

    def store(self, *rows: Row, sweep: Sweep | None = None) -> int:
        given = replace(page(*rows), sweep=sweep)
        return sources.store_page(self.session, self.source, given, started_at=NOW, fence=self.fence)

    def sweep(self, *keys: str, number: str | None = None, at_most: float = 0.5, day: int = 5) -> int:
        """Name these in one page, which ends the sweep."""
        return self.store(sweep=piece(*keys, number=number or next(numbers), at_most=at_most, day=day))

    def finish(self) -> str | None:
        sources.finish(self.session, self.source, {}, started_at=NOW, every=60, fence=self.fence)
        return sources.state(self.session, self.source).last_error


def piece(*keys: str, number: str, complete: bool = True, at_most: float = 0.5, day: int = 5) -> Sweep:
    return Sweep(number, keys, complete=complete, cursor=at(day), at_most=at_most)


def at(day: int) -> tuple[str, int]:
    return f"2026-01-{day:02}", 0


def gone(session: Session, source: str = "crm") -> list[str]:
    """Give the keys of the records whose newest version is a deletion."""
    newest = text("""
        select distinct on (key) key, deleted
        from source_record join source_record_version on record_id = source_record.id
        where source = :source order by key, cursor desc nulls last, source_record_version.id desc
    """)
    return [key for key, deleted in session.execute(newest, {"source": source}) if deleted]


@pytest.fixture
def pulled(session: Session) -> Session:
    """Four records, pulled before."""
    Pull(session).store(*(row(key, "open", at(1)) for key in "1234"))
    return session


def test_what_a_complete_sweep_did_not_name_is_deleted_once(pulled: Session) -> None:
    assert Pull(pulled).sweep("1", "2", "4") == 1
    assert Pull(pulled).sweep("1", "2", "4") == 0

    assert gone(pulled) == ["3"]
    assert pulled.scalars(select(SweepPiece)).all() == []


def test_a_sweep_that_is_not_complete_deletes_nothing(pulled: Session) -> None:
    pull = Pull(pulled)
    pull.store(sweep=piece("1", number="7", complete=False))

    assert gone(pulled) == []


def test_pieces_of_one_sweep_count_together_over_pulls_and_those_of_another_do_not(pulled: Session) -> None:
    Pull(pulled).store(sweep=piece("2", number="broken off", complete=False))
    Pull(pulled).store(sweep=piece("1", number="8", complete=False))

    Pull(pulled).sweep("3", "4", number="8")

    assert gone(pulled) == ["2"]


def test_what_was_stored_since_the_sweep_began_is_left_alone(pulled: Session) -> None:
    pull = Pull(pulled)
    pull.store(sweep=piece("1", "2", number="9", complete=False))
    sources.store_fetched(pulled, "crm", page(row("0", "new", at(2)), row("3", "changed", at(2))), seen_at=NOW)

    assert Pull(pulled).sweep(number="9") == 1

    assert gone(pulled) == ["4"]


def test_records_of_other_sources_are_left_alone(pulled: Session) -> None:
    Pull(pulled, "helpdesk").store(row("x", "open", at(1)))

    Pull(pulled).sweep("1", "2", "3", "4", "x")

    assert gone(pulled, "helpdesk") == []


def test_a_deletion_is_the_newest_version_even_of_a_record_that_changed_in_the_future(session: Session) -> None:
    Pull(session).store(row("1", "open", at(9)))

    Pull(session).sweep(day=5)

    assert gone(session) == ["1"]


def test_records_go_and_come_back_on_one_day_as_often_as_they_like(pulled: Session) -> None:
    for _ in range(3):
        Pull(pulled).sweep("1", "2", "4")
        assert gone(pulled) == ["3"]
        Pull(pulled).sweep("1", "2", "3", "4")
        assert gone(pulled) == []


def test_records_without_cursors_go_and_come_back(session: Session) -> None:
    def seen(*keys: str) -> None:
        rows = [row(key, "open") for key in keys]
        Pull(session).store(*rows, sweep=Sweep(next(numbers), keys, complete=True, cursor=None, at_most=1))

    seen("1", "2")
    seen("1")
    assert gone(session) == ["2"]

    seen("1", "2")
    assert gone(session) == []
    assert session.scalar(text("select count(*) from source_record_version")) == 4


def test_records_without_cursors_come_back_though_the_sweep_has_one(session: Session) -> None:
    Pull(session).store(row("1", "open"))
    Pull(session).sweep(at_most=1)
    assert gone(session) == ["1"]

    Pull(session).store(row("1", "open"))
    assert gone(session) == []


def test_what_a_later_sweep_names_is_there_again_as_it_was_last_seen(pulled: Session) -> None:
    Pull(pulled).store(row("3", "won", at(2)))
    Pull(pulled).sweep("1", "2", "4", day=5)

    assert Pull(pulled).sweep("1", "2", "3", "4", day=6) == 1

    assert gone(pulled) == []
    newest = pulled.scalars(select(SourceRecordVersion).order_by(SourceRecordVersion.id.desc())).first()
    assert newest is not None
    assert (newest.data, newest.cursor) == ({"value": "won"}, list(at(6)))
    assert Pull(pulled).sweep("1", "2", "3", "4", day=7) == 0


def test_a_deletion_that_was_told_while_the_sweep_was_under_way_stands(pulled: Session) -> None:
    pull = Pull(pulled)
    pull.store(replace(row("3", "", at(3)), data={}, deleted=True))

    pull.sweep("1", "2", "3", "4")

    assert gone(pulled) == ["3"]


def many(session: Session, number: int = 100) -> list[str]:
    keys = [f"{key:03}" for key in range(number)]
    Pull(session).store(*(row(key, "open", at(1)) for key in keys))
    return keys


@pytest.mark.parametrize(("left", "deleted"), [(75, 25), (74, 0), (0, 0)])
def test_a_sweep_that_would_delete_more_than_its_share_deletes_nothing(
    session: Session, left: int, deleted: int
) -> None:
    keys = many(session)

    pull = Pull(session)
    assert pull.sweep(*keys[:left], at_most=0.25) == deleted

    told = pull.finish()
    assert len(gone(session)) == deleted
    assert (told is None) == bool(deleted)
    if told:
        assert f"{100 - left} of 100 records ({100 - left}%)" in told
        assert "`at_most: 0.25`" in told
        assert "raise `at_most` in `deleted`" in told


def test_twenty_are_deleted_whatever_their_share(session: Session) -> None:
    many(session, sweeps.BELIEVED)

    assert Pull(session).sweep(at_most=0.1) == sweeps.BELIEVED


def test_the_share_is_told_until_there_is_a_sweep_that_is_believed(session: Session) -> None:
    keys = many(session)
    first = Pull(session)
    first.sweep(at_most=0.25)
    assert "so none of them was deleted" in str(first.finish())

    assert "so none of them was deleted" in str(Pull(session).finish())  # a pull without a sweep

    last = Pull(session)
    last.sweep(*keys, at_most=0.25)
    assert last.finish() is None


def test_facts_of_a_deleted_record_vanish_and_come_back_with_it(company: Company) -> None:
    company.run()
    facts = text(
        "select count(*) from counted_fact join source_record on source_record.id = counted_fact.origin"
        " join rule on rule.id = counted_fact.rule_id and rule.kind = 'performance'"
        " where source_record.source = 'helpdesk' and key = 'T2'"
    )
    assert db.session.scalar(facts) == 1
    names = [name for name, *_ in TICKETS]

    for keys, expected, day in ((set(names) - {"T2"}, 0, 5), (set(names), 1, 6)):
        swept = Sweep(next(numbers), tuple(keys), complete=True, cursor=(f"2027-01-{day:02}T00:00:00Z",), at_most=0.5)
        fence = sources.begin(db.session, "helpdesk", now=NOW).fence
        sources.store_page(
            db.session, "helpdesk", replace(page(), state=None, sweep=swept), started_at=NOW, fence=fence
        )
        db.session.commit()
        jobs.map_items()
        assert db.session.scalar(facts) == expected


def test_what_is_gone_is_not_looked_for_by_comparing_each_record_with_each_id(pulled: Session) -> None:
    """On tables that were never analysed the planner would, and 200,000 records then take hours instead of a second."""
    asked: dict[str, str] = {}

    def note(_connection: object, cursor: Any, statement: str, *_: object) -> None:
        if "insert into source_record_version" in statement and "left join named" in statement:
            with cursor.connection.cursor() as other:
                asked["meanwhile"] = other.execute("show enable_nestloop").fetchone()[0]

    event.listen(db.engine, "before_cursor_execute", note)
    Pull(pulled).sweep("1", "2", "4")
    event.remove(db.engine, "before_cursor_execute", note)

    assert asked == {"meanwhile": "off"}
    assert pulled.scalar(text("show enable_nestloop")) == "on"
