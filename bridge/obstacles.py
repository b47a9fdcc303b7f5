"""What stands in the way of using what was learnt: obstacles by category and team, and where the follow-ups end.

The rules guarded here:

- People are counted, not answers: who names a category twice counts once.
- A number of fewer than 5 people is hidden, and with it what it could be worked out from; words of an obstacle, which
  may tell who wrote them, are never shown.
- Whether an effect is smaller where people are blocked is not worked out: who is blocked is no matter of chance.
- A touchpoint is kept by who practised or used it within 7 days of its day, of those for whom these days are over.
- A person is in the team that their attributes say today.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge import panel, records, suppression
from bridge.mapping import Program
from bridge.times import utc_text

CATEGORIES: Mapping[str, str] = {
    "process": "Processes that conflict",
    "tool": "Tools",
    "workload": "Workload",
    "authority": "Authority",
    "confidence": "Confidence",
    "manager": "Manager",
    "other": "Other",
}
"""By the word that statements say, in one or many (`tool`, `Tools`); all other words, or none, are `other`."""
_WORDS = {plural: name for name in CATEGORIES for plural in (name, f"{name}s")} | {
    "processes": "process",
    "authorities": "authority",
}
AROUND = timedelta(days=7)
"""On either side of a touchpoint's day."""

_SCOPE = "(fact.course = any(cast(:courses as text[])) or fact.activity = any(cast(:activities as text[])))"
_OBSTACLES = text(f"""
    select learner.id, learner.attributes ->> :team as team, fact.detail ->> 'category' as category,
        max(fact.occurred_at) as newest
    from counted_fact fact join alias on alias.id = fact.alias_id join learner on learner.id = alias.learner_id
    where fact.kind = 'obstacle' and fact.occurred_at <= :now and {_SCOPE}
    and {panel.POPULATION.format(learner="learner.id")}
    group by 1, 2, 3
""")  # noqa: S608 - no value is put into the text, only the common parts

_FUNNEL = text(f"""
    with used as (
        select record.id, fact.kind, fact.occurred_at - record.completed_at as after
        from record join alias on alias.learner_id = record.learner_id
        join counted_fact fact on fact.alias_id = alias.id
        where record.program = :program and fact.kind in ('practised', 'applied', 'observed') and {_SCOPE}
        and fact.occurred_at <= :now
    )
    select learner.attributes ->> :team as team, record.completed_at is not null as completed,
        (record.completed_at is not null) and (
            exists (select from record_behaviour shown where shown.record_id = record.id and shown.first_at <= :now)
            or exists (select from used where used.id = record.id and used.kind <> 'practised' and used.after >= '0')
        ) as applied,
        array(
            select case when record.completed_at + day + :around <= :now then exists (
                select from used
                where used.id = record.id and used.after >= day - :around and used.after < day + :around)
            end
            from unnest(cast(:days as interval[])) with ordinality as point (day, place) order by place
        ) as touched
    from record join learner on learner.id = record.learner_id
    where record.program = :program and (record.enrolled_at is not null or record.completed_at is not null)
""")  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class Count:
    """How many people of a team, or of all; None where that is hidden, or there is nobody to count."""

    part: str
    """`obstacles` or `funnel`."""
    name: str
    """The category, or the step."""
    title: str
    team: str | None
    everyone: bool
    """Whether it is all teams together."""
    people: int | None
    of: int | None = None
    """Of how many; obstacles are of no number."""
    newest: datetime | None = None
    """Of an obstacle."""
    hidden: bool = False

    @property
    def share(self) -> float | None:
        """Give the share of people, from 0 to 1."""
        return None if self.people is None or not self.of else self.people / self.of


