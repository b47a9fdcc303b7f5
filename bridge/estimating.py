"""Estimating what programs changed: the panel and the frozen contract go to the engine, and what it says is kept.

The rules guarded here:

- Effects are estimated of launched programs only, by the contract that was frozen.
- The same data, contract and engine give the same result, so it is estimated once and kept under their hashes. Data
  are all that the engine sees: the panel, a drawn order, and the circumstances.
- What else changed meanwhile is read from the document as it is now: nobody could agree on it before. It takes a
  verdict away (R9), and gives none.
- Completion and satisfaction with a course are no outcome: only metrics of performance documents go into a panel.
- This module needs numpy (the extra `impact`): workers and commands import it when they estimate, and nobody else does.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from bridge import impact as engine
from bridge import panel, programs, suppression, waves
from bridge.errors import NotReady
from bridge.mapping import Direction, Documents, Family, Goal, Metric, Program
from bridge.mapping.kinds import Change, Comparison
from bridge.models import Impact, ProgramEvent
from bridge.panel import Cell, PersonWeek
from bridge.programs import Launch
from bridge.times import utc_text

_MATCHED = text("""
    select coalesce(sum(cases) filter (where learner_id is not null) / nullif(sum(cases), 0), 1) from (
        select alias.learner_id, count(*) as cases
        from counted_fact fact join alias on alias.id = fact.alias_id
        where fact.metric = any(cast(:metrics as text[])) group by 1
    ) as counted
""")

# Of the trained, those who completed another program within the horizon of this one.
_OVERLAP = text("""
    select other.program, count(distinct own.learner_id)
    from record own join record other on other.learner_id = own.learner_id and other.program <> own.program
        and other.completed_at >= own.completed_at - make_interval(weeks => :before)
        and other.completed_at < own.completed_at + make_interval(weeks => :horizon)
    where own.program = :program and own.completed_at is not null
    group by 1 order by 2 desc, 1
