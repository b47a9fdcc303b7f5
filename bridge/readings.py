"""Readings: all history as one set of rules reads it, and how far each has come.

The rules guarded here:

- A stream is read in LANES; whoever locks a lane's row reads it, so up to LANES workers read one stream at once.
- A lane's position moves in the transaction that stores what was read, and only behind the snapshot horizon
  (`lrs.read_after`): a late commit is never skipped, a killed worker leaves nothing half done.
- Changed rules make a pending reading of all history beside the active one. It takes over when it has read everything,
  so reports never show half of each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import delete, insert, select, text
from sqlalchemy.orm import Session

import lrs
from bridge.models import Reading, ReadingLane, ReadingState

LANES = 8
"""More than the workers that one database can feed, few enough that looking at each is cheap. Indexes rest on it."""


class Stream(StrEnum):
    STATEMENTS = "statements"
    SOURCE_RECORDS = "source records"


@dataclass(frozen=True, slots=True)
class Unread:
    """One row that a lane has yet to read: a statement with its text, or the source record that has a new version."""

    position: tuple[int, int]
    """(transaction id, sequence): the order of reading."""
    payload: str | None = None
    record_id: int | None = None

    @property
    def seq(self) -> int:
        return self.position[1]


_UNREAD_VERSIONS = text(f"""
    select version.xid::text::bigint, version.id, version.record_id from source_record_version version
    where (version.xid, version.id) > (cast(:xid as text)::xid8, :seq)
    and version.xid < pg_snapshot_xmin(pg_current_snapshot()) and mod(version.record_id, {LANES}) = :lane
    order by version.xid, version.id limit :limit