@dataclass(frozen=True, slots=True)
class Hindrances:
    """Both tables of a program."""

    program: Program
    at: datetime
    counts: Sequence[Count]

    def table(self, part: str) -> dict[str | None, list[Count]]:
        """Give the counts of a part by team, those of all teams under the empty text, which is first."""
        found: defaultdict[str | None, list[Count]] = defaultdict(list)
        for count in self.counts:
            if count.part == part:
                found["" if count.everyone else count.team].append(count)
        return dict(sorted(found.items(), key=lambda one: (one[0] is None, one[0] or "")))

    def of_teams(self, teams: Collection[str]) -> "Hindrances":
        """Give the counts of these teams alone; see `readiness.Matrix.of_teams`."""
        return replace(self, counts=[one for one in self.counts if not one.everyone and one.team in teams])

    def told(self) -> dict[str, Any]:
        """Give it as JSON types."""
        return {
            "program": self.program.name,
            "title": self.program.title,
            "at": utc_text(self.at),
            "least_people": suppression.LEAST,
            "days_around": AROUND.days,
            "counts": list(self.rows()),
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """Give a row for each count."""
        for count in self.counts:
            yield {
                "part": count.part,
                "name": count.name,
                "title": count.title,
                "scope": "all" if count.everyone else "team",
                "team": count.team,
                "people": count.people,
                "of": count.of,
                "share": count.share,
                "newest": utc_text(count.newest),
                "hidden": count.hidden,
            }

    def as_csv(self) -> str:
        """Give the counts as CSV."""
        out = io.StringIO()
        names = ("part", "name", "title", "scope", "team", "people", "of", "share", "newest", "hidden")
        writer = csv.DictWriter(out, names)
        writer.writeheader()
        writer.writerows(self.rows())
        return out.getvalue()


def hindrances(session: Session, program: Program, *, now: datetime) -> Hindrances:
    """Give what stands in the way in a program, and how far its people come."""
    counts = [*_obstacles(session, program, now), *_funnel(session, program, now)]
    return Hindrances(program, now, counts)


def category(word: str | None) -> str:
    """Give the category that a statement's word means."""
    return _WORDS.get((word or "").strip().casefold(), "other")


def _obstacles(session: Session, program: Program, now: datetime) -> Iterator[Count]:
    newest: defaultdict[tuple[str, str | None], dict[int, datetime]] = defaultdict(dict)
    for row in session.execute(_OBSTACLES, _parameters(program, now)):
        by_person = newest[category(row.category), row.team]
        by_person[row.id] = max(row.newest, by_person.get(row.id, row.newest))
    teams = _sorted({team for _, team in newest})
    for name, title in CATEGORIES.items():
        found = [newest.get((name, team), {}) for team in teams]
        cut = suppression.hidden([len(people) for people in found])
        everybody = {learner: at for people in found for learner, at in people.items()}
        yield _obstacle(name, title, None, everybody, everyone=True, cut=0 < len(everybody) < suppression.LEAST)
        for team, people, gone in zip(teams, found, cut, strict=True):
            yield _obstacle(name, title, team, people, everyone=False, cut=gone)


def _obstacle(
    name: str, title: str, team: str | None, people: Mapping[int, datetime], *, everyone: bool, cut: bool
) -> Count:
    if cut:
        return Count("obstacles", name, title, team, everyone, None, hidden=True)
    newest = max(people.values(), default=None)
    return Count("obstacles", name, title, team, everyone, len(people), newest=newest)


def _funnel(session: Session, program: Program, now: datetime) -> Iterator[Count]:
    points = sorted({point.after_days for point in program.reinforcement})
    days = {"days": [timedelta(days=day) for day in points], "program": program.name, "around": AROUND}
    by_team: defaultdict[str | None, list[Any]] = defaultdict(list)
    for row in session.execute(_FUNNEL, days | _parameters(program, now)):
        by_team[row.team].append(row)
    teams = {team: by_team[team] for team in _sorted(by_team)}
    # Each step: of each person True, False, or None where they are not of those that are counted.
    yield from _step("assigned", "Sent", teams, lambda _: True)
    yield from _step("completed", "Completed", teams, lambda row: row.completed)
    yield from _step("applied", "First use at work", teams, lambda row: row.applied if row.completed else None)
    for place, day in enumerate(points):
        yield from _step(f"day_{day}", f"Around day {day}", teams, partial(_touched, place=place))


def _touched(row: Any, *, place: int) -> bool | None:  # noqa: ANN401 - a row of the query
    found: bool | None = row.touched[place]
    return found


def _step(
    name: str, title: str, teams: Mapping[str | None, Sequence[Any]], of: Callable[[Any], bool | None]
) -> Iterator[Count]:
    counted = [[found for row in rows if (found := of(row)) is not None] for rows in teams.values()]
    cut = suppression.hidden([len(people) for people in counted])
    small = suppression.hidden([len(rows) for rows in teams.values()])
    everybody = [one for people in counted for one in people]
    yield _counted(name, title, None, everybody, everyone=True, cut=0 < len(everybody) < suppression.LEAST)
    for team, people, *gone in zip(teams, counted, cut, small, strict=True):
        yield _counted(name, title, team, people, everyone=False, cut=any(gone))


def _counted(name: str, title: str, team: str | None, people: Sequence[bool], *, everyone: bool, cut: bool) -> Count:
    if cut:
        return Count("funnel", name, title, team, everyone, None, hidden=True)
    return Count("funnel", name, title, team, everyone, sum(people), len(people))


def _sorted(teams: Iterable[str | None]) -> list[str | None]:
    return sorted(teams, key=lambda team: (team is None, team or ""))


def _parameters(program: Program, now: datetime) -> dict[str, Any]:
    shown = [one for behaviour in program.behaviours if behaviour.evidence for one in behaviour.evidence.activities]
    return {
        "team": program.analysis.team,
        "population": panel.population(program),
        "courses": list(program.courses),
        "activities": [*records.activities(program), *shown],
        "now": now,
    }
