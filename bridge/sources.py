"""Source records as they were pulled: every version once, in order, with the rows that could not be used.

The rule guarded here: pulling the same thing twice changes nothing, and a page is stored whole or not at all.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.orm import Session

from bridge.models import SourceProblem, SourceRecord, SourceRecordVersion, SourceState
from connectors import Page, Row

RETRY_SECONDS = (30, 120, 600, 3600)
"""Waits after the first, second, ... failed pull in a row; the last one is repeated."""

_STORE_RECORDS = text("""
    insert into source_record (source, key)
    select :source, key from unnest(cast(:keys as text[])) as key group by key order by key
    on conflict (source, key) do nothing
""")

# A row without a cursor is a new version when it differs from the newest one; a row with a cursor, when this
# cursor and content are not there yet. The unique constraint says the same and settles races.
_STORE_VERSIONS = text("""
    with incoming as (
        select key, content_hash, cursor::jsonb as cursor, data::jsonb as data, place
        from unnest(cast(:keys as text[]), cast(:hashes as bytea[]), cast(:cursors as text[]), cast(:data as text[]))
            with ordinality as row (key, content_hash, cursor, data, place)
    )
    insert into source_record_version (record_id, cursor, content_hash, data)
    select record.id, incoming.cursor, incoming.content_hash, incoming.data
    from incoming
    join source_record record on record.source = :source and record.key = incoming.key
    left join lateral (
        select version.content_hash from source_record_version version
        where version.record_id = record.id order by version.id desc limit 1
    ) newest on incoming.cursor is null
    where incoming.cursor is not null or newest.content_hash is distinct from incoming.content_hash
    order by incoming.place
    on conflict (record_id, cursor, content_hash) do nothing
""")


def state(session: Session, source: str) -> SourceState:
    """Give the source's row of state, made when it is not there yet."""
    row = session.get(SourceState, source)
    if row is None:
        row = SourceState(source=source, failures=0)
        session.add(row)
    return row


def due(session: Session, intervals: dict[str, int], *, now: datetime) -> list[str]:
    """Name the sources whose next pull is due; `intervals` is seconds between pulls by source name."""
    rows = {row.source: row for row in session.scalars(select(SourceState))}
    return [name for name in intervals if name not in rows or (rows[name].next_pull_at or now) <= now]


def store_page(session: Session, source: str, page: Page, *, started_at: datetime) -> int:
    """Store a page's rows and problems; gives the number of new versions."""
    stored = _store_rows(session, source, page.rows) if page.rows else 0
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
                    "seen_at": started_at,
                }
                for problem in page.problems
            ],
        )
    return stored


def begin(session: Session, source: str, *, now: datetime) -> dict[str, Any] | None:
    """Note that a pull starts; gives what the connector left last time."""
    row = state(session, source)
    row.started_at = now
    return row.state


def finish(
    session: Session, source: str, new_state: dict[str, Any] | None, *, started_at: datetime, every: int
) -> None:
    """Note that a pull read everything; `new_state` None means that nothing had changed since the last one."""
    row = state(session, source)
    if new_state is not None:
        row.state = new_state
        session.execute(delete(SourceProblem).where(SourceProblem.source == source, SourceProblem.seen_at < started_at))
    row.succeeded_at, row.failures, row.last_error = started_at, 0, None
    row.next_pull_at = started_at + timedelta(seconds=every)


def fail(session: Session, source: str, error: str, *, now: datetime, retry_after: float | None = None) -> None:
    """Note that a pull failed, why, and when the next try is due."""
    row = state(session, source)
    wait = RETRY_SECONDS[min(row.failures, len(RETRY_SECONDS) - 1)]
    row.failed_at, row.last_error, row.failures = now, error, row.failures + 1
    row.next_pull_at = now + timedelta(seconds=max(wait, retry_after or 0))


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


def _store_rows(session: Session, source: str, rows: Sequence[Row]) -> int:
    keys = [row.key for row in rows]
    session.execute(_STORE_RECORDS, {"source": source, "keys": keys})
    result = session.execute(
        _STORE_VERSIONS,
        {
            "source": source,
            "keys": keys,
            "hashes": [row.content_hash for row in rows],
            "cursors": [None if row.cursor is None else json.dumps(row.cursor) for row in rows],
            "data": [json.dumps(row.data) for row in rows],
        },
    )
    return result.rowcount  # type: ignore[attr-defined, no-any-return]
