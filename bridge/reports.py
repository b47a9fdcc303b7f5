"""Reports: the records of one program as a table that people and LMSs can read.

A report says what was measured, never that the programme caused it: `CAVEAT` goes with every one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, TextClause, func, select, text
from sqlalchemy.orm import Session

from bridge import mapping, narrowing
from bridge.errors import UnknownName
from bridge.mapping import Behaviour, Documents, Metric, Program
from bridge.models import Learner, Record, RecordBehaviour, RecordMetric
from bridge.narrowing import EVERYTHING, Narrowing
from bridge.times import utc_text
from connectors import Column, ColumnType, Report

CAVEAT = (
    "Averages before and since each learner's completion. They are not an effect of the programme: "
    "people, seasons and cases change too."
)

PAGE = 500
"""Rows held at once, whatever the size of the report."""

# The C order is the same on every server, so the same records give the same bytes.
_KEY = Learner.key.collate("C")

_LEARNING = (
    Column("learner", "Learner"),
    Column("name", "Name"),
    Column("team", "Team"),
    Column("enrolled_at", "Enrolled", type=ColumnType.TIME),
    Column("attempts", "Attempts", type=ColumnType.INTEGER),
    Column("completed_at", "Completed", type=ColumnType.TIME),
    Column("best_score", "Best score", type=ColumnType.NUMBER),
    Column("last_activity_at", "Last activity", type=ColumnType.TIME),
)
_EVIDENCE = (
    Column("remembered_score", "Remembered score", type=ColumnType.NUMBER),
    Column("highest_tier", "Highest tier", type=ColumnType.INTEGER),
    Column("highest_tier_name", "Highest tier: name"),
    Column("match", "Known by"),
)
TIER_NAMES = {
    1: "attendance",
    2: "activity",
    3: "learner perceptions",
    4: "knowledge",
    5: "decision competence",
    6: "task competence",
    7: "transfer",
}
"""As LTEM calls the tiers of `bridge.records.TIERS`."""


def build(
    session: Session,
    documents: Documents,
    name: str,
    *,
    after: str = "",
    limit: int | None = None,
    seen: Narrowing = EVERYTHING,
) -> Report:
    """Give the report of this name; its rows are read from the database while they are used, by learner key.

    `after` and `limit` cut a page out of it: at most so many learners whose keys come after that one. `seen`: of whom.

    Raises UnknownName. Times are UTC texts (ISO 8601), scores 0 to 1, means in the metric's unit, None where there is
    nothing to average.
    """
    found = document(documents, name)
    program = documents.programs[found.program]
    metrics = [documents.metrics[metric] for metric in program.metrics]
    return Report(
        name=found.name,
        title=found.title,
        note=" ".join(part for part in (found.note, CAVEAT) if part),
        columns=columns(metrics, program.behaviours, days=program.window_days),
        rows=_rows(session, program, after=after, limit=limit, seen=seen),
        metadata={"program": program.name, "window_days": program.window_days, "metrics": list(program.metrics)},
    )


def document(documents: Documents, name: str) -> mapping.Report:
    """Give the report document of this name; raises UnknownName."""
    if name not in documents.reports:
        raise UnknownName("report", name, documents.reports)
    return documents.reports[name]


def columns(metrics: Sequence[Metric], behaviours: Sequence[Behaviour] = (), *, days: int) -> tuple[Column, ...]:
    """Give the columns in order: learning first, then four for each metric, evidence, and five for each behaviour.

    Who takes a report may go by the places of columns, so what is new comes last.
    """
    return (
        *_LEARNING,
        *(column for metric in metrics for column in _metric_columns(metric, days)),
        *_EVIDENCE,
        *(column for behaviour in behaviours for column in _behaviour_columns(behaviour, days)),
    )


def summary(session: Session, program: Program, seen: Narrowing = EVERYTHING) -> tuple[int, int]:
    """Count (learners, those who completed)."""
    learners, completed = session.execute(
        select(func.count(Record.id), func.count(Record.completed_at))
        .join(Learner, Learner.id == Record.learner_id)
        .where(Record.program == program.name, _are(seen))
    ).one()
    return learners, completed


def _are(seen: Narrowing) -> TextClause:
    return text(narrowing.RECORDS).bindparams(**seen.parameters())


def _rows(
    session: Session, program: Program, *, after: str, limit: int | None, seen: Narrowing
) -> Iterator[dict[str, Any]]:
    query = _query(program).where(after < _KEY, _are(seen)).order_by(_KEY).limit(limit)
    found = session.execute(query.execution_options(yield_per=PAGE))
    for record, learner, metrics, behaviours in found:
        yield (
            _learning(record, learner)
            | _performance(metrics or {}, program.metrics)
            | _evidence(record)
            | _application(record, behaviours or {}, program.behaviours)
        )


def _query(program: Program) -> Select[tuple[Record, Learner, Mapping[str, Any] | None, Mapping[str, Any] | None]]:
    metrics = (
        select(
            func.jsonb_object_agg(
                RecordMetric.metric,
                func.jsonb_build_array(
                    RecordMetric.before_mean,
                    RecordMetric.before_count,
                    RecordMetric.since_mean,
                    RecordMetric.since_count,
                ),
            )
        )
        .where(RecordMetric.record_id == Record.id)
        .correlate(Record)
        .scalar_subquery()
    )
    behaviours = (
        select(
            func.jsonb_object_agg(
                RecordBehaviour.behaviour,
                func.jsonb_build_array(
                    RecordBehaviour.before_uses,
                    RecordBehaviour.before_opportunities,
                    RecordBehaviour.since_uses,
                    RecordBehaviour.since_opportunities,
                    func.extract("epoch", RecordBehaviour.first_at - Record.completed_at),
                ),
            )
        )
        .where(RecordBehaviour.record_id == Record.id)
        .correlate(Record)
        .scalar_subquery()
    )
    return (
        select(Record, Learner, metrics, behaviours)
        .join(Learner, Learner.id == Record.learner_id)
        .where(Record.program == program.name)
    )


def _learning(record: Record, learner: Learner) -> dict[str, Any]:
    return {
        "learner": learner.key,
        "name": learner.name,
        "team": learner.attributes.get("team"),
        "enrolled_at": utc_text(record.enrolled_at),
        "attempts": record.attempts,
        "completed_at": utc_text(record.completed_at),
        "best_score": record.best_score,
        "last_activity_at": utc_text(record.last_activity_at),
    }


def _performance(metrics: Mapping[str, Sequence[Any]], names: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in names:
        before_mean, before_count, since_mean, since_count = metrics.get(name, (None, 0, None, 0))
        row[f"{name}_before_mean"], row[f"{name}_before_count"] = _float(before_mean), before_count
        row[f"{name}_since_mean"], row[f"{name}_since_count"] = _float(since_mean), since_count
    return row


def _evidence(record: Record) -> dict[str, Any]:
    highest = max(map(int, record.tiers), default=None)
    return {
        "remembered_score": record.remembered_score,
        "highest_tier": highest,
        "highest_tier_name": None if highest is None else TIER_NAMES[highest],
        "match": record.match,
    }


def _application(record: Record, found: Mapping[str, Sequence[Any]], behaviours: Sequence[Behaviour]) -> dict[str, Any]:
    """Give uses, and uses per opportunity where opportunities are counted; nothing at all before a completion."""
    row: dict[str, Any] = {}
    for behaviour in behaviours:
        name = behaviour.name
        known = found.get(name) if record.completed_at else None
        before, of_before, since, of_since, seconds = known or (None,) * 5
        row[f"{name}_uses_before"], row[f"{name}_rate_before"] = _float(before), rate(before, of_before)
        row[f"{name}_uses_since"], row[f"{name}_rate_since"] = _float(since), rate(since, of_since)
        row[f"{name}_days_to_first"] = None if seconds is None else float(seconds) / 86_400
    return row


def rate(uses: float | None, opportunities: float | None) -> float | None:
    """Give uses per opportunity, where opportunities are counted and there were any."""
    return float(uses) / float(opportunities) if uses is not None and opportunities else None


def _float(mean: float | None) -> float | None:
    """Give a mean as a float: JSON in the database writes 1.0 as 1."""
    return None if mean is None else float(mean)


def _metric_columns(metric: Metric, days: int) -> Iterator[Column]:
    for window, words in (("before", f"{days} days before"), ("since", f"{days} days since")):
        yield Column(f"{metric.name}_{window}_mean", f"{metric.title}, {words}", metric.unit, ColumnType.NUMBER)
        yield Column(f"{metric.name}_{window}_count", f"{metric.title}, {words}: how many", type=ColumnType.INTEGER)


def _behaviour_columns(behaviour: Behaviour, days: int) -> Iterator[Column]:
    title = f"Who was trained {behaviour.does}"
    for window, words in (("before", f"{days} days before"), ("since", f"{days} days since")):
        yield Column(f"{behaviour.name}_uses_{window}", f"{title}, {words}: uses", type=ColumnType.NUMBER)
        yield Column(
            f"{behaviour.name}_rate_{window}", f"{title}, {words}: uses per opportunity", type=ColumnType.NUMBER
        )
    yield Column(
        f"{behaviour.name}_days_to_first", f"{title}: days from completion to the first use", "days", ColumnType.NUMBER
    )
