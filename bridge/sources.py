"""Source records as they were pulled: every version once, in order, with the rows that could not be used.

The rules guarded here:

- Pulling the same thing twice changes nothing, and a page is stored whole or not at all.
- What a pull shows is how a record is now, also where it went back to what it was and its cursor stayed the same.
- Of two pulls of one source only the later one stores anything: each has a number, its fence. A lock alone does not do:
  it ends with its connection, and the pull that held it may not know for minutes.
- What a complete sweep did not name is deleted (`sweeps`).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from bridge import erased, sweeps
from bridge.errors import Paused, Superseded
from bridge.models import BackfillSlice, SourceProblem, SourceRecord, SourceRecordVersion, SourceState
from bridge.times import utc_text
from connectors import Page, Row, Sweep

RETRY_SECONDS = (30, 120, 600, 3600)
"""Waits after the first, second, ... failed pull in a row; the last one is repeated."""

# Each goes by one index, whatever the planner knows of the tables: joins here were planned badly on fresh ones.
_STORE_RECORDS = text("""
    insert into source_record (source, key)
    select :source, key from unnest(cast(:keys as text[])) as key order by key
    on conflict (source, key) do nothing
""")

# Locked, in the order in which they are stored, until the page is: two that bring the same row store it once.
_FIND_RECORDS = text("""
    select key, id from source_record where source = :source and key = any(cast(:keys as text[]))
    order by key for no key update
""")

_NEWEST_CURSORS = text("""
    select distinct on (record_id) record_id, cursor::text as cursor from source_record_version
    where record_id = any(cast(:records as bigint[])) order by record_id, cursor desc nulls last, id desc
""")

_NEWEST = text("""
    select record.key, version.content_hash, version.deleted, version.pulled_at
    from source_record record
    cross join lateral (
        select * from source_record_version version where version.record_id = record.id
        order by version.cursor desc nulls last, version.id desc limit 1
    ) version
    where record.source = :source and record.key = any(cast(:keys as text[]))
""")

# One look into an index for each row, and none that the planner could put in place of it.
_KNOWN = text("""
    select asked.place, known.hashes
    from unnest(cast(:records as bigint[]), cast(:cursors as text[]))
        with ordinality as asked (record_id, cursor, place)
    cross join lateral (
        select array_agg(content_hash order by id) as hashes from (
            select id, content_hash from source_record_version version
            where version.record_id = asked.record_id and version.cursor = asked.cursor::jsonb
            union all
            select id, content_hash from source_record_version version
            where version.record_id = asked.record_id and version.cursor is null and asked.cursor is null
        ) version
    ) known
    where known.hashes is not null
""")

# Ids are given in order, whatever transactions become of them, and no two hosts' clocks have a part in it.
_LAST_VERSION = text(
    "coalesce(pg_sequence_last_value(pg_get_serial_sequence('source_record_version', 'id')::regclass), 0)"
)

_STORE_VERSIONS = text("""
    insert into source_record_version (record_id, cursor, content_hash, data, deleted)
    select record_id, cursor::jsonb, content_hash, data::jsonb, deleted
    from unnest(cast(:records as bigint[]), cast(:cursors as text[]), cast(:hashes as bytea[]), cast(:data as text[]),
        cast(:deleted as boolean[])) as row (record_id, cursor, content_hash, data, deleted)
""")


_Place = tuple[int, str | None]
"""A record's id and a cursor as JSON."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A pull that has begun."""

    fence: int
    """Its number: what stores under it raises Superseded once there is a later one."""
    state: dict[str, Any] | None
    """What the connector left last time."""


def state(session: Session, source: str) -> SourceState:
    """Give the source's row of state, made when it is not there yet."""
    row = session.get(SourceState, source)
    if row is None:
        row = SourceState(source=source, failures=0, fence=0)
        session.add(row)
    return row


def standing(session: Session, source: str) -> SourceState:
    """Give the source's row of state to look at; one that is not stored, while there is none."""
    return session.get(SourceState, source) or SourceState(source=source, failures=0, fence=0)


def due(session: Session, documents: Mapping[str, str], *, now: datetime) -> list[str]:
    """Name the sources whose next pull is due, or whose document has changed; `documents` is a hash of each by name."""
    rows = {row.source: row for row in session.scalars(select(SourceState))}
    return [name for name, digest in documents.items() if name not in rows or _is_due(rows[name], digest, now)]