""")  # noqa: S608 - LANES is a constant


def ensure(session: Session, rules_hash: str) -> None:
    """Make sure that a reading with these rules is active or on its way; a pending one with other rules is dropped."""
    known = {row.state: row for row in session.scalars(select(Reading))}
    active, pending = known.get(ReadingState.ACTIVE), known.get(ReadingState.PENDING)
    if pending is not None and pending.rules_hash != rules_hash:
        session.execute(delete(Reading).where(Reading.id == pending.id))
        pending = None
    if active is None:
        _begin(session, rules_hash, ReadingState.ACTIVE)
    elif pending is None and active.rules_hash != rules_hash:
        _begin(session, rules_hash, ReadingState.PENDING)


def begin_again(session: Session, rules_hash: str) -> None:
    """Start a pending reading of all history even though the rules are unchanged (`lrs-bridge rebuild`)."""
    session.execute(delete(Reading).where(Reading.state == ReadingState.PENDING))
    _begin(session, rules_hash, ReadingState.PENDING)


def active(session: Session) -> int | None:
    """Give the id of the reading whose facts count; None before the first documents were loaded."""
    return session.scalar(select(Reading.id).where(Reading.state == ReadingState.ACTIVE))


def under_way(session: Session) -> Sequence[Reading]:
    """Give the active and the pending reading, the active one first."""
    return session.scalars(select(Reading).order_by(Reading.state)).all()


def activate_pending(session: Session) -> bool:
    """Let the pending reading take over if it has read everything; gives whether it did.

    Its lanes are locked first: nobody reads on while it is decided.
    """
    pending = session.scalar(select(Reading).where(Reading.state == ReadingState.PENDING))
    if pending is None:
        return False
    lanes = session.scalars(select(ReadingLane).where(ReadingLane.reading_id == pending.id).with_for_update()).all()
    if any(unread(session, lane, limit=1) for lane in lanes):
        return False
    session.execute(delete(Reading).where(Reading.state == ReadingState.ACTIVE))
    pending.state = ReadingState.ACTIVE
    session.flush()
    return True


def lock_lane(session: Session, reading: int, stream: Stream, lane: int) -> ReadingLane | None:
    """Take a lane until the transaction ends; None when another worker has it."""
    return session.scalar(
        select(ReadingLane)
        .where(ReadingLane.reading_id == reading, ReadingLane.stream == stream, ReadingLane.lane == lane)
        .with_for_update(skip_locked=True)
    )


def unread(session: Session, lane: ReadingLane, *, limit: int) -> Sequence[Unread]:
    """Give what a lane has to read next, in order."""
    after = (int(lane.xid), lane.seq)
    if lane.stream == Stream.STATEMENTS:
        stored = lrs.read_after(session, after, lane=lane.lane, lanes=LANES, limit=limit)
        return [Unread((item.xid, item.seq), payload=item.payload) for item in stored]
    versions = session.execute(
        _UNREAD_VERSIONS, {"xid": str(after[0]), "seq": after[1], "lane": lane.lane, "limit": limit}
    )
    return [Unread((xid, seq), record_id=record_id) for xid, seq, record_id in versions]


def advance(session: Session, lane: ReadingLane, position: tuple[int, int]) -> None:
    """Note that a lane has been read up to and including a position."""
    # Not through the ORM, which sends a number where xid8 takes only text.
    session.execute(
        text("""
            update reading_lane set xid = cast(:xid as text)::xid8, seq = :seq
            where reading_id = :reading and stream = :stream and lane = :lane
        """),
        {
            "xid": str(position[0]),
            "seq": position[1],
            "reading": lane.reading_id,
            "stream": lane.stream,
            "lane": lane.lane,
        },
    )
    session.expire(lane)


def pending(session: Session) -> int | None:
    """Give the id of the reading that is catching up; None when none is."""
    return session.scalar(select(Reading.id).where(Reading.state == ReadingState.PENDING))


def behind(session: Session, state: ReadingState = ReadingState.ACTIVE) -> int:
    """Count the rows that a reading has yet to read; costs a scan of those, none of what has been read."""
    rows = session.scalars(select(ReadingLane).join(Reading).where(Reading.state == state)).all()
    return sum(_count_unread(session, lane) for lane in rows)


def waiting(session: Session) -> bool:
    """Tell whether something is stored that no lane may read yet, because an older transaction is still open."""
    return _stored_from(session, "pg_snapshot_xmin(pg_current_snapshot())")


def level(session: Session) -> bool:
    """After a dump was restored into another cluster: make its rows readable here; gives whether there was need.

    Transaction ids mean nothing in another cluster. Rows that seem to come from its future would never be read, so they
    are put before everything (3 is the first normal id), and all history is read anew.
    """
    if not _stored_from(session, "pg_snapshot_xmax(pg_current_snapshot())"):
        return False
    for table in ("statement", "source_record_version"):
        session.execute(text(f"update {table} set xid = '3'"))  # noqa: S608 - table names from above
    session.execute(delete(Reading))
    return True


def all_lanes() -> Iterator[tuple[Stream, int]]:
    """Give every lane of every stream."""
    for stream in Stream:
        for lane in range(LANES):
            yield stream, lane


def _begin(session: Session, rules_hash: str, state: ReadingState) -> None:
    reading = Reading(rules_hash=rules_hash, state=state)
    session.add(reading)
    session.flush()
    session.execute(
        insert(ReadingLane),
        [{"reading_id": reading.id, "stream": stream, "lane": lane} for stream, lane in all_lanes()],
    )


def _count_unread(session: Session, lane: ReadingLane) -> int:
    table, key, part = (
        ("statement", "seq", "seq")
        if lane.stream == Stream.STATEMENTS
        else ("source_record_version", "id", "record_id")
    )
    count = session.scalar(
        text(f"""
            select count(*) from {table}
            where (xid, {key}) > (cast(:xid as text)::xid8, :seq) and mod({part}, {LANES}) = :lane
        """),  # noqa: S608 - table and column names from above
        {"xid": str(lane.xid), "seq": lane.seq, "lane": lane.lane},
    )
    return int(count or 0)


def _stored_from(session: Session, bound: str) -> bool:
    """Tell whether a row was written by transaction `bound` or a later one; one index look-up a lane."""
    query = text(f"""
        select exists (
            select from generate_series(0, {LANES - 1}) as lane (number), lateral (
                (select xid from statement where seq % {LANES} = number order by xid desc, seq desc limit 1)
                union all
                (select xid from source_record_version where mod(record_id, {LANES}) = number
                order by xid desc, id desc limit 1)
            ) newest where newest.xid >= {bound}
        )
    """)  # noqa: S608 - LANES and bounds are constants of this module
    return bool(session.scalar(query))
