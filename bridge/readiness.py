"""Readiness: can people handle the moments that a skill serves, by what was seen of them; and the skill-gap matrix.

The rules guarded here:

- Completion, enrolment, progress and satisfaction never enter: no fact of those kinds changes any figure here.
- An item of evidence counts by where it comes from (`SOURCES`) and by its age: after a half-life, half.
- Effective n is the sum of these weights. Below `KNOWN_FROM` of it a learner is unknown, which is a value of its own:
  neither ready nor not ready.
- A test is remembered when it is taken three days or more after the learner last practised or was tested in the skill.
  The records' `remembered_score` counts these days from completion; here completion may not enter.
- Nothing of a single person is told: cells of fewer than 5 people are hidden, and with them what they could be worked
  out from (`bridge.suppression`).
- A person is in the team, the role and the population that their attributes say today.
"""

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import fmean, median
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge import betas, records, suppression
from bridge.mapping import Metric, Program
from bridge.mapping.kinds import Direction, Family, Skill
from bridge.times import utc_text


class Source(NamedTuple):
    """Where evidence comes from."""

    weight: float
    title: str


SOURCES: Mapping[str, Source] = {
    "real": Source(1.0, "outcomes of real moments"),
    "observed": Source(0.8, "seen by somebody"),
    "practised": Source(0.6, "practised or simulated"),
    "remembered": Source(0.4, "tests that were remembered"),
    "tested": Source(0.2, "tests"),
    "told": Source(0.1, "their own word"),
}
"""What an item of each source weighs when it is new, the best first; what has no weight is not in the table.

After reference/impact.md, section 2, by tiers of LTEM (Thalheimer 2018): a proposal, not evidence. `real`: a metric of
yes and no, or a rate, that a behaviour of the program names. `observed` and `told`: `applied` with and without somebody
else who saw it.
"""
HALF_LIFE_WEEKS = 28
"""Half of what was gained in accuracy is lost after 6.5 months without use (Tatel and Ackerman; section 2).

A program's document may say otherwise of this and of the weights (`readiness`).
"""
KNOWN_FROM = 3.0
PRIOR_WEIGHT = 4.0
"""What the mean of a person's role counts beside their own evidence; as many items of a weight of 1."""
PRIOR_MEAN = 0.5
"""Where fewer than 5 people have evidence."""
REMEMBERED_AFTER = timedelta(days=records.REMEMBERED_AFTER_DAYS)

