"""Source records as they were pulled: every version once, in order, with the rows that could not be used.

The rule guarded here: pulling the same thing twice changes nothing, and a page is stored whole or not at all.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.orm import Session

from bridge.models import SourceProblem, SourceRecord, SourceRecordVersion, SourceState
from connectors import Page, Row

RETRY_SECONDS = (30, 120, 600, 3600)
"""Waits after the first, second, ... failed pull in a row; the last one is repeated."""

# Each goes by one index, whatever the planner knows of the tables: joins here were planned badly on fresh ones.
_STORE_RECORDS = text("""
    insert into source_record (source, key)
    select :source, key from unnest(cast(:keys as text[])) as key order by key
    on conflict (source, key) do nothing
""")

_FIND_RECORDS = text("select key, id from source_record where source = :source and key = any(cast(:keys as text[]))")

_NEWEST_HASHES = text("""
    select distinct on (record_id) record_id, content_hash from source_record_version
    where record_id = any(cast(:records as bigint[])) order by record_id, id desc
""")

_DELETION = hashlib.sha256(b"deleted").digest()
"""The content hash of a deletion: that of no JSON, so of no content, and a record that comes back counts as changed."""

_STORE_VERSIONS = text("""
    insert into source_record_version (record_id, cursor, content_hash, data, deleted)
    select record_id, cursor::jsonb, content_hash, data::jsonb, deleted
    from unnest(cast(:records as bigint[]), cast(:cursors as text[]), cast(:hashes as bytea[]), cast(:data as text[]),
        cast(:deleted as boolean[])) as row (record_id, cursor, content_hash, data, deleted)
    on conflict (record_id, cursor, content_hash) do nothing
""")


def state(session: Session, source: str) -> SourceState:
    """Give the source's row of state, made when it is not there yet."""
    row = session.get(SourceState, source)
    if row is None:
        row = SourceState(source=source, failures=0)
        session.add(row)
    return row


def due(session: Session, documents: Mapping[str, str], *, now: datetime) -> list[str]:
    """Name the sources whose next pull is due, or whose document has changed; `documents` is a hash of each by name."""
    rows = {row.source: row for row in session.scalars(select(SourceState))}
    return [name for name, digest in documents.items() if name not in rows or _is_due(rows[name], digest, now)]


def _is_due(row: SourceState, digest: str, now: datetime) -> bool:
    return row.document_hash != digest or (row.next_pull_at or now) <= now


def store_page(session: Session, source: str, page: Page, *, started_at: datetime) -> int:
    """Store a page's rows and problems, and where to go on after it; gives the number of new versions."""
    stored = _store_rows(session, source, page.rows) if page.rows else 0
    if page.state is not None:
        state(session, source).state = page.state
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


def begin(session: Session, source: str, *, now: datetime, document_hash: str | None = None) -> dict[str, Any] | None:
    """Note that a pull starts, by which document; gives what the connector left last time."""
    row = state(session, source)
    if row.document_hash != document_hash:
        row.document_hash, row.failures = document_hash, 0
    unfinished = [SourceProblem.source == source]
    if row.succeeded_at is not None:
        unfinished.append(SourceProblem.seen_at > row.succeeded_at)
    session.execute(delete(SourceProblem).where(*unfinished))  # this pull lists again what is still wrong
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
    """Store what is new: by cursor and content where there is a cursor, else what differs from the newest version."""
    records = _records(session, source, {row.key for row in rows})
    uncursored = [records[row.key] for row in rows if row.cursor is None]
    newest = _newest_hashes(session, uncursored) if uncursored else {}
    new = [row for row in rows if row.cursor is not None or newest.get(records[row.key]) != _hash(row)]
    result = session.execute(
        _STORE_VERSIONS,
        {
            "records": [records[row.key] for row in new],
            "cursors": [None if row.cursor is None else json.dumps(row.cursor) for row in new],
            "hashes": [_hash(row) for row in new],
            "data": [json.dumps(row.data) for row in new],
            "deleted": [row.deleted for row in new],
        },
    )
    return result.rowcount  # type: ignore[attr-defined, no-any-return]


def _hash(row: Row) -> bytes:
    return _DELETION if row.deleted else row.content_hash


def _records(session: Session, source: str, keys: set[str]) -> dict[str, int]:
    names = {"source": source, "keys": sorted(keys)}
    session.execute(_STORE_RECORDS, names)
    return {row.key: row.id for row in session.execute(_FIND_RECORDS, names)}


def _newest_hashes(session: Session, records: Sequence[int]) -> dict[int, bytes]:
    found = session.execute(_NEWEST_HASHES, {"records": records})
    return {row.record_id: row.content_hash for row in found}