""")


def estimate(session: Session, documents: Documents, name: str, *, today: date) -> Impact:
    """Estimate the effects of a launched program, or give what was estimated from the same data; the caller commits.

    Raises UnknownName, NotLaunched, and NotReady where there is no panel or a metric of the contract is gone.
    """
    launch = programs.contract(session, documents, name)
    agreed = launch.program
    gone = [metric for metric in agreed.metrics if metric not in documents.metrics]
    if gone:
        raise NotReady(
            f"The contract of {name!r} names {', '.join(gone)}, which no performance document gives any more: bring it "
            "back, or launch the program anew without it."
        )
    rows = list(panel.of_program(session, agreed))
    if not rows:
        raise NotReady(f"The program {name!r} has no panel yet: no metric has a fact of anybody in its population.")
    order = programs.draw(session, name)
    declared = documents.programs[name].changes
    circumstances = _circumstances(session, agreed, declared, rows, today)
    data_hash = _hash(rows, order, circumstances)
    key = {
        "program": name,
        "engine": engine.ENGINE_VERSION,
        "data_hash": data_hash,
        "contract_hash": launch.event.contract_hash,
    }
    known = session.scalar(select(Impact).filter_by(**key))
    if known is not None:
        return known
    kept = waves.kept(order.details, utc_text(order.at) or "", rows) if order else None
    hashed = {
        metric: replace(one, data_hash=data_hash, contract_hash=launch.event.contract_hash)
        for metric, one in circumstances.items()
    }
    result = _assess(documents, launch, rows, hashed, kept)
    seen = _last_seen(agreed, rows, today)
    result["next_look"] = seen.isoformat() if seen else None
    result["changes"] = [_told(change, agreed, rows) for change in declared]
    stored = insert(Impact).values(**key, result=result).on_conflict_do_nothing()
    session.execute(stored)
    return session.scalars(select(Impact).filter_by(**key)).one()


def _assess(
    documents: Documents,
    launch: Launch,
    rows: Sequence[PersonWeek],
    circumstances: Mapping[str, engine.Circumstances],
    kept: waves.Kept | None,
) -> dict[str, Any]:
    agreed = launch.program
    panels = {goal.metric: as_panel(documents.metrics[goal.metric], goal, rows) for goal in agreed.goals}
    metrics = [as_metric(documents.metrics[goal.metric], goal, rows) for goal in agreed.goals]
    primary = (agreed.primary or agreed.goals[0]).metric
    results: dict[str, Any] = {}
    for horizon, interim in sorted({(goal.horizon_weeks, goal.interim_weeks) for goal in agreed.goals}):
        contract = engine.Contract(
            metrics=metrics,
            primary=primary,
            horizon=horizon,
            interim=interim,
            exclude_before=agreed.analysis.exclude_weeks,
            min_pre=agreed.analysis.min_pre_weeks,
            control=_control(agreed),
            randomised=kept is not None and kept.is_random,
        )
        assessed = engine.assess(panels, contract, circumstances)
        for goal in agreed.goals:
            if (goal.horizon_weeks, goal.interim_weeks) == (horizon, interim):
                results[goal.metric] = assessed.results[goal.metric].to_json()
    order = kept.told() if kept else None
    return {
        "primary": primary,
        "metrics": results,
        "contract": launch.number,
        "people": _people(rows),
        "first_week": min(row.week for row in rows).isoformat(),
        "order": order,
    }


def _control(agreed: Program) -> engine.Control:
    return engine.Control.NEVER if agreed.analysis.comparison is Comparison.NEVER else engine.Control.NOT_YET


def _circumstances(
    session: Session, agreed: Program, declared: Sequence[Change], rows: Sequence[PersonWeek], today: date
) -> dict[str, engine.Circumstances]:
    """Give what is known beside the panel, by metric."""
    trained = len({row.learner for row in rows if row.first_treated})
    horizon = max(goal.horizon_weeks for goal in agreed.goals)
    overlap = session.execute(
        _OVERLAP, {"program": agreed.name, "horizon": horizon, "before": agreed.analysis.exclude_weeks}
    ).first()
    common = engine.Circumstances(
        identity_match=float(session.scalar(_MATCHED, {"metrics": list(agreed.metrics)}) or 0),
        overlap=overlap[1] / trained if overlap and trained else None,
        overlap_with=overlap[0] if overlap else "",
        next_check=_next_check(agreed, rows, today),
    )
    of_one_group = [change for change in declared if _parts_groups(change, agreed, rows)]
    return {
        goal.metric: replace(common, changed="; ".join(_named(one) for one in of_one_group if _concerns(one, goal)))
        for goal in agreed.goals
    }


MOST_APART = 0.05
"""Of the trained and of the others, shares whom a change concerned may differ by so much, as with losses (R8)."""


def _concerns(change: Change, goal: Goal) -> bool:
    return not change.metrics or goal.metric in change.metrics


def _parts_groups(change: Change, agreed: Program, rows: Sequence[PersonWeek]) -> bool:
    """Tell whether a change concerned the trained and the others unequally, while their difference is looked at.

    Counted are person-weeks from the change on, up to the end of the last horizon: a change from before the first
    person's clean weeks has been there all the time.
    """
    moments = [row.first_treated for row in rows if row.first_treated]
    if not moments or not change.teams:
        return False
    horizon = timedelta(weeks=max(goal.horizon_weeks for goal in agreed.goals))
    before = timedelta(weeks=agreed.analysis.exclude_weeks + agreed.analysis.min_pre_weeks)
    day, last = date.fromisoformat(change.date), max(moments) + horizon
    if not min(moments) - before <= day < last:
        return False
    since = [row for row in rows if row.week + timedelta(days=6) >= day and row.week < last]
    treated, others = (_share(change, [row for row in since if _is_treated(row) is one]) for one in (True, False))
    return abs(treated - others) > MOST_APART


def _share(change: Change, rows: Sequence[PersonWeek]) -> float:
    return sum(row.team in change.teams for row in rows) / len(rows) if rows else 0.0


def _named(change: Change) -> str:
    day = date.fromisoformat(change.date)
    return f"{change.what} ({day.day} {day:%B %Y}, {', '.join(change.teams)})"


def _told(change: Change, agreed: Program, rows: Sequence[PersonWeek]) -> dict[str, Any]:
    """Give a change, and whether it takes the verdict away."""
    metrics = [goal.metric for goal in agreed.goals if _concerns(change, goal)]
    return {
        "date": change.date,
        "what": change.what,
        "teams": list(change.teams),
        "metrics": metrics,
        "refuses": bool(metrics) and _parts_groups(change, agreed, rows),
    }


def _next_check(agreed: Program, rows: Sequence[PersonWeek], today: date) -> str:
    """Say when to look again; empty where nothing more is to come."""
    seen = _last_seen(agreed, rows, today)
    return f"{seen.day} {seen:%B %Y}" if seen else ""


def _last_seen(agreed: Program, rows: Sequence[PersonWeek], today: date) -> date | None:
    """Tell when the last of the trained will have been seen for the horizon; None when they have."""
    last = max((row.first_treated for row in rows if row.first_treated), default=None)
    horizon = max(goal.horizon_weeks for goal in agreed.goals)
    if last is None:
        return None
    seen = last + timedelta(weeks=horizon)
    return seen if seen > today else None


def _people(rows: Sequence[PersonWeek]) -> dict[str, int | None]:
    """Count whom the panel is of; None where they are few."""
    everybody = {row.learner: row for row in rows}
    counts = {
        "in_population": len(everybody),
        "assigned": sum(row.assigned is not None for row in everybody.values()),
        "trained": sum(row.first_treated is not None for row in everybody.values()),
    }
    return {**suppression.of_people(counts), "person_weeks": len(rows)}


# --- from the panel to the engine's columns ---------------------------------------------------------------------------


def as_panel(metric: Metric, goal: Goal, rows: Sequence[PersonWeek]) -> engine.Panel:
    """Give the engine's panel of a metric."""
    start = min(row.week for row in rows)
    has_roles, has_teams = (any(getattr(row, key) for row in rows) for key in ("role", "team"))
    return engine.panel(
        person=[row.learner for row in rows],
        period=[_weeks(start, row.week) for row in rows],
        outcome=[value(metric.family, row, goal.metric) for row in rows],
        first_treated=[_moment(start, row.first_treated) for row in rows],
        assigned=[_moment(start, row.assigned) for row in rows],
        team=[row.team for row in rows] if has_teams else None,
        role=[row.role or "" for row in rows] if has_roles else None,
        names={"outcome": goal.metric},
    )


