"""The person x week panel: what each learner's metrics were in each week, and who they were then.

The rules guarded here:

- A week goes from Monday 0:00 UTC to the next one. A fact counts in the week in which it occurred.
- A cell is made of sums, so that a mean over any people and weeks is one of cases, not a mean of means.
- Sums are taken over exact decimals: they do not depend on the order of rows.
- Cells are a pure function of facts and aliases: a refresh of some learners and one of all give the same rows.
- A learner is in the frame of a program's panel in the weeks in which their attribute for roles holds, and those who
  never had one in all weeks; a week in the frame without a cell is a week without cases, not a zero.
- The week of completion is the first treated one, that of enrolment the assigned one.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge.mapping import Program

CHUNK = 10_000
"""Rows held at once while a panel is read."""

_DELETE = text("""
    delete from weekly_metric where metric <> all(cast(:metrics as text[]))
    or cast(:everyone as boolean) or learner_id = any(cast(:learners as bigint[]))
""")

_STORE = text("""
    insert into weekly_metric (learner_id, metric, week, cases, weight, total, log_weight, log_total)
    select alias.learner_id, fact.metric, date_trunc('week', fact.occurred_at at time zone 'UTC')::date,
        count(*), sum(fact.weight::numeric), sum(fact.value::numeric * fact.weight::numeric),
        coalesce(sum(fact.weight::numeric) filter (where fact.value > 0), 0),
        coalesce(sum(ln(fact.value)::numeric * fact.weight::numeric) filter (where fact.value > 0), 0)
    from counted_fact fact join alias on alias.id = fact.alias_id
    where fact.metric = any(cast(:metrics as text[])) and alias.learner_id is not null and fact.value is not null
    and (cast(:everyone as boolean) or alias.learner_id = any(cast(:learners as bigint[])))
    group by 1, 2, 3
    order by 1, 2, 3
""")

POPULATION = """
    not exists (
        select from jsonb_each(cast(:population as jsonb)) as wanted (name, texts)
        where not exists (
            select from learner_attribute attribute
            where attribute.learner_id = {learner} and attribute.name = wanted.name and wanted.texts ? attribute.value
        )
    )
"""
"""Holds for learners who had, at some time, one of the wanted values of each attribute; takes `population`."""

_PERIOD = """
    left join lateral (
        select value from learner_attribute attribute
        where attribute.learner_id = {learner} and attribute.name = :{name}
        and (attribute.valid_from is null or attribute.valid_from <= {day} + 6)
        and (attribute.valid_to is null or attribute.valid_to >= {day})
        order by attribute.valid_from desc nulls last, attribute.value
        limit 1
    ) as {then} on true
"""
"""What an attribute was in a week: of several values the one that began last."""

_FRAME = f"""
    person as (
        select learner.id, learner.key, record.enrolled_at, record.completed_at,
            date_trunc('week', record.enrolled_at at time zone 'UTC')::date as assigned,
            date_trunc('week', record.completed_at at time zone 'UTC')::date as first_treated,
            exists (
                select from learner_attribute attribute
                where attribute.learner_id = learner.id and attribute.name = :role
            ) as has_roles
        from learner left join record on record.learner_id = learner.id and record.program = :program
        where {POPULATION.format(learner="learner.id")}
        and (cast(:population as jsonb) <> '{{}}' or record.id is not null or exists (
            select from weekly_metric cell
            where cell.learner_id = learner.id and cell.metric = any(cast(:metrics as text[]))
        ))
    ),
    span as (
        select min(week) as first, max(week) as last from weekly_metric
        where metric = any(cast(:metrics as text[]))
    ),
    frame as (
        select person.*, week.day::date as week, role.value as role
        from person cross join span
        cross join lateral generate_series(span.first, span.last, interval '7 days') as week (day)
        {_PERIOD.format(learner="person.id", name="role", day="week.day::date", then="role")}
        where role.value is not null or not person.has_roles
    )
"""  # noqa: S608 - as below

_COLUMNS = text(f"""
    with {_FRAME}
    select frame.key, frame.week, frame.role, coalesce(team_then.value, team_now.value) as team, frame.assigned,
        frame.first_treated, cells.of
    from frame
    {_PERIOD.format(learner="frame.id", name="team", day="frame.assigned", then="team_then")}
    {_PERIOD.format(learner="frame.id", name="team", day="frame.week", then="team_now")}
    left join lateral (
        select jsonb_object_agg(cell.metric, jsonb_build_array(
            cell.cases, cell.weight, cell.total, cell.log_weight, cell.log_total)) as of
        from weekly_metric cell
        where cell.learner_id = frame.id and cell.week = frame.week and cell.metric = any(cast(:metrics as text[]))
    ) as cells on true
    order by frame.key collate "C", frame.week
""")  # noqa: S608 - no value is put into the text, only the parts above


@dataclass(frozen=True, slots=True)
class Cell:
    """A metric in a week; `total` and `log_total` are sums over cases."""

    cases: int
    weight: float
    total: float
    log_weight: float
    log_total: float


@dataclass(frozen=True, slots=True)
class PersonWeek:
    """One learner in one week, `week` being its Monday."""

    learner: str
    week: date
    role: str | None
    team: str | None
    """The one at the time of assignment; of those who were never assigned, or had left by then, that of this week."""
    assigned: date | None
    first_treated: date | None
    cells: dict[str, Cell]
    """By metric; those without cases are left out."""


def metrics(programs: Iterable[Program]) -> tuple[str, ...]:
    """Name the metrics that cells are kept of."""
    return tuple(sorted({name for program in programs for name in program.metrics}))


def population(program: Program) -> str:
    """Give what `POPULATION` takes: as JSON, by attribute, the values any of which will do."""
    return json.dumps({name: list(values) for name, values in program.population.items()})


def refresh_all(session: Session, names: Sequence[str]) -> None:
    """Build all cells of these metrics anew, and drop those of others."""
    _refresh(session, names, None)


def refresh(session: Session, names: Sequence[str], learners: Collection[int]) -> None:
    """Build the cells of some learners anew."""
    _refresh(session, names, learners)


def _refresh(session: Session, names: Sequence[str], learners: Collection[int] | None) -> None:
    scope = {"everyone": learners is None, "learners": sorted(learners or ()), "metrics": list(names)}
    session.execute(_DELETE, scope)
    session.execute(_STORE, scope)


def of_program(session: Session, program: Program) -> Iterator[PersonWeek]:
    """Give the panel of a program's population and metrics, by learner and week; read while it is used."""
    found = session.execute(_COLUMNS.execution_options(yield_per=CHUNK), _parameters(program))
    for key, week, role, team, assigned, first_treated, cells in found:
        made = {metric: Cell(*cell) for metric, cell in (cells or {}).items()}
        yield PersonWeek(key, week, role, team, assigned, first_treated, made)


def _parameters(program: Program) -> dict[str, Any]:
    return {
        "program": program.name,
        "population": population(program),
        "metrics": list(program.metrics),
        "role": program.analysis.role,
        "team": program.analysis.team,
    }
