"""Readings: how far the streams have been read, and by which rules.

The rules guarded here:

- A stream is read in LANES; whoever locks a lane's row reads it, so up to LANES workers read one stream at once.
- A lane's position moves in the transaction that stores what was read, and only behind the snapshot horizon
  (`lrs.read_after`): a late commit is never skipped, a killed worker leaves nothing half done.
- Changed rules make a pending reading of history beside the active one: of the streams, verbs and sources that they
  can touch, and never past where the active one is. Once it is as far, its rules take their place among those that
  count, in one transaction, so reports never show half of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

import lrs
from bridge.mapping import RuleKey
from bridge.models import ForwardLane, Reading, ReadingLane, ReadingState, Rule, RuleState

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


@dataclass(frozen=True, slots=True)
class Batch:
    """What a lane reads at once."""

    items: Sequence[Unread]
    position: tuple[int, int]
    """Where the lane is when all of it has been read."""
    full: bool
    """There may be more."""


_UNREAD_VERSIONS = f"""
    select version.xid::text::bigint, version.id, version.record_id from source_record_version version{{joined}}
    where (version.xid, version.id) > (cast(:xid as text)::xid8, :seq)
    and version.xid < pg_snapshot_xmin(pg_current_snapshot()) and mod(version.record_id, {LANES}) = :lane{{narrower}}
    order by version.xid, version.id limit :limit
"""  # noqa: S608 - LANES is a constant
_UNREAD_ALL = text(_UNREAD_VERSIONS.format(joined="", narrower=""))
_UNREAD_OF_SOURCES = text(
    _UNREAD_VERSIONS.format(
        joined=" join source_record record on record.id = version.record_id",
        narrower=" and record.source = any(cast(:sources as text[]))"
        " and (version.xid, version.id) <= (cast(:until_xid as text)::xid8, :until_seq)",
    )
)

_FORGET = [
    text(f"""
        delete from {table} where ctid = any(array(
            select ctid from {table} where rule_id = any(cast(:rules as integer[])) limit :limit))
    """)  # noqa: S608 - table names from below
    for table in ("fact", "fact_history", "quarantine")
]


def ensure(session: Session, rules: Sequence[RuleKey], rules_hash: str) -> None:
    """Make sure that history has been or is being read by these rules; a pending reading by others is dropped."""
    known = {row.state: row for row in session.scalars(select(Reading))}
    active, pending = known.get(ReadingState.ACTIVE), known.get(ReadingState.PENDING)
    if pending is not None:
        if pending.rules_hash == rules_hash:
            return
        _drop_pending(session)
    if active is None:
        _begin(session, rules_hash, rules, ReadingState.ACTIVE)
    elif active.rules_hash != rules_hash:
        read = {(row.kind, row.document, row.name, row.content_hash) for row in rules_of(session, ReadingState.ACTIVE)}
        changed = [key for key in rules if (key.kind, key.document, key.name, key.content_hash) not in read]
        _begin(session, rules_hash, changed, ReadingState.PENDING)


def begin_again(session: Session, rules: Sequence[RuleKey], rules_hash: str) -> None:
    """Start a pending reading of all history even though the rules are unchanged (`lrs-bridge rebuild`)."""
    _drop_pending(session)
    _begin(session, rules_hash, rules, ReadingState.PENDING)


def active(session: Session) -> Reading | None:
    """Give the reading whose rules count; None before the first documents were loaded."""
    return session.scalar(select(Reading).where(Reading.state == ReadingState.ACTIVE))


def under_way(session: Session) -> Sequence[Reading]:
    """Give the active and the pending reading, the active one first, as they are now: they do not change any more."""
    found = session.scalars(select(Reading).order_by(Reading.state).execution_options(populate_existing=True)).all()
    for reading in found:
        session.expunge(reading)
    return found


def is_current(session: Session, reading: Reading) -> bool:
    """Tell, while one of its lanes is held, whether a reading still reads by the rules that it had in `under_way`.

    Rules come into force while all lanes are held; who was between two lanes must not go on by the rules from before.
    """
    return session.scalar(select(Reading.taken_over).where(Reading.id == reading.id)) == reading.taken_over


def rules_of(session: Session, state: str) -> Sequence[Rule]:
    """Give the rules that the active or the pending reading reads by."""
    return session.scalars(select(Rule).where(Rule.state == state)).all()


def lanes(session: Session, reading: Reading) -> Sequence[tuple[Stream, int]]:
    """Give the lanes of a reading; a pending one may leave out a stream."""
    rows = session.execute(
        select(ReadingLane.stream, ReadingLane.lane)
        .where(ReadingLane.reading_id == reading.id)
        .order_by(ReadingLane.stream, ReadingLane.lane)
    )
    return [(Stream(stream), lane) for stream, lane in rows]


def hold_all(session: Session) -> Sequence[ReadingLane]:
    """Lock every lane, so that nobody reads on until the transaction ends; gives those of the pending reading."""
    rows = session.scalars(
        select(ReadingLane)
        .join(Reading)
        .order_by(Reading.state, ReadingLane.stream, ReadingLane.lane)
        .with_for_update(of=ReadingLane)
        .execution_options(populate_existing=True)
    ).all()
    catching_up = pending(session)
    return [row for row in rows if catching_up is not None and row.reading_id == catching_up.id]


def take_over(session: Session, rules: Sequence[RuleKey]) -> None:
    """Let the rules of the pending reading count, and no others than `rules`. All lanes must be held and even."""
    found = {row.state: row for row in session.scalars(select(Reading))}
    new, old = found[ReadingState.PENDING], found[ReadingState.ACTIVE]
    wanted = {(key.kind, key.document, key.name, key.content_hash) for key in rules}
    read_anew = {(row.kind, row.document, row.name) for row in rules_of(session, RuleState.PENDING)}
    for row in rules_of(session, RuleState.ACTIVE):
        name = (row.kind, row.document, row.name)
        if name in read_anew or (*name, row.content_hash) not in wanted:
            row.state = RuleState.DROPPED
    session.flush()
    session.execute(update(Rule).where(Rule.state == RuleState.PENDING).values(state=RuleState.ACTIVE))
    old.rules_hash, old.taken_over = new.rules_hash, old.taken_over + 1
    session.execute(delete(Reading).where(Reading.id == new.id))
    session.expire_all()


def forget_dropped(session: Session, *, limit: int) -> int:
    """Delete up to `limit` facts of rules that are no more, and the rules after their last; gives how many."""
    dropped = session.scalars(select(Rule.id).where(Rule.state == RuleState.DROPPED)).all()
    if not dropped:
        return 0
    gone = 0
    for statement in _FORGET:
        result = session.execute(statement, {"rules": list(dropped), "limit": limit - gone})
        gone += int(result.rowcount)  # type: ignore[attr-defined]
        if gone >= limit:
            return gone
    session.execute(delete(Rule).where(Rule.id.in_(dropped)))
    return gone


def lock_lane(session: Session, reading: Reading, stream: Stream, lane: int) -> ReadingLane | None:
    """Take a lane until the transaction ends; None when another worker has it."""
    return session.scalar(
        select(ReadingLane)
        .where(ReadingLane.reading_id == reading.id, ReadingLane.stream == stream, ReadingLane.lane == lane)
        .with_for_update(skip_locked=True)
    )


def next_batch(session: Session, reading: Reading, lane: ReadingLane, *, limit: int) -> Batch:
    """Give what a lane has to read next, in order, and where it then is."""
    after = (int(lane.xid), lane.seq)
    until = None if reading.state == ReadingState.ACTIVE else _active_position(session, lane)
    items = _unread(session, reading, lane, after, until, limit)
    if len(items) < limit and until is not None:
        return Batch(items, max(until, after), full=False)
    return Batch(items, items[-1].position if items else after, full=len(items) == limit)


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


def pending(session: Session) -> Reading | None:
    """Give the reading that is catching up; None when none is."""
    return session.scalar(select(Reading).where(Reading.state == ReadingState.PENDING))


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
    are put before everything (3 is the first normal id), and all history is read, and forwarded, anew.
    """
    if not _stored_from(session, "pg_snapshot_xmax(pg_current_snapshot())"):
        return False
    for table in ("statement", "source_record_version"):
        session.execute(text(f"update {table} set xid = '3'"))  # noqa: S608 - table names from above
    session.execute(delete(Reading))
    session.execute(update(ForwardLane).values(xid=text("'0'"), seq=0))
    return True


