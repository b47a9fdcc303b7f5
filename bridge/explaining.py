"""Explaining: what the documents in force make of one statement or source record, and what is stored of it.

The rules guarded here:

- What the rules would give now comes from the readers that facts come from; nothing is worked out in another way.
- Beside it stands what is stored, so that a difference (changed rules that history is not yet read by) can be seen.
- Whoever a fact is about is named with the alias that came with it, and the rule that leads the alias to a learner.
"""

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge import facts, readings
from bridge.errors import NotFound
from bridge.mapping import MAX_VERSIONS, Documents, LearningFact, PerformanceFact, RuleTrace, Version
from bridge.mapping.aliases import of_actor
from bridge.models import RuleState
from bridge.times import exact_text

_STATEMENT = text(f"""
    select seq, id, stored, payload,
        exists (select from voided_statement voided where voided.seq = statement.seq) as voided,
        array(select voiding.id::text from reference join statement voiding on voiding.seq = reference.seq
            where reference.target = statement.id and reference.voids order by voiding.seq) as voided_by,
        exists (select from reading join reading_lane lane on lane.reading_id = reading.id
            where reading.state = 'active' and lane.stream = 'statements'
            and lane.lane = mod(statement.seq, {readings.LANES})
            and (lane.xid, lane.seq) >= (statement.xid, statement.seq)) as read
    from statement where id = :id
""")  # noqa: S608 - LANES is a constant

_RECORD_BY_ID = text("select id, source, key from source_record where id = :id")
_RECORD_BY_KEY = text("select id, source, key from source_record where source = :source and key = :key")

_VERSIONS = text("""
    select * from (
        select id, cursor, deleted, pulled_at, data from source_record_version where record_id = :record
        order by cursor desc nulls last, id desc limit :most
    ) newest order by cursor nulls first, id
""")

_FACTS = text("""
    select rule.document || '/' || rule.name as rule, rule.content_hash, rule.state,
        coalesce(rule.fact, rule.metric) as what, alias.key as alias, fact.version_id as version, fact.occurred_at,
        fact.value, fact.weight, fact.success, fact.activity, fact.course, fact.attempt, fact.detail
    from fact join rule on rule.id = fact.rule_id and rule.state <> 'dropped' and rule.kind = :kind
    join alias on alias.id = fact.alias_id
    where fact.origin = :origin order by 1, 3, alias.key collate "C"
""")

_HISTORY = text("""
    select rule.document || '/' || rule.name as rule, rule.content_hash, rule.state, rule.metric as what,
        alias.key as alias, past.version_id as version, past.until_version_id as until_version, past.occurred_at,
        past.value, past.weight
    from fact_history past join rule on rule.id = past.rule_id and rule.state <> 'dropped'
    join alias on alias.id = past.alias_id
    where past.origin = :origin order by past.version_id, 1, alias.key collate "C"
""")

_QUARANTINE = text("""
    select rule.document || '/' || rule.name as rule, rule.content_hash, rule.state, quarantine.version_id as version,
        quarantine.expression, quarantine.reason
    from quarantine join rule on rule.id = quarantine.rule_id and rule.state <> 'dropped' and rule.kind = :kind
    where quarantine.origin = :origin and (rule.kind <> 'learning'
        or not exists (select from voided_statement voided where voided.seq = quarantine.origin))
    order by quarantine.id
""")

_LEARNERS = text("""
    select wanted.key as alias, learner.key as learner, learner.name, alias.rule, alias.id is not null as known
    from unnest(cast(:keys as text[])) as wanted (key)
    left join alias on alias.key = wanted.key left join learner on learner.id = alias.learner_id
    order by wanted.key collate "C"
""")

Told = dict[str, Any]


def statement(session: Session, documents: Documents, statement_id: str) -> Told:
    """Explain the statement of this id, in JSON types; raises NotFound."""
    found = session.execute(_STATEMENT, {"id": _uuid(statement_id)}).one_or_none()
    if found is None:
        raise _no_statement(statement_id)
    parsed, traces = facts.read_payload(documents.statement_reader.explain, found.payload)
    actor = parsed.get("actor")
    return {
        "statement": {
            "id": str(found.id),
            "stored": exact_text(found.stored),
            "read": found.read,
            "voided": found.voided,
            "voided_by": found.voided_by,
            "raw": parsed,
        },
        **_made_of(session, "learning", found.seq, traces, [of_actor(actor) if isinstance(actor, dict) else None]),
    }


