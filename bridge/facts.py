"""Facts: what the rules in force read out of statements and source records.

The rules guarded here:

- Each item is read once by each rule (see `readings`), and its facts are stored with the move of the lane.
- A source record's facts come from all of its versions, and replace what they were before.
- Facts hang on aliases, so who is who may change without reading anything again.
- What is stored does not depend on the order of reading, nor on how it was cut into batches.
"""

import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

import msgspec
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

import lrs
from bridge import erased, identities, readings
from bridge.mapping import (
    MAX_VERSIONS,
    Documents,
    EarlierFact,
    Failure,
    LearningFact,
    PerformanceFact,
    Version,
    reconciled,
)
from bridge.models import Quarantine, Reading, ReadingLane, ReadingState, Rule
from bridge.readings import Stream, Unread

log = logging.getLogger(__name__)

BATCH = 500
"""Items a transaction: large enough for set-based SQL, small enough that a kill costs little."""
RECORDS_AT_ONCE = 50
"""Source records whose versions are held at once."""

_VERSIONS = text("""
    select record.id as record_id, record.source, version.id,
        case when not version.deleted then version.data end as data
    from source_record record
    cross join lateral (
        select * from source_record_version
        where record_id = record.id order by cursor desc nulls last, id desc limit :most
    ) version
    where record.id = any(cast(:records as bigint[]))
    order by record.id, version.cursor nulls first, version.id
""")

_STORE_FACTS = text("""
    insert into fact (rule_id, origin, alias_id, version_id, occurred_at, value, weight, success, activity, course,
        attempt, detail)
    select * from unnest(cast(:rule_id as integer[]), cast(:origin as bigint[]), cast(:alias_id as bigint[]),
        cast(:version_id as bigint[]), cast(:occurred_at as timestamptz[]), cast(:value as float8[]),
        cast(:weight as float8[]), cast(:success as boolean[]), cast(:activity as text[]), cast(:course as text[]),
        cast(:attempt as text[]), cast(:detail as jsonb[]))
""")

_STORE_HISTORY = text("""
    insert into fact_history (rule_id, origin, version_id, alias_id, until_version_id, occurred_at, value, weight)
    select * from unnest(cast(:rule_id as integer[]), cast(:origin as bigint[]), cast(:version_id as bigint[]),
        cast(:alias_id as bigint[]), cast(:until_version_id as bigint[]), cast(:occurred_at as timestamptz[]),
        cast(:value as float8[]), cast(:weight as float8[]))
""")

_FORGET = [
    text(f"""
        delete from {table}
        where rule_id = any(cast(:rules as integer[])) and origin = any(cast(:records as bigint[])) {returning}
    """)  # noqa: S608 - words from below
    for table, returning in (("fact_history", ""), ("quarantine", ""), ("fact", "returning alias_id"))
]

_MARK_STALE = text("insert into stale_alias (alias_id) select unnest(cast(:aliases as bigint[]))")

_MARK_VOIDED = text("""
    insert into stale_alias (alias_id)
    select distinct fact.alias_id
    from statement join fact on fact.origin = statement.seq and fact.rule_id = any(cast(:rules as integer[]))
    where statement.id = any(cast(:voided as uuid[]))
""")

# The name of the newest day wins, and of several that day the last by alphabet: so the order of reading does not
# matter, and an alias is written once a day at most. Locked in order, because other lanes want the same rows.
_NAME_ALIASES = text("""
    with due as (
        select alias.id, fresh.name, fresh.day
        from unnest(cast(:keys as text[]), cast(:names as text[]), cast(:days as timestamptz[]))
            as fresh (key, name, day)
        join alias on alias.key = fresh.key
        where alias.named_at is null or (fresh.day, fresh.name collate "C") > (alias.named_at, alias.name collate "C")
        order by alias.id for no key update of alias
    )
    update alias set name = due.name, named_at = due.day,
        settled = settled and alias.name is not distinct from due.name  -- a learner may be called by it
    from due where alias.id = due.id
""")

_COLUMNS = (
    "rule_id",
    "origin",
    "alias_id",
    "version_id",
    "occurred_at",
    "value",
    "weight",
    "success",
    "activity",
    "course",
    "attempt",
    "detail",
)
_HISTORY_COLUMNS = (
    "rule_id",
    "origin",
    "version_id",
    "alias_id",
    "until_version_id",
    "occurred_at",
    "value",
    "weight",
)


Read = TypeVar("Read")