def value(family: Family, row: PersonWeek, metric: str) -> float:
    """Give a learner's value of a week, NaN where there is none.

    A week of a duration is the geometric mean of its cases. A week of a count is their sum, 0 in a week that has cases
    of other metrics: somebody was at work and did nothing of the kind. All others are means of cases by their shares.
    """
    cell: Cell | None = row.cells.get(metric)
    if family is Family.COUNT:
        return cell.total if cell else 0.0 if row.cells else math.nan
    if cell is None:
        return math.nan
    if family is Family.DURATION:
        return math.exp(cell.log_total / cell.log_weight) if cell.log_weight else math.nan
    return cell.total / cell.weight


def as_metric(metric: Metric, goal: Goal, rows: Sequence[PersonWeek]) -> engine.Metric:
    """Give the engine's word for a metric and its target; a target in per cent is one of what was usual."""
    family = _family(metric, goal, rows)
    direction = engine.Direction.HIGHER if metric.direction is Direction.UP else engine.Direction.LOWER
    made = engine.Metric(goal.metric, direction, goal.target, family, metric.title, metric.unit)
    if goal.target is None or not goal.is_share or family is engine.Family.LOG:
        return made
    return replace(made, target=goal.target * abs(_usual(metric, goal, rows)))


def _family(metric: Metric, goal: Goal, rows: Sequence[PersonWeek]) -> engine.Family:
    """Give the engine's word; a rate that goes beyond 1, such as one in per cent, is a number like others."""
    families = {
        Family.DURATION: engine.Family.LOG,
        Family.COUNT: engine.Family.COUNT,
        Family.RATING: engine.Family.RATING,
        Family.AMOUNT: engine.Family.LINEAR,
    }
    if metric.family in families:
        return families[metric.family]
    seen = (value(metric.family, row, goal.metric) for row in rows)
    within = all(math.isnan(one) or 0 <= one <= 1 for one in seen)
    return engine.Family.RATE if within else engine.Family.LINEAR


def _usual(metric: Metric, goal: Goal, rows: Sequence[PersonWeek]) -> float:
    """Give the mean before training: what a target in per cent is a share of."""
    before = (value(metric.family, row, goal.metric) for row in rows if not _is_treated(row))
    values = [one for one in before if not math.isnan(one)]
    return math.fsum(values) / len(values) if values else 1.0


def _is_treated(row: PersonWeek) -> bool:
    return row.first_treated is not None and row.week >= row.first_treated


def _moment(start: date, week: date | None) -> float:
    return math.inf if week is None else _weeks(start, week)


def _weeks(start: date, week: date) -> int:
    return (week - start).days // 7


def _hash(
    rows: Sequence[PersonWeek], order: ProgramEvent | None, circumstances: Mapping[str, engine.Circumstances]
) -> str:
    """Give the SHA-256 of all that the engine sees, in the panel's order, of a drawn order and of the circumstances."""
    digest = hashlib.sha256()
    known = {metric: asdict(one) for metric, one in circumstances.items()}
    digest.update(json.dumps(known, sort_keys=True).encode() + b"\n")
    if order is not None:
        digest.update(json.dumps([order.id, order.details["digest"]]).encode() + b"\n")
    for line in _lines(rows):
        digest.update(line)
    return digest.hexdigest()


def _lines(rows: Sequence[PersonWeek]) -> Iterator[bytes]:
    for row in rows:
        cells: Mapping[str, Cell] = row.cells
        figures = {name: [cell.weight, cell.total, cell.log_weight, cell.log_total] for name, cell in cells.items()}
        moments = [str(one) for one in (row.week, row.assigned, row.first_treated)]
        yield json.dumps([row.learner, row.role, row.team, moments, figures], sort_keys=True).encode() + b"\n"