def _is_due(row: SourceState, digest: str, now: datetime) -> bool:
    return row.paused_at is None and (row.document_hash != digest or (row.next_pull_at or now) <= now)


def begin(session: Session, source: str, *, now: datetime, document_hash: str | None = None) -> Begun:
    """Note that a pull starts, by which document; every other one may store nothing from now on. Raises Paused."""
    unchanged = SourceState.document_hash.is_not_distinct_from(document_hash)
    started = upsert(SourceState).values(
        source=source, started_at=now, started_after=_LAST_VERSION, document_hash=document_hash, fence=1
    )
    started = started.on_conflict_do_update(
        index_elements=[SourceState.source],
        set_={
            "started_at": now,
            "started_after": _LAST_VERSION,
            "document_hash": document_hash,
            "fence": SourceState.fence + 1,
            "waits_for": None,
            "failures": case((unchanged, SourceState.failures), else_=0),
        },
        where=SourceState.paused_at.is_(None),
    )
    row = session.scalar(started.returning(SourceState), execution_options={"populate_existing": True})
    if row is None:
        raise paused(session, source)
    unfinished = [SourceProblem.source == source, SourceProblem.slice_id.is_(None)]
    if row.succeeded_at is not None:
        unfinished.append(SourceProblem.seen_at > row.succeeded_at)
    session.execute(delete(SourceProblem).where(*unfinished))  # this pull lists again what is still wrong
    return Begun(row.fence, row.state)


def store_page(session: Session, source: str, page: Page, *, started_at: datetime, fence: int | None = None) -> int:
    """Store a page's rows and problems, and where to go on after it; gives the number of new versions.

    Raises Superseded when there is a later pull than the one of this fence; None is for those who are alone.
    """
    row = _held(session, source, fence)  # before anything else: who waits here for a later pull stores nothing
    stored = store_fetched(session, source, page, seen_at=started_at)
    if page.state is not None:
        if _further(page.state) != _further(row.state):
            row.failures, row.last_error = 0, row.sweep_error
        row.state = page.state
    if page.sweep is not None:
        versions, row.sweep_error = _store_sweep(session, row, page.sweep)
        stored += versions
    return stored


def store_fetched(
    session: Session, source: str, page: Page, *, seen_at: datetime, slice_id: int | None = None, present: bool = True
) -> int:
    """Store the rows and problems of a page that moves no pull on; gives the number of new versions.

    `present` is false of what was not asked for but sent, which may come again when it is no longer so.
    """
    stored = _store_rows(session, source, page.rows, present=present) if page.rows else 0
    if page.problems:
        session.execute(
            insert(SourceProblem),
            [
                {
                    "source": source,
                    "row": problem.row,
                    "column": problem.column,
                    "message": problem.message,
                    "raw": problem.raw,
                    "seen_at": seen_at,
                    "slice_id": slice_id,
                }
                for problem in page.problems
            ],
        )
    return stored


def unknown(session: Session, source: str, rows: Sequence[Row]) -> list[tuple[Row, bool]]:
    """Give those rows that are stored otherwise, or not at all, each with whether nothing is stored of its record."""
    rows = erased.sift(session, source, rows)
    asked = {"source": source, "keys": sorted({row.key for row in rows})}
    records = {row.key: row.id for row in session.execute(_FIND_RECORDS, asked)}
    held = [row for row in rows if row.key in records]
    places = _places(session, [(records[row.key], row.cursor) for row in held])
    known = _known(session, list(dict.fromkeys(places)))
    same = {id(row) for row, place in zip(held, places, strict=True) if known[place][-1:] == [_hash(row)]}
    return [(row, row.key not in records) for row in rows if id(row) not in same]


@dataclass(frozen=True, slots=True)
class Newest:
    """What the newest version of a record is."""

    hash: bytes
    deleted: bool
    pulled_at: datetime

    def says(self, row: Row) -> bool:
        """Tell whether it is what the row says."""
        return self.hash == _hash(row)


def newest(session: Session, source: str, keys: Collection[str]) -> dict[str, Newest]:
    """Give the newest version of each of these records that is stored."""
    rows = session.execute(_NEWEST, {"source": source, "keys": sorted(keys)})
    return {row.key: Newest(bytes(row.content_hash), row.deleted, row.pulled_at) for row in rows}


def rest(session: Session, source: str, *, now: datetime, fence: int) -> None:
    """Note that a pull leaves the rest to the next one, which is due at once."""
    _held(session, source, fence).next_pull_at = now


