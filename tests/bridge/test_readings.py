"""Readings and lanes: nothing skipped, nothing read twice, no half-way report."""

from hashlib import sha256

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from bridge import readings
from bridge.models import Reading, ReadingLane
from bridge.readings import LANES, Stream
from lrs import db


def store(session: Session, key: str) -> int:
    """Store a version of a new source record; gives the record's id."""
    record = session.scalar(
        text("insert into source_record (source, key) values ('crm', :key) returning id"), {"key": key}
    )
    session.execute(
        text("insert into source_record_version (record_id, content_hash, data) values (:id, :hash, '{}')"),
        {"id": record, "hash": sha256(key.encode()).digest()},
    )
    return int(record or 0)


def read(session: Session, reading: int) -> list[int]:
    """Read everything that is due, as a worker does; gives record ids in the order of reading."""
    found: list[int] = []
    for lane in range(LANES):
        row = readings.lock_lane(session, reading, Stream.SOURCE_RECORDS, lane)
        assert row is not None
        while items := readings.unread(session, row, limit=2):
            found += [item.record_id for item in items if item.record_id]
            readings.advance(session, row, items[-1].position)
    session.commit()
    return found


def begin(session: Session, rules: str = "rules") -> int:
    readings.ensure(session, rules)
    session.commit()
    active = readings.active(session)
    assert active is not None
    return active


def test_each_version_is_read_once(session: Session) -> None:
    reading = begin(session)
    ids = {store(session, str(number)) for number in range(20)}
    session.commit()

    first, second = read(session, reading), read(session, reading)

    assert sorted(first) == sorted(ids)
    assert second == []


def test_a_transaction_that_commits_late_is_not_skipped(session: Session) -> None:
    reading = begin(session)
    with db.sessionmaker() as late:
        early_id = store(late, "late")  # has its transaction id, but has not committed
        later_ids = [store(session, str(number)) for number in range(LANES)]
        session.commit()

        assert read(session, reading) == []  # behind the horizon nothing may be read past it
        assert readings.waiting(session)
        late.commit()

    assert sorted(read(session, reading)) == sorted([early_id, *later_ids])
    assert not readings.waiting(session)


def test_what_a_killed_worker_was_reading_is_read_again(session: Session) -> None:
    reading = begin(session)
    ids = [store(session, str(number)) for number in range(LANES)]
    session.commit()
    with db.sessionmaker() as killed:
        for lane in range(LANES):
            row = readings.lock_lane(killed, reading, Stream.SOURCE_RECORDS, lane)
            assert row is not None
            for item in readings.unread(killed, row, limit=10):
                readings.advance(killed, row, item.position)
        killed.rollback()  # what the database does for a connection that is gone

    assert sorted(read(session, reading)) == sorted(ids)


def test_a_lane_is_read_by_one_worker_at_a_time(session: Session) -> None:
    reading = begin(session)
    with db.sessionmaker() as other:
        assert readings.lock_lane(other, reading, Stream.STATEMENTS, 3) is not None

        assert readings.lock_lane(session, reading, Stream.STATEMENTS, 3) is None
        assert readings.lock_lane(session, reading, Stream.STATEMENTS, 4) is not None


def test_changed_rules_are_read_beside_the_active_ones_until_they_have_caught_up(session: Session) -> None:
    old = begin(session)
    store(session, "1")
    session.commit()
    read(session, old)

    readings.ensure(session, "new rules")
    session.commit()

    new = readings.pending(session)
    assert new is not None
    assert not readings.activate_pending(session)
    assert readings.active(session) == old
    read(session, new)
    assert readings.activate_pending(session)
    assert (readings.active(session), readings.pending(session)) == (new, None)


def test_rules_that_change_twice_leave_no_reading_of_the_first_change(session: Session) -> None:
    begin(session)
    readings.ensure(session, "second")
    readings.ensure(session, "third")

    assert sorted(session.scalars(select(Reading.rules_hash))) == ["rules", "third"]


def test_rules_that_change_back_drop_the_pending_reading(session: Session) -> None:
    active = begin(session)
    readings.ensure(session, "second")
    readings.ensure(session, "rules")

    assert (readings.active(session), readings.pending(session)) == (active, None)


def test_behind_counts_what_is_unread(session: Session) -> None:
    reading = begin(session)
    for number in range(5):
        store(session, str(number))
    session.commit()

    assert readings.behind(session) == 5
    read(session, reading)
    assert readings.behind(session) == 0


def test_rows_from_another_cluster_are_levelled_and_all_is_read_anew(session: Session) -> None:
    reading = begin(session)
    store(session, "1")
    session.execute(text("update source_record_version set xid = '99999999999'"))
    session.commit()
    assert read(session, reading) == []

    assert readings.level(session)
    session.commit()

    assert len(read(session, begin(session))) == 1
    assert not readings.level(session)


def test_the_lanes_index_is_the_one_that_the_query_needs(session: Session) -> None:
    """Without it each look at a lane would read the whole table."""
    begin(session)
    lane = session.scalars(select(ReadingLane)).first()
    assert lane is not None
    # The table is too small for its size to decide.
    session.execute(text("set local enable_seqscan = off; set local enable_bitmapscan = off"))
    plan = "\n".join(
        session.scalars(
            text(f"explain {readings._UNREAD_VERSIONS.text}"), {"xid": "5", "seq": 1, "lane": 3, "limit": 10}
        )
    )

    assert "ix_source_record_version_lane" in plan
    assert "Sort" not in plan
