"""Readings and lanes: nothing skipped, nothing read twice, no half-way report."""

from hashlib import sha256

from factories import key
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from bridge import readings
from bridge.mapping import RuleKey
from bridge.models import Reading, ReadingLane, Rule
from bridge.readings import LANES, Stream
from lrs import db

FIRST = (key("deals", metric="won"), key("visits"))


def store(session: Session, key: str, source: str = "crm") -> int:
    """Store a version of a new source record; gives the record's id."""
    record = session.scalar(
        text("insert into source_record (source, key) values (:source, :key) returning id"),
        {"source": source, "key": key},
    )
    session.execute(
        text("insert into source_record_version (record_id, content_hash, data) values (:id, :hash, '{}')"),
        {"id": record, "hash": sha256(key.encode()).digest()},
    )
    return int(record or 0)


def read(session: Session, reading: Reading) -> list[int]:
    """Read everything that is due, as a worker does; gives record ids in the order of reading."""
    found: list[int] = []
    for stream, lane in readings.lanes(session, reading):
        row = readings.lock_lane(session, reading, stream, lane)
        assert row is not None
        found += read_lane(session, reading, row)
    session.commit()
    return found


def read_lane(session: Session, reading: Reading, row: ReadingLane) -> list[int]:
    found: list[int] = []
    full = True
    while full:
        batch = readings.next_batch(session, reading, row, limit=2)
        found += [item.record_id for item in batch.items if item.record_id]
        readings.advance(session, row, batch.position)
        full = batch.full
    return found


def ensure(session: Session, *rules: RuleKey) -> None:
    readings.ensure(session, rules, " ".join(rule.content_hash for rule in rules))
    session.commit()


def begin(session: Session, *rules: RuleKey) -> Reading:
    ensure(session, *(rules or FIRST))
    active = readings.active(session)
    assert active is not None
    return active


def pending(session: Session) -> Reading:
    found = readings.pending(session)
    assert found is not None
    return found


def states(session: Session) -> dict[str, str]:
    return {row.content_hash: row.state for row in session.scalars(select(Rule))}


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
            readings.advance(killed, row, readings.next_batch(killed, reading, row, limit=10).position)
        killed.rollback()  # what the database does for a connection that is gone

    assert sorted(read(session, reading)) == sorted(ids)


def test_a_lane_is_read_by_one_worker_at_a_time(session: Session) -> None:
    reading = begin(session)
    with db.sessionmaker() as other:
        assert readings.lock_lane(other, reading, Stream.STATEMENTS, 3) is not None

        assert readings.lock_lane(session, reading, Stream.STATEMENTS, 3) is None
        assert readings.lock_lane(session, reading, Stream.STATEMENTS, 4) is not None


def test_changed_rules_are_read_beside_the_active_ones_until_they_have_caught_up(session: Session) -> None:
    active = begin(session)
    store(session, "1")
    session.commit()
    read(session, active)
    new = (key("deals", metric="won", content_hash="deals 2"), key("visits"))

    ensure(session, *new)

    assert states(session) == {"deals 1": "active", "visits 1": "active", "deals 2": "pending"}
    assert len(read(session, pending(session))) == 1
    assert states(session)["deals 1"] == "active"
    readings.take_over(session, new)
    assert states(session) == {"deals 1": "dropped", "visits 1": "active", "deals 2": "active"}
    assert readings.pending(session) is None
    assert (active.rules_hash, active.taken_over) == ("deals 2 visits 1", 1)


def test_a_pending_reading_goes_no_further_than_the_active_one(session: Session) -> None:
    """Else what is stored meanwhile would be read by the changed rules twice, once they are active."""
    active = begin(session)
    first = store(session, "1")
    session.commit()
    read(session, active)
    ensure(session, key("deals", metric="won", content_hash="deals 2"), key("visits"))
    store(session, "2")
    session.commit()

    assert read(session, pending(session)) == [first]


def test_only_what_changed_rules_can_touch_is_read(session: Session) -> None:
    """Streams, sources and verbs that none of them asks for are left out."""
    active = begin(session)
    deal, _ = store(session, "1"), store(session, "1", source="helpdesk")
    session.commit()
    read(session, active)

    ensure(session, key("deals", metric="won", content_hash="deals 2"), key("visits"))

    assert {stream for stream, _ in readings.lanes(session, pending(session))} == {Stream.SOURCE_RECORDS}
    assert read(session, pending(session)) == [deal]
    assert [
        readings.next_batch(session, pending(session), row, limit=2).full for row in readings.hold_all(session)
    ] == [False] * LANES

    ensure(session, *FIRST[:1], key("visits", content_hash="visits 2", verbs=frozenset({"http://example.com/visited"})))
    assert {stream for stream, _ in readings.lanes(session, pending(session))} == {Stream.STATEMENTS}
    assert pending(session).verbs == ["http://example.com/visited"]
    ensure(session, *FIRST[:1], key("visits", content_hash="visits 3"), key("more", verbs=frozenset({"http://a.b/c"})))
    assert pending(session).verbs is None


def test_a_rule_that_is_gone_needs_no_reading(session: Session) -> None:
    begin(session)

    ensure(session, *FIRST[:1])

    assert list(readings.lanes(session, pending(session))) == []
    readings.take_over(session, FIRST[:1])
    assert states(session) == {"deals 1": "active", "visits 1": "dropped"}


def test_facts_of_dropped_rules_are_deleted_piece_by_piece_and_the_rules_after_them(session: Session) -> None:
    begin(session)
    rule_id = session.scalar(select(Rule.id).filter_by(name="visits"))
    session.execute(
        text(
            "insert into fact (rule_id, origin, alias_id, occurred_at)"
            " select :rule, number, 1, now() from generate_series(1, 5) as number"
        ),
        {"rule": rule_id},
    )
    ensure(session, *FIRST[:1])
    readings.take_over(session, FIRST[:1])

    assert [readings.forget_dropped(session, limit=3) for _ in range(3)] == [3, 2, 0]
    assert states(session) == {"deals 1": "active"}


def test_rules_that_change_twice_leave_no_reading_of_the_first_change(session: Session) -> None:
    begin(session)
    ensure(session, key("visits", content_hash="visits 2"))
    ensure(session, key("visits", content_hash="visits 3"))

    assert sorted(session.scalars(select(Reading.rules_hash))) == ["deals 1 visits 1", "visits 3"]
    assert states(session) == {
        "deals 1": "active",
        "visits 1": "active",
        "visits 2": "dropped",
        "visits 3": "pending",
    }


def test_rules_that_change_back_drop_the_pending_reading(session: Session) -> None:
    active = begin(session)
    ensure(session, key("visits", content_hash="visits 2"))
    ensure(session, *FIRST)

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
        session.scalars(text(f"explain {readings._UNREAD_ALL.text}"), {"xid": "5", "seq": 1, "lane": 3, "limit": 10})
    )

    assert "ix_source_record_version_lane" in plan
    assert "Sort" not in plan