def finish(
    session: Session,
    source: str,
    new_state: dict[str, Any] | None,
    *,
    started_at: datetime,
    every: int,
    fence: int | None = None,
) -> None:
    """Note that a pull read everything; `new_state` None means that nothing had changed since the last one.

    A sweep that was not believed stays the source's error until there is one that is. Raises Superseded.
    """
    row = _held(session, source, fence)
    if new_state is not None:
        row.state = new_state
        mine = (SourceProblem.source == source, SourceProblem.slice_id.is_(None))
        session.execute(delete(SourceProblem).where(*mine, SourceProblem.seen_at < started_at))
    row.succeeded_at, row.failures, row.last_error = started_at, 0, row.sweep_error
    row.next_pull_at = started_at + timedelta(seconds=every)


def fail(
    session: Session,
    source: str,
    error: str,
    *,
    now: datetime,
    retry_after: float | None = None,
    fence: int | None = None,
) -> None:
    """Note that a pull failed, why, and when the next try is due. Raises Superseded."""
    row = _held(session, source, fence)
    failures = row.failures or 0
    wait = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
    row.failed_at, row.last_error, row.failures = now, error, failures + 1
    row.next_pull_at = now + timedelta(seconds=max(wait, retry_after or 0))


def wait(session: Session, source: str, why: str, *, now: datetime, retry_after: float, fence: int) -> None:
    """Note that a system asked for a wait of so many seconds, why, and when the next try is due. Raises Superseded.

    It is a failure only once this has happened again and again, and nothing came in between.
    """
    row = _held(session, source, fence)
    if row.failures >= len(RETRY_SECONDS):
        fail(session, source, why, now=now, retry_after=retry_after, fence=fence)
        return
    longer = max(RETRY_SECONDS[row.failures], retry_after)
    row.waits_for, row.last_error, row.failures = why, row.sweep_error, row.failures + 1
    row.next_pull_at = now + timedelta(seconds=longer)


def pause(session: Session, source: str, *, now: datetime, why: str | None = None) -> None:
    """Let nothing be pulled, backfilled or fetched any more; what is under way stops at its next page."""
    row = state(session, source)
    row.paused_at, row.paused_why = row.paused_at or now, why or row.paused_why
    _supersede(session, row)


def resume(session: Session, source: str) -> None:
    """Let it go on where it was, at once."""
    row = state(session, source)
    row.paused_at = row.paused_why = row.next_pull_at = row.waits_for = None
    waiting = update(BackfillSlice).where(BackfillSlice.source == source, BackfillSlice.done_at.is_(None))
    session.execute(waiting.values(next_try_at=None, failures=0))


def paused(session: Session, source: str) -> Paused:
    """Give the error that says since when and why a source is paused, and how to go on."""
    row = session.get_one(SourceState, source, populate_existing=True)
    why = f" ({row.paused_why})" if row.paused_why else ""
    since = utc_text(row.paused_at)
    return Paused(f"{source} has been paused since {since}{why}. `lrs-bridge source resume {source}` lets it go on.")


def is_paused(session: Session, source: str) -> bool:
    """Tell whether a source is paused."""
    return bool(session.scalar(select(SourceState.paused_at.is_not(None)).where(SourceState.source == source)))


def reset(session: Session, source: str) -> None:
    """Forget how far a source has been read; what is stored of it stays, and a version that comes again is known."""
    row = state(session, source)
    row.state = row.document_hash = row.last_error = row.next_pull_at = row.sweep_error = row.waits_for = None
    row.failures = 0
    _supersede(session, row)
    sweeps.forget(session, source)
    session.execute(delete(SourceProblem).where(SourceProblem.source == source))
    session.execute(delete(BackfillSlice).where(BackfillSlice.source == source))


def _held(session: Session, source: str, fence: int | None) -> SourceState:
    """Give the row of state, locked until the transaction ends; raises Superseded when there is a later pull."""
    if fence is None:
        return state(session, source)
    mine = select(SourceState).where(SourceState.source == source, SourceState.fence == fence)
    row = session.scalar(mine.with_for_update().execution_options(populate_existing=True))
    if row is None:
        raise Superseded(f"This pull of {source} stops: it has been begun again elsewhere, paused or reset.")
    return row


def _further(state: dict[str, Any] | None) -> dict[str, Any]:
    """Give what differs in a connector's state when a pull has come further: what is left of a quota always does."""
    return {name: value for name, value in (state or {}).items() if name != "quota"}