_EVIDENCE = text("""
    with person as (
        select learner.id, learner.attributes ->> :team as team, learner.attributes ->> :role as role
        from learner
        where not exists (
            select from jsonb_each(cast(:population as jsonb)) as wanted (name, texts)
            where not coalesce(wanted.texts ? (learner.attributes ->> wanted.name), false)
        )
    ),
    skill as (
        select name, array(select jsonb_array_elements_text(activities)) as activities
        from jsonb_each(cast(:skills as jsonb)) as given (name, activities)
    ),
    behaviour as (
        select kind, array(select jsonb_array_elements_text(activities)) as activities,
            array(select jsonb_array_elements_text(courses)) as courses,
            array(select jsonb_array_elements_text(what)) as what
        from jsonb_to_recordset(cast(:behaviours as jsonb))
            as given (kind text, activities jsonb, courses jsonb, what jsonb)
    ),
    learning as (
        select fact.*, alias.learner_id, alias.key as alias from counted_fact fact
        join alias on alias.id = fact.alias_id join person on person.id = alias.learner_id
        where fact.kind in ('practised', 'assessed', 'observed', 'applied') and fact.occurred_at <= :now
    ),
    shown as (
        select skill.name as skill, learning.* from skill join learning on learning.activity = any(skill.activities)
        union
        select skill.name, learning.* from skill cross join behaviour join learning on learning.kind = behaviour.kind
            and (learning.activity = any(behaviour.activities) or learning.course = any(behaviour.courses))
            and (cardinality(behaviour.what) = 0 or learning.detail ->> 'what' = any(behaviour.what))
    ),
    ordered as (
        select *,
            -- A level on another scale than 0 to 1 says nothing here, and a 1 of 5 would look perfect.
            bool_and(value is null or value between 0 and 1) over (partition by rule_id) as on_scale,
            max(occurred_at) filter (where kind in ('practised', 'assessed')) over (
                partition by skill, learner_id order by occurred_at, kind, rule_id, origin, alias_id
                rows between unbounded preceding and 1 preceding) as earlier
        from shown
    ),
    item as (
        select skill, learner_id, occurred_at,
            case kind
                when 'observed' then 'observed'
                when 'practised' then 'practised'
                when 'assessed' then case
                    when occurred_at >= earlier + cast(:remembered as interval) then 'remembered' else 'tested' end
                else case when exists (
                    select from (select 1) one left join alias other on other.key = detail ->> 'by'
                    where detail ->> 'by' is not null and detail ->> 'by' <> ordered.alias
                    and other.learner_id is distinct from ordered.learner_id
                ) then 'observed' else 'told' end
            end as source,
            case
                when kind in ('applied', 'observed') then coalesce(value, success::int, 1)
                else coalesce(value, success::int)
            end as good,
            1.0::float8 as weight, on_scale
        from ordered
        union all
        select skill.name, alias.learner_id, fact.occurred_at, 'real',
            case when (cast(:better_down as jsonb) ? fact.metric) then 1 - fact.value else fact.value end,
            fact.weight, fact.value between 0 and 1
        from skill cross join counted_fact fact
        join alias on alias.id = fact.alias_id join person on person.id = alias.learner_id
        where fact.metric = any(cast(:metrics as text[])) and fact.value is not null and fact.occurred_at <= :now
    ),
    summed as (
        select skill, learner_id, source, count(*) filter (where on_scale) as items,
            coalesce(sum(aged::numeric) filter (where on_scale), 0)::float8 as weight,
            coalesce(sum((aged * good)::numeric) filter (where on_scale), 0)::float8 as good,
            max(occurred_at) filter (where on_scale) as newest,
            count(*) filter (where not on_scale) as left_out
        from (
            select item.*, item.weight * (cast(:weights as jsonb) ->> source)::float8 * power(
                0.5::float8, extract(epoch from cast(:now as timestamptz) - occurred_at)::float8 / :half_life) as aged
            from item where good is not null
        ) as weighed
        group by 1, 2, 3
    )
    select person.id, person.team, person.role, summed.skill, summed.source, summed.items, summed.weight, summed.good,
        summed.newest, summed.left_out
    from person left join summed on summed.learner_id = person.id
    where summed.learner_id is not null or cast(:population as jsonb) <> '{}'
    order by person.id, summed.skill, summed.source
""")


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one person in one skill: told by the feed `readiness`, never by a table of teams."""

    a: float
    b: float
    n: float
    """Effective n: without the prior."""
    newest: datetime | None
    sources: Mapping[str, float]
    """The weight of the evidence of each source."""

    @property
    def known(self) -> bool:
        """Whether there is evidence enough to say anything."""
        return self.n >= KNOWN_FROM

    @property
    def mean(self) -> float:
        """Give readiness, from 0 to 1."""
        return self.a / (self.a + self.b)

    @property
    def variance(self) -> float:
        """Give how far off readiness may be, squared."""
        return self.mean * (1 - self.mean) / (self.a + self.b + 1)

    def band(self, share: float = 0.8) -> tuple[float, float]:
        """Give between what values readiness is, with this chance."""
        return betas.quantile((1 - share) / 2, self.a, self.b), betas.quantile((1 + share) / 2, self.a, self.b)


@dataclass(frozen=True, slots=True)
class People:
    """Everybody whose readiness is asked for."""

    teams: Mapping[int, str | None]
    """By learner id, who all are here."""
    standings: Mapping[str, Mapping[int, Standing]]
    """By skill and learner id; those without any evidence are left out."""
    left_out: int
    """Items on a scale other than 0 to 1."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A team in a skill; all is None that is hidden, or that nothing is known of."""

    skill: str
    team: str | None
    everyone: bool
    """Whether it is all teams together."""
    people: int | None
    known: int | None = None
    ready: int | None = None
    not_ready: int | None = None
    evidenced: float | None = None
    """The mean of the readiness of those who are known, from 0 to 1."""
    low: float | None = None
    high: float | None = None
    """The 80 % band of that mean."""
    gap: float | None = None
    """Required minus evidenced: above 0 something is missing."""
    effective_n: float | None = None
    """By person, the mean of those who are known."""
    age_days: int | None = None
    """Of the newest evidence of each of them, the median."""
    sources: Mapping[str, float] = field(default_factory=dict)
    """The share of each source in the evidence."""
    hidden: bool = False

    @property
    def unknown(self) -> int | None:
        """Count those of whom too little is known."""
        return None if self.people is None or self.known is None else self.people - self.known


