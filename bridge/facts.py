"""Facts: what the rules in force read out of statements and source records.

The rules guarded here:

- Each item is read once by each reading (see `readings`), and its facts are stored with the move of the lane.
- A source record's facts come from its newest version and replace those of older ones.
- Facts hang on aliases, so who is who may change without reading anything again.
"""

import json
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, insert, text
from sqlalchemy.orm import Session

import lrs
from bridge import readings
from bridge.mapping import (
    Documents,
    Failure,
    LearningFact,
    PerformanceFact,
    StatementReading,
    read_record,
    read_statement,
)
from bridge.models import Quarantine
from bridge.readings import Stream, Unread

log = logging.getLogger(__name__)

BATCH = 500
"""Items a transaction: large enough for set-based SQL, small enough that a kill costs little."""


_NEWEST_VERSIONS = text("""
    select distinct on (record.id) record.id, version.id, record.source, version.data
    from source_record record join source_record_version version on version.record_id = record.id
    where record.id = any(cast(:records as bigint[]))
    order by record.id, version.cursor desc nulls last, version.id desc
""")

_STORE_FACTS = text("""
    insert into fact (reading_id, alias_id, occurred_at, kind, metric, value, success, activity, course, attempt, rule,
        statement_seq, record_id, version_id)
    select :reading, * from unnest(cast(:alias_id as bigint[]), cast(:occurred_at as timestamptz[]),
        cast(:kind as text[]),
        cast(:metric as text[]), cast(:value as float8[]), cast(:success as boolean[]), cast(:activity as text[]),
        cast(:course as text[]), cast(:attempt as text[]), cast(:rule as text[]), cast(:statement_seq as bigint[]),
        cast(:record_id as bigint[]), cast(:version_id as bigint[]))
""")

_FORGET_FACTS = text("""
    with gone as (
        delete from fact where reading_id = :reading and record_id = any(cast(:records as bigint[])) returning alias_id
    )
    insert into stale_alias (alias_id) select distinct alias_id from gone
""")

_MARK_VOIDED = text("""
    insert into stale_alias (alias_id)
    select distinct fact.alias_id from fact join statement on statement.seq = fact.statement_seq
    where fact.reading_id = :reading and statement.id = any(cast(:voided as uuid[]))
""")

_FORGET_FAILURES = text(
    "delete from quarantine where reading_id = :reading and record_id = any(cast(:records as bigint[]))"
)

_NEW_ALIASES = text("""
    insert into alias (key)
    select key from unnest(cast(:keys as text[])) as key where not exists (select from alias where alias.key = key.key)
    order by key
    on conflict (key) do nothing
""")

# The newest name wins, so that the order of reading does not matter.
_NAME_ALIASES = text("""
    update alias set name = fresh.name, named_at = fresh.at
    from unnest(cast(:keys as text[]), cast(:names as text[]), cast(:at as timestamptz[])) as fresh (key, name, at)
    where alias.key = fresh.key and (alias.named_at is null or (fresh.at, fresh.name) > (alias.named_at, alias.name))
""")