def record(session: Session, documents: Documents, name: str) -> Told:
    """Explain the source record `SOURCE/KEY`, or of this number, in JSON types; raises NotFound.

    Told and read are its `MAX_VERSIONS` newest versions, oldest first.
    """
    found = _record(session, name)
    versions = session.execute(_VERSIONS, {"record": found.id, "most": MAX_VERSIONS}).all()
    read = [Version(row.id, None if row.deleted else row.data) for row in versions]
    traces = documents.record_reader(found.source).explain(read)
    rosters = [roster for roster in documents.identity.rosters if roster.source == found.source]
    history = session.execute(_HISTORY, {"origin": found.id})
    return {
        "record": {
            "id": found.id,
            "source": found.source,
            "key": found.key,
            "is_roster": bool(rosters),
            "versions": [
                {
                    "id": row.id,
                    "pulled_at": exact_text(row.pulled_at),
                    "cursor": row.cursor,
                    "deleted": row.deleted,
                    "raw": row.data,
                }
                for row in versions
            ],
        },
        **_made_of(session, "performance", found.id, traces, []),
        "history": [_row(row) for row in history.mappings()],
    }


def _made_of(
    session: Session, kind: str, origin: int, traces: Sequence[RuleTrace], aliases: Iterable[str | None]
) -> Told:
    """Give what the rules make of an item, what is stored of it, and who it is about."""
    of_item = {"kind": kind, "origin": origin}
    stored = [_row(row) for row in session.execute(_FACTS, of_item).mappings()]
    would_be = [_fact(trace, fact) for trace in traces for fact in trace.facts]
    keys = {row["alias"] for row in (*stored, *would_be)} | {alias for alias in aliases if alias}
    return {
        "rules": [_trace(trace) for trace in traces],
        "facts": {"would_be": would_be, "stored": stored, "same": _same(would_be, stored)},
        "learners": [dict(row) for row in session.execute(_LEARNERS, {"keys": sorted(keys)}).mappings()],
        "quarantine": [_row(row) for row in session.execute(_QUARANTINE, of_item).mappings()],
    }


def _trace(trace: RuleTrace) -> Told:
    return {
        "rule": trace.rule,
        "content_hash": trace.content_hash or None,
        "tried": trace.tried,
        "matched": trace.matched,
        "because": trace.because,
        "values": [
            {"key": one.key, "expression": one.expression}
            | ({"error": one.error} if one.error is not None else {"value": _plain(one.value)})
            for one in trace.values
        ],
        "facts": len(trace.facts),
        "failure": asdict(trace.failure) if trace.failure else None,
    }


def _fact(trace: RuleTrace, fact: LearningFact | PerformanceFact) -> Told:
    """Give a fact in the words of the stored ones."""
    told: Told = {"rule": fact.rule, "content_hash": trace.content_hash or None}
    if isinstance(fact, PerformanceFact):
        told |= {"what": fact.metric, "alias": fact.alias_key, "version": fact.version_id}
        told |= {"occurred_at": exact_text(fact.occurred_at), "value": fact.value, "weight": fact.weight}
        return told
    told |= {"what": str(fact.kind), "alias": fact.alias_key, "occurred_at": exact_text(fact.occurred_at)}
    told |= {"value": fact.value, "weight": 1.0, "success": fact.success}
    told |= {"activity": fact.activity, "course": fact.course, "attempt": fact.attempt, "detail": dict(fact.detail)}
    return {name: value for name, value in told.items() if value not in (None, {})}


def _same(would_be: Sequence[Told], stored: Sequence[Told]) -> bool:
    """Tell whether the facts that count are those that the rules give now."""
    counting = [
        {name: row[name] for name in row if name != "state"} for row in stored if row["state"] == RuleState.ACTIVE
    ]
    return all(fact in counting for fact in would_be) and len(counting) == len(would_be)


def _row(row: Mapping[Any, Any]) -> Told:
    return {name: _plain(value) for name, value in row.items() if value is not None}


def _plain(value: object) -> object:
    """Give a value as JSON has it: times as ISO 8601, lengths of time as CEL writes them."""
    match value:
        case datetime():
            return exact_text(value)
        case timedelta():
            return f"{value.total_seconds():g}s"
        case bytes():
            return value.hex()
        case dict():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case float() if not math.isfinite(value):
            return str(value)
        case None | str() | bool() | int() | float():
            return value
        case _:
            return str(value)


def _record(session: Session, name: str) -> Any:  # noqa: ANN401 - a row
    source, separator, key = name.partition("/")
    if separator:
        found = session.execute(_RECORD_BY_KEY, {"source": source, "key": key}).one_or_none()
    elif name.isascii() and name.isdecimal() and len(name) <= len(str(2**62)):
        found = session.execute(_RECORD_BY_ID, {"id": int(name)}).one_or_none()
    else:
        found = None
    if found is None:
        raise NotFound(
            f"There is no source record {name!r}. Name it SOURCE/KEY, as `lrs-bridge source list` and the source's own "
            "key have it, or by its number."
        )
    return found


def _uuid(statement_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(statement_id)
    except ValueError:
        raise _no_statement(statement_id) from None


def _no_statement(statement_id: str) -> NotFound:
    return NotFound(
        f"There is no statement with the id {statement_id!r}. `lrs-bridge mapping coverage` gives one of each kind."
    )