@dataclass(frozen=True, slots=True)
class Matrix:
    """Every team in every skill of a program."""

    program: Program
    at: datetime
    teams: Sequence[str | None]
    cells: Sequence[Cell]
    """By skill as the program lists them, and by team, all teams together last."""
    left_out: int

    def of(self, skill: Skill) -> Sequence[Cell]:
        """Give the cells of a skill, all teams together last."""
        return [cell for cell in self.cells if cell.skill == skill.name]

    def of_teams(self, teams: Collection[str]) -> "Matrix":
        """Give the cells of these teams alone, as they are for everybody.

        Without the cell of all teams: who sees these people one by one could subtract them from it.
        """
        cells = [cell for cell in self.cells if not cell.everyone and cell.team in teams]
        return replace(self, teams=[team for team in self.teams if team in teams], cells=cells)

    def told(self) -> dict[str, Any]:
        """Give it as JSON types."""
        return {
            "program": self.program.name,
            "title": self.program.title,
            "at": utc_text(self.at),
            "half_life_weeks": half_life_weeks(self.program),
            "known_from": KNOWN_FROM,
            "least_people": suppression.LEAST,
            "weights": weights(self.program),
            "left_out": self.left_out,
            "skills": [
                {"name": skill.name, "title": skill.title, "moments": list(skill.moments), "required": skill.required}
                for skill in self.program.skills
            ],
            "cells": list(self.rows()),
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """Give a row for each cell."""
        required = {skill.name: skill.required for skill in self.program.skills}
        for cell in self.cells:
            yield {
                "skill": cell.skill,
                "scope": "all" if cell.everyone else "team",
                "team": cell.team,
                "people": cell.people,
                "known": cell.known,
                "unknown": cell.unknown,
                "ready": cell.ready,
                "not_ready": cell.not_ready,
                "required": required[cell.skill],
                "evidenced": cell.evidenced,
                "low": cell.low,
                "high": cell.high,
                "gap": cell.gap,
                "effective_n": cell.effective_n,
                "age_days": cell.age_days,
                "hidden": cell.hidden,
            } | {f"share_{name}": cell.sources.get(name) for name in SOURCES}

    def as_csv(self) -> str:
        """Give the cells as CSV."""
        rows = list(self.rows())
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]) if rows else ["skill"])
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()


def weights(program: Program) -> dict[str, float]:
    """Give what an item of each source weighs when it is new, by the program's document or as usual."""
    own = {name: getattr(program.readiness, name) for name in SOURCES}
    return {name: source.weight if own[name] is None else own[name] for name, source in SOURCES.items()}


def half_life_weeks(program: Program) -> int:
    """Give after how many weeks evidence counts half."""
    own = program.readiness.half_life_weeks
    return HALF_LIFE_WEEKS if own is None else own


def matrix(session: Session, program: Program, metrics: Mapping[str, Metric], *, now: datetime) -> Matrix:
    """Give how ready each team is in each skill of a program; `metrics`: all that there are, by name."""
    found = people(session, program, metrics, now=now)
    by_team: defaultdict[str | None, list[int]] = defaultdict(list)
    for learner, team in found.teams.items():
        by_team[team].append(learner)
    teams = sorted(by_team, key=lambda team: (team is None, team or ""))
    cells = [
        cell
        for skill in program.skills
        for cell in _column(skill, found.standings.get(skill.name, {}), {team: by_team[team] for team in teams}, now)
    ]
    return Matrix(program, now, teams, cells, found.left_out)