def _supersede(session: Session, row: SourceState) -> None:
    """Let nothing that is under way store anything more."""
    session.flush()
    session.execute(update(SourceState).where(SourceState.source == row.source).values(fence=SourceState.fence + 1))
    mine = (BackfillSlice.source == row.source, BackfillSlice.done_at.is_(None))
    session.execute(update(BackfillSlice).where(*mine).values(fence=BackfillSlice.fence + 1))
    session.expire(row)


def _store_sweep(session: Session, row: SourceState, sweep: Sweep) -> tuple[int, str | None]:
    """Store a piece of a sweep; gives the new versions, and what is to be told of sweeps."""
    versions, error = sweeps.store(session, row.source, sweep, started_after=row.started_after or 0)
    return versions, error if sweep.complete else row.sweep_error


def problems(session: Session, source: str) -> Sequence[SourceProblem]:
    """Give the rows that the last full read could not use, in file order."""
    rows = select(SourceProblem).where(SourceProblem.source == source).order_by(SourceProblem.row, SourceProblem.id)
    return session.scalars(rows).all()


def problem_counts(session: Session) -> dict[str, int]:
    """Give the number of rows that could not be used, by source."""
    rows = session.execute(select(SourceProblem.source, func.count().label("number")).group_by(SourceProblem.source))
    return {row.source: row.number for row in rows}


def counts(session: Session) -> dict[str, tuple[int, int]]:
    """Give (records, versions) by source."""
    rows = session.execute(
        select(SourceRecord.source, func.count(SourceRecord.id.distinct()), func.count(SourceRecordVersion.id))
        .join(SourceRecordVersion, SourceRecordVersion.record_id == SourceRecord.id)
        .group_by(SourceRecord.source)
    )
    return {source: (records, versions) for source, records, versions in rows}


def _store_rows(session: Session, source: str, rows: Sequence[Row], *, present: bool) -> int:
    """Store what is new; of several rows with one cursor the last one says what the record is now.

    That is stored if it is not the newest version with this cursor, though there may be an equal one that is older. Of
    what tells of the past, here or because a sender may send it again, each is stored once.
    """
    rows = erased.sift(session, source, rows)
    records = _records(session, source, {row.key for row in rows})
    places = _places(session, [(records[row.key], row.cursor) for row in rows])
    known = _known(session, list(dict.fromkeys(places)))
    last = {place: number for number, place in enumerate(places)}
    new: list[tuple[_Place, Row]] = []
    for number, (place, row) in enumerate(zip(places, rows, strict=True)):
        held = known[place]
        is_new = held[-1:] != [_hash(row)] if present and last[place] == number else _hash(row) not in held
        if is_new:
            held.append(_hash(row))
            new.append((place, row))
    stored = {
        "records": [record for (record, _), _ in new],
        "cursors": [cursor for (_, cursor), _ in new],
        "hashes": [_hash(row) for _, row in new],
        "data": [json.dumps(row.data) for _, row in new],
        "deleted": [row.deleted for _, row in new],
    }
    session.execute(_STORE_VERSIONS, stored)
    return len(new)


def _places(session: Session, rows: Sequence[tuple[int, tuple[Any, ...] | None]]) -> list[_Place]:
    """Give where each (record, cursor) stands in the order of versions; without a cursor beside the newest one."""
    uncursored = [record for record, cursor in rows if cursor is None]
    newest: dict[int, str | None] = {}
    if uncursored:
        found = session.execute(_NEWEST_CURSORS, {"records": uncursored})
        newest = {row.record_id: row.cursor for row in found}
    return [(record, newest.get(record) if cursor is None else json.dumps(cursor)) for record, cursor in rows]


def _known(session: Session, places: Sequence[_Place]) -> dict[_Place, list[bytes]]:
    """Give the hashes of the versions that are stored at each place, oldest first."""
    asked = {"records": [record for record, _ in places], "cursors": [cursor for _, cursor in places]}
    known: dict[_Place, list[bytes]] = {place: [] for place in places}
    for row in session.execute(_KNOWN, asked):
        known[places[row.place - 1]] += map(bytes, row.hashes)
    return known


def _hash(row: Row) -> bytes:
    return sweeps.DELETION if row.deleted else row.content_hash


def _records(session: Session, source: str, keys: set[str]) -> dict[str, int]:
    names = {"source": source, "keys": sorted(keys)}
    session.execute(_STORE_RECORDS, names)
    return {row.key: row.id for row in session.execute(_FIND_RECORDS, names)}