_COLUMNS = ("alias_id", "occurred_at", "kind", "metric", "value", "success", "activity", "course", "attempt", "rule")
_ORIGINS = ("statement_seq", "record_id", "version_id")


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a fact comes from: a statement, or a version of a source record."""

    statement_seq: int | None = None
    record_id: int | None = None
    version_id: int | None = None


def read_lane(session: Session, documents: Documents, reading: int, stream: Stream, lane: int) -> int:
    """Read the next batch of a lane; gives how many items, 0 when nothing is due or another worker holds the lane."""
    row = readings.lock_lane(session, reading, stream, lane)
    items = readings.unread(session, row, limit=BATCH) if row else []
    if row is None or not items:
        return 0
    if stream is Stream.STATEMENTS:
        _read_statements(session, documents, reading, items)
    else:
        _read_source_records(session, documents, reading, items)
    readings.advance(session, row, items[-1].position)
    return len(items)


def _read_statements(session: Session, documents: Documents, reading: int, items: Sequence[Unread]) -> None:
    facts: list[tuple[_Origin, LearningFact]] = []
    failures: list[tuple[_Origin, Failure]] = []
    voided: list[str] = []
    for item in items:
        origin = _Origin(statement_seq=item.seq)
        try:
            statement, read = _read_statement(documents, item.payload or "")
        except Exception as error:  # whatever it is: one statement must not hold up all that come after it
            log.exception("statement %d could not be read", item.seq)
            reason = f"A fault of lrs-bridge ({type(error).__name__}); the worker's log has it."
            failures.append((origin, Failure("(any)", "", reason)))
            continue
        if statement["verb"]["id"] == lrs.VOIDED:
            voided.append(statement["object"]["id"])
        facts += ((origin, fact) for fact in read.facts)
        failures += ((origin, failure) for failure in read.failures)
    aliases = _aliases(session, (fact.alias_key for _, fact in facts))
    _store(session, reading, [_learning_row(origin, fact, aliases) for origin, fact in facts])
    _quarantine(session, reading, failures)
    # Records leave out facts of voided statements; those that are read already need only be looked at again.
    session.execute(_MARK_VOIDED, {"reading": reading, "voided": voided})
    # Last, because it locks the aliases' rows, which other lanes want too.
    _name_aliases(session, (fact for _, fact in facts))


def _read_statement(documents: Documents, payload: str) -> tuple[Any, StatementReading]:
    """Read a statement; a number that no float can hold, which the LRS keeps as it was sent, counts as missing."""
    try:
        statement = msgspec.json.decode(payload)
        return statement, read_statement(documents.learning, statement)
    except (msgspec.ValidationError, OverflowError):
        statement = json.loads(payload, parse_float=_reckonable, parse_int=_reckonable)
        return statement, read_statement(documents.learning, statement)


def _reckonable(number: str) -> float | int | None:
    value = float(number)
    if not math.isfinite(value):
        return None
    return int(number) if number.removeprefix("-").isdecimal() else value


def _read_source_records(session: Session, documents: Documents, reading: int, items: Sequence[Unread]) -> None:
    records = sorted({item.record_id for item in items if item.record_id is not None})
    facts: list[tuple[_Origin, PerformanceFact]] = []
    failures: list[tuple[_Origin, Failure]] = []
    for record_id, version_id, source, data in session.execute(_NEWEST_VERSIONS, {"records": records}):
        origin = _Origin(record_id=record_id, version_id=version_id)
        read = read_record(documents.performance_of(source), data)
        facts += ((origin, fact) for fact in read.facts)
        failures += ((origin, failure) for failure in read.failures)
    aliases = _aliases(session, (fact.alias_key for _, fact in facts))
    _forget(session, reading, records)
    _store(session, reading, [_performance_row(origin, fact, aliases) for origin, fact in facts])
    _quarantine(session, reading, failures)


def _aliases(session: Session, keys: Iterable[str]) -> dict[str, int]:
    """Give the ids of aliases by key, making those that are new."""
    ordered = sorted(set(keys))
    session.execute(_NEW_ALIASES, {"keys": ordered})
    rows = session.execute(text("select key, id from alias where key = any(cast(:keys as text[]))"), {"keys": ordered})
    return {row.key: row.id for row in rows}


def _name_aliases(session: Session, facts: Iterable[LearningFact]) -> None:
    """Take the newest name that came with each alias."""
    newest: dict[str, tuple[datetime, str]] = {}
    for fact in facts:
        seen = (fact.occurred_at, fact.actor_name or "")
        if fact.actor_name and seen > newest.get(fact.alias_key, seen[:0]):
            newest[fact.alias_key] = seen
    if not newest:
        return
    keys = sorted(newest)
    session.execute(
        _NAME_ALIASES,
        {"keys": keys, "names": [newest[key][1] for key in keys], "at": [newest[key][0] for key in keys]},
    )


def _learning_row(origin: _Origin, fact: LearningFact, aliases: dict[str, int]) -> dict[str, Any]:
    return {
        "alias_id": aliases[fact.alias_key],
        "occurred_at": fact.occurred_at,
        "kind": fact.kind,
        "value": fact.score,
        "success": fact.success,
        "activity": fact.activity,
        "course": fact.course,
        "attempt": fact.attempt,
        "rule": fact.rule,
        "statement_seq": origin.statement_seq,
    }


def _performance_row(origin: _Origin, fact: PerformanceFact, aliases: dict[str, int]) -> dict[str, Any]:
    return {
        "alias_id": aliases[fact.alias_key],
        "occurred_at": fact.occurred_at,
        "metric": fact.metric,
        "value": fact.value,
        "rule": fact.rule,
        "record_id": origin.record_id,
        "version_id": origin.version_id,
    }


def _store(session: Session, reading: int, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    columns = {column: [row.get(column) for row in rows] for column in (*_COLUMNS, *_ORIGINS)}
    session.execute(_STORE_FACTS, columns | {"reading": reading})
    _mark_stale(session, {row["alias_id"] for row in rows})


def _forget(session: Session, reading: int, records: Sequence[int]) -> None:
    session.execute(_FORGET_FACTS, {"reading": reading, "records": records})
    session.execute(_FORGET_FAILURES, {"reading": reading, "records": records})


def _mark_stale(session: Session, aliases: Iterable[int]) -> None:
    session.execute(
        text("insert into stale_alias (alias_id) select unnest(cast(:aliases as bigint[]))"),
        {"aliases": sorted(aliases)},
    )


def _quarantine(session: Session, reading: int, failures: Sequence[tuple[_Origin, Failure]]) -> None:
    if not failures:
        return
    session.execute(
        insert(Quarantine),
        [
            {
                "reading_id": reading,
                "statement_seq": origin.statement_seq,
                "record_id": origin.record_id,
                "rule": failure.rule,
                "expression": failure.expression,
                "reason": failure.reason,
            }
            for origin, failure in failures
        ],
    )


def quarantined(session: Session, *, limit: int = 100) -> Sequence[Row[Any]]:
    """Give (rule, expression, reason, items) of what the active reading could not evaluate, the most frequent first."""
    return session.execute(
        text("""
            select rule, expression, reason, count(*) as items from quarantine
            where reading_id = (select id from reading where state = 'active')
            group by 1, 2, 3 order by items desc, rule limit :limit
        """),
        {"limit": limit},
    ).all()