def _drop_pending(session: Session) -> None:
    session.execute(delete(Reading).where(Reading.state == ReadingState.PENDING))
    session.execute(update(Rule).where(Rule.state == RuleState.PENDING).values(state=RuleState.DROPPED))


def _begin(session: Session, rules_hash: str, rules: Sequence[RuleKey], state: ReadingState) -> None:
    """Begin to read history by these rules; a first active reading stands for everything that was read before."""
    learning = [key for key in rules if key.kind == "learning"]
    sources = sorted({key.source for key in rules if key.source is not None})
    reading = Reading(rules_hash=rules_hash, state=state)
    streams = list(Stream)
    if state == ReadingState.ACTIVE:
        session.execute(update(Rule).values(state=RuleState.DROPPED))
    else:
        verbs = [key.verbs for key in learning if key.verbs is not None]
        reading.verbs = sorted(frozenset().union(*verbs)) if len(verbs) == len(learning) else None
        reading.sources = sources
        streams = [Stream.STATEMENTS] * bool(learning) + [Stream.SOURCE_RECORDS] * bool(sources)
    session.add(reading)
    session.flush()
    session.add_all(
        Rule(
            kind=key.kind,
            document=key.document,
            name=key.name,
            content_hash=key.content_hash,
            fact=key.fact,
            metric=key.metric,
            source=key.source,
            state=state,
        )
        for key in rules
    )
    session.add_all(
        ReadingLane(reading_id=reading.id, stream=stream, lane=lane) for stream in streams for lane in range(LANES)
    )
    session.flush()


def _unread(
    session: Session,
    reading: Reading,
    lane: ReadingLane,
    after: tuple[int, int],
    until: tuple[int, int] | None,
    limit: int,
) -> Sequence[Unread]:
    if lane.stream == Stream.STATEMENTS:
        stored = lrs.read_after(
            session, after, lane=lane.lane, lanes=LANES, limit=limit, until=until, verbs=reading.verbs
        )
        return [Unread((item.xid, item.seq), payload=item.payload) for item in stored]
    parameters: dict[str, Any] = {"xid": str(after[0]), "seq": after[1], "lane": lane.lane, "limit": limit}
    if until is None:
        versions = session.execute(_UNREAD_ALL, parameters)
    else:
        parameters |= {"until_xid": str(until[0]), "until_seq": until[1], "sources": reading.sources}
        versions = session.execute(_UNREAD_OF_SOURCES, parameters)
    return [Unread((xid, seq), record_id=record_id) for xid, seq, record_id in versions]


def _active_position(session: Session, lane: ReadingLane) -> tuple[int, int]:
    """Give how far the active reading has come in the same lane."""
    xid, seq = session.execute(
        text("""
            select lane.xid::text::bigint, lane.seq from reading_lane lane join reading on reading.id = lane.reading_id
            where reading.state = 'active' and lane.stream = :stream and lane.lane = :lane
        """),
        {"stream": lane.stream, "lane": lane.lane},
    ).one()
    return int(xid), int(seq)


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