def people(session: Session, program: Program, metrics: Mapping[str, Metric], *, now: datetime) -> People:
    """Give what is known of each person of a program's population; without one, of each who has evidence."""
    teams: dict[int, str | None] = {}
    roles: dict[int, str | None] = {}
    items: defaultdict[str, defaultdict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
    left_out = 0
    for row in session.execute(_EVIDENCE, _parameters(program, metrics, now)):
        teams[row.id], roles[row.id] = row.team, row.role
        if row.skill is not None:
            left_out += row.left_out
            if row.items:
                items[row.skill][row.id].append(row)
    standings = {skill: _standings(of_skill, roles) for skill, of_skill in items.items()}
    return People(teams, standings, left_out)


def _standings(items: Mapping[int, Sequence[Any]], roles: Mapping[int, str | None]) -> dict[int, Standing]:
    by_role: defaultdict[str | None, list[int]] = defaultdict(list)
    for learner in items:
        by_role[roles[learner]].append(learner)
    everyone = _mean(items, items, PRIOR_MEAN)
    priors = {role: _mean(items, learners, everyone) for role, learners in by_role.items()}
    return {learner: _standing(rows, priors[roles[learner]]) for learner, rows in items.items()}


def _mean(items: Mapping[int, Sequence[Any]], learners: Iterable[int], otherwise: float) -> float:
    """Give the mean of all evidence of these people, unless they are too few to be a mean of."""
    rows = [items[learner] for learner in learners]
    weight = math.fsum(row.weight for one in rows for row in one)
    if len(rows) < suppression.LEAST or weight <= 0:
        return otherwise
    return min(1.0, max(0.0, math.fsum(row.good for one in rows for row in one) / weight))


def _standing(rows: Sequence[Any], prior: float) -> Standing:
    n, good = sum(row.weight for row in rows), sum(row.good for row in rows)
    # Never quite 0 or 1: where all of a role is perfect, the next person may still not be.
    a, b = PRIOR_WEIGHT * prior + good, PRIOR_WEIGHT * (1 - prior) + max(0.0, n - good)
    return Standing(
        a=max(a, 1e-3),
        b=max(b, 1e-3),
        n=n,
        newest=max(row.newest for row in rows),
        sources={row.source: row.weight for row in rows},
    )


def _column(
    skill: Skill, standings: Mapping[int, Standing], teams: Mapping[str | None, Sequence[int]], now: datetime
) -> Iterator[Cell]:
    """Give the cells of a skill. Hidden is what few are known of, not only where few people are."""
    known = [[standings[one] for one in team if one in standings and standings[one].known] for team in teams.values()]
    few_known = suppression.hidden([len(team) for team in known])
    few_people = suppression.hidden([len(team) for team in teams.values()])
    for (team, learners), of_team, *cut in zip(teams.items(), known, few_known, few_people, strict=True):
        yield _cell(skill, team, len(learners), of_team, now, few_known=cut[0], few_people=cut[1])
    all_known, number = [one for team in known for one in team], sum(map(len, teams.values()))
    yield _cell(
        skill,
        None,
        number,
        all_known,
        now,
        everyone=True,
        few_known=0 < len(all_known) < suppression.LEAST,
        few_people=0 < number < suppression.LEAST,
    )


def _cell(
    skill: Skill,
    team: str | None,
    number: int,
    known: Sequence[Standing],
    now: datetime,
    *,
    few_known: bool,
    few_people: bool,
    everyone: bool = False,
) -> Cell:
    if few_people or few_known:
        return Cell(skill.name, team, everyone, None if few_people else number, hidden=True)
    if not known:
        return Cell(skill.name, team, everyone, number, known=0)
    evidenced = fmean(one.mean for one in known)
    low, high = betas.band(evidenced, sum(one.variance for one in known) / len(known) ** 2)
    ready = None if skill.required is None else sum(one.mean >= skill.required for one in known)
    shares = {name: sum(one.sources.get(name, 0.0) for one in known) for name in SOURCES}
    total = sum(shares.values())
    return Cell(
        skill.name,
        team,
        everyone,
        number,
        known=len(known),
        ready=ready,
        not_ready=None if ready is None else len(known) - ready,
        evidenced=evidenced,
        low=low,
        high=high,
        gap=None if skill.required is None else skill.required - evidenced,
        effective_n=fmean(one.n for one in known),
        age_days=int(median((now - one.newest).total_seconds() // 86_400 for one in known if one.newest)),
        sources={name: weight / total for name, weight in shares.items() if weight},
    )


def _parameters(program: Program, metrics: Mapping[str, Metric], now: datetime) -> dict[str, Any]:
    evidence = [behaviour.evidence for behaviour in program.behaviours if behaviour.evidence]
    named = {one.metric for one in evidence if one.metric}
    yes_or_no = {name for name in named & metrics.keys() if metrics[name].family in (Family.BINARY, Family.RATE)}
    of_program = {"activities": records.activities(program), "courses": list(program.courses)}
    behaviours = [
        {"kind": one.fact, "what": list(one.what)}
        | ({"activities": list(one.activities), "courses": []} if one.activities else of_program)
        for one in evidence
        if one.fact
    ]
    return {
        "team": program.analysis.team,
        "role": program.analysis.role,
        "population": json.dumps({name: list(values) for name, values in program.population.items()}),
        "skills": json.dumps({skill.name: list(skill.activities) for skill in program.skills}),
        "behaviours": json.dumps(behaviours),
        "metrics": sorted(yes_or_no),
        "better_down": json.dumps([name for name in sorted(yes_or_no) if metrics[name].direction is Direction.DOWN]),
        "weights": json.dumps(weights(program)),
        "now": now,
        "remembered": REMEMBERED_AFTER,
        "half_life": timedelta(weeks=half_life_weeks(program)).total_seconds(),
    }