class Reader:
    """Reads for one reading: its rules as documents, and as rows that facts point to."""

    def __init__(self, session: Session, reading: Reading, documents: Documents) -> None:
        """Take the documents that the reading reads by (`documents.of_reading`)."""
        rules = readings.rules_of(session, reading.state)
        self._session, self._documents, self.reading = session, documents, reading
        self._rules = {
            kind: _Rules(rule for rule in rules if rule.kind == kind) for kind in ("learning", "performance")
        }

    def read_lane(self, stream: Stream, lane: int) -> int:
        """Read the next batch of a lane; gives how many items, 0 when none is due or another worker holds the lane."""
        row = readings.lock_lane(self._session, self.reading, stream, lane)
        return self.read_batch(row)[0] if row else 0

    def read_batch(self, row: ReadingLane) -> tuple[int, bool]:
        """Read the next batch of a lane that is held; gives how many items, and whether there may be more."""
        batch = readings.next_batch(self._session, self.reading, row, limit=BATCH)
        if batch.items and not readings.is_current(self._session, self.reading):
            return 0, False
        if batch.items and row.stream == Stream.STATEMENTS:
            self._read_statements(batch.items)
        elif batch.items:
            self._read_source_records(sorted({item.record_id for item in batch.items if item.record_id is not None}))
        if batch.position != (int(row.xid), row.seq):
            readings.advance(self._session, row, batch.position)
        return len(batch.items), batch.full

    @property
    def _counts(self) -> bool:
        """Whether these facts count already, so that records must be built anew; a take-over builds all of them."""
        return self.reading.state == ReadingState.ACTIVE

    def _read_statements(self, items: Sequence[Unread]) -> None:
        rules, reader = self._rules["learning"], self._documents.statement_reader
        facts: list[tuple[int, LearningFact]] = []
        failures: list[dict[str, Any]] = []
        voided: list[str] = []
        for item in items:
            try:
                statement, read = read_payload(reader.read, item.payload or "")
            except Exception as error:  # whatever it is: one statement must not hold up all that come after it
                log.exception("statement %d could not be read", item.seq)
                reason = f"A fault of lrs-bridge ({type(error).__name__}); the worker's log has it."
                failures.append(_failure(rules, Failure("", "", reason), item.seq))
                continue
            if statement["verb"]["id"] == lrs.VOIDED:
                voided.append(statement["object"]["id"])
            facts += ((item.seq, fact) for fact in read.facts)
            failures += (_failure(rules, failure, item.seq) for failure in read.failures)
        if gone := erased.aliases(self._session, (fact.alias_key for _, fact in facts)):
            facts = [one for one in facts if one[1].alias_key not in gone]
        aliases = identities.ids(self._session, (fact.alias_key for _, fact in facts))
        self._store([_learning_row(rules, origin, fact, aliases) for origin, fact in facts])
        self._quarantine(failures)
        # Those that are read already do not count any more: records need only be looked at again.
        if voided and self._counts:
            self._session.execute(_MARK_VOIDED, {"rules": rules.ids, "voided": voided})
        # Last, because it locks the aliases' rows, which other lanes want too.
        self._name_aliases(fact for _, fact in facts)

    def _read_source_records(self, records: Sequence[int]) -> None:
        for start in range(0, len(records), RECORDS_AT_ONCE):
            self._read_records(records[start : start + RECORDS_AT_ONCE])

    def _read_records(self, records: Sequence[int]) -> None:
        rules = self._rules["performance"]
        facts: list[tuple[int, PerformanceFact]] = []
        earlier: list[tuple[int, EarlierFact]] = []
        failures: list[dict[str, Any]] = []
        reported: list[tuple[int, LearningFact, int]] = []
        for record_id, source, versions in versions_of(self._session, records):
            if source == reconciled.SOURCE:
                reported += ((record_id, fact, versions[-1].id) for fact in reconciled.read(versions))
                continue
            read = self._documents.record_reader(source).read(versions)
            facts += ((record_id, fact) for fact in read.facts)
            earlier += ((record_id, fact) for fact in read.history)
            failures += (_failure(rules, failure, record_id, versions[-1].id) for failure in read.failures)
        self._forget(rules, records)
        # Of the facts that an LMS reported the rules may be those of another reading.
        reported = [one for one in reported if one[1].rule in rules]
        keys = [*(fact.alias_key for _, fact in (*facts, *earlier)), *(fact.alias_key for _, fact, _ in reported)]
        if gone := erased.aliases(self._session, keys):
            whose = [(record, fact.alias_key) for record, fact in (*facts, *earlier)]
            whose += [(record, fact.alias_key) for record, fact, _ in reported]
            facts = [one for one in facts if one[1].alias_key not in gone]
            earlier = [one for one in earlier if one[1].alias_key not in gone]
            reported = [one for one in reported if one[1].alias_key not in gone]
            erased.treat(self._session, {record for record, alias in whose if alias in gone})
        aliases = identities.ids(self._session, set(keys) - gone)
        self._store([_performance_row(rules, origin, fact, aliases) for origin, fact in facts])
        self._store(
            [_learning_row(rules, origin, fact, aliases) | {"version_id": id_} for origin, fact, id_ in reported]
        )
        if earlier:
            rows = [_performance_row(rules, origin, fact, aliases) for origin, fact in earlier]
            self._session.execute(_STORE_HISTORY, _by_column(rows, _HISTORY_COLUMNS))
        self._quarantine(failures)

    def _name_aliases(self, facts: Iterable[LearningFact]) -> None:
        newest: dict[str, tuple[datetime, str]] = {}
        for fact in facts:
            if fact.actor_name:
                seen = (fact.occurred_at.replace(hour=0, minute=0, second=0, microsecond=0), fact.actor_name)
                if seen > newest.get(fact.alias_key, seen[:0]):
                    newest[fact.alias_key] = seen
        if newest:
            days, names = zip(*newest.values(), strict=True)
            self._session.execute(_NAME_ALIASES, {"keys": list(newest), "names": list(names), "days": list(days)})

    def _store(self, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            self._session.execute(_STORE_FACTS, _by_column(rows, _COLUMNS))
            self._mark({row["alias_id"] for row in rows})

    def _forget(self, rules: "_Rules", records: Sequence[int]) -> None:
        gone = {"rules": rules.ids, "records": list(records)}
        for statement in _FORGET[:-1]:
            self._session.execute(statement, gone)
        self._mark(self._session.scalars(_FORGET[-1], gone))

    def _mark(self, aliases: Iterable[int]) -> None:
        if self._counts and (marked := sorted(set(aliases))):
            self._session.execute(_MARK_STALE, {"aliases": marked})

    def _quarantine(self, failures: Sequence[dict[str, Any]]) -> None:
        if failures:
            self._session.execute(insert(Quarantine), failures)


def read_payload(read: Callable[[dict[str, Any]], Read], payload: str) -> tuple[dict[str, Any], Read]:
    """Give a statement and what `read` makes of it; a number that no float can hold counts as missing.

    The LRS keeps such numbers as they were sent.
    """
    try:
        statement = msgspec.json.decode(payload)
        return statement, read(statement)
    except (msgspec.ValidationError, OverflowError):
        statement = json.loads(payload, parse_float=_reckonable, parse_int=_reckonable)
        return statement, read(statement)


def versions_of(session: Session, records: Sequence[int]) -> Iterator[tuple[int, str, list[Version]]]:
    """Give (record id, source, its MAX_VERSIONS newest versions, oldest first) of source records, in order of id."""
    rows = session.execute(_VERSIONS, {"records": list(records), "most": MAX_VERSIONS})
    for (record_id, source), found in groupby(rows, key=lambda row: (row.record_id, row.source)):
        yield record_id, source, [Version(row.id, row.data) for row in found]


class _Rules:
    """The rows of a reading's rules, by the names that facts and failures have them under."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._of: dict[str, int] = {}
        for rule in sorted(rules, key=lambda one: one.id, reverse=True):
            # What is no one rule's (a document's condition, a fault of ours) goes to the first of those concerned.
            self._of |= {f"{rule.document}/{rule.name}": rule.id, rule.document: rule.id, "": rule.id}
        self.ids = sorted(set(self._of.values()))

    def __getitem__(self, name: str) -> int:
        return self._of[name]

    def __contains__(self, name: str) -> bool:
        return name in self._of


def _reckonable(number: str) -> float | int | None:
    value = float(number)
    if not math.isfinite(value):
        return None
    return int(number) if number.removeprefix("-").isdecimal() else value


def _learning_row(rules: _Rules, origin: int, fact: LearningFact, aliases: dict[str, int]) -> dict[str, Any]:
    return {
        "rule_id": rules[fact.rule],
        "origin": origin,
        "alias_id": aliases[fact.alias_key],
        "version_id": None,
        "occurred_at": fact.occurred_at,
        "value": fact.value,
        "weight": 1.0,
        "success": fact.success,
        "activity": fact.activity,
        "course": fact.course,
        "attempt": fact.attempt,
        "detail": json.dumps(fact.detail, sort_keys=True) if fact.detail else None,
    }


def _performance_row(
    rules: _Rules, origin: int, fact: PerformanceFact | EarlierFact, aliases: dict[str, int]
) -> dict[str, Any]:
    row = {
        "rule_id": rules[fact.rule],
        "origin": origin,
        "alias_id": aliases[fact.alias_key],
        "version_id": fact.version_id,
        "occurred_at": fact.occurred_at,
        "value": fact.value,
        "weight": fact.weight,
    }
    if isinstance(fact, EarlierFact):
        return row | {"until_version_id": fact.until_version_id}
    return row | dict.fromkeys(("success", "activity", "course", "attempt", "detail"))


def _failure(rules: _Rules, failure: Failure, origin: int, version_id: int | None = None) -> dict[str, Any]:
    return {
        "rule_id": rules[failure.rule],
        "origin": origin,
        "version_id": version_id,
        "expression": failure.expression,
        "reason": failure.reason,
    }


def _by_column(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> dict[str, list[Any]]:
    return {column: [row[column] for row in rows] for column in columns}
