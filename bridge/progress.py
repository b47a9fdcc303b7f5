"""How one learner stands, and which of some people need reinforcement: what a person or their teacher is shown.

The rules guarded here:

- What is shown is what leaves for the LMS (`bridge.feeds`): both say the same of a person, and unknown stays unknown.
- Nothing is an effect: means before and since completion are told with the number of cases and `reports.CAVEAT`, and of
  a single person there is no effect at all.
- Whoever calls has made sure that these learners may be seen.
- A touchpoint is kept by who practised or used it within 7 days of its day, missed once these days are over.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from bridge import records
from bridge.mapping import Documents, Program
from bridge.models import Learner, PublishedRow, Record
from bridge.obstacles import AROUND
from bridge.reports import TIER_NAMES
from bridge.suppression import LEAST
from bridge.times import instant

STATES = ("ready", "not yet", "unknown")
"""Of a person in a skill with a required level."""

_USES = text("""
    select record.learner_id, array_agg(fact.occurred_at order by fact.occurred_at) as moments
    from record join alias on alias.learner_id = record.learner_id join counted_fact fact on fact.alias_id = alias.id
    where record.program = :program and record.learner_id = any(cast(:learners as bigint[]))
    and fact.kind in ('practised', 'applied', 'observed')
    and fact.occurred_at >= record.completed_at and fact.occurred_at <= :now
    and (fact.course = any(cast(:courses as text[])) or fact.activity = any(cast(:activities as text[])))
    group by record.learner_id
""")


@dataclass(frozen=True, slots=True)
class Point:
    """A reinforcement of one person."""

    at: datetime
    what: str
    who: str
    state: Literal["kept", "missed", "due", "upcoming"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One learner in one program."""

    learner: int
    name: str
    team: str | None
    program: Program
    record: Mapping[str, Any]
    """The row of the feed `records`."""
    tiers: Mapping[int, int] = field(default_factory=dict)
    """How many facts there are of each tier of LTEM."""
    measures: Sequence[Mapping[str, Any]] = ()
    """The rows of the feed `measures`, in the program's order."""
    skills: Sequence[Mapping[str, Any]] = ()
    """The rows of the feed `readiness`, in the program's order."""
    points: Sequence[Point] = ()

    @property
    def completed_at(self) -> datetime | None:
        """Give when the program was completed."""
        return _moment(self.record["completed_at"])

    @property
    def last_activity_at(self) -> datetime | None:
        """Give when this person was last active."""
        return _moment(self.record["last_activity_at"])

    @property
    def evidence(self) -> list[tuple[int, str, int]]:
        """Give (tier, its name, facts of it), from the highest tier there is."""
        return [(tier, TIER_NAMES[tier], self.tiers.get(tier, 0)) for tier in sorted(TIER_NAMES, reverse=True)]

    @property
    def next_point(self) -> Point | None:
        """Give the touchpoint that is due or comes next."""
        return next((point for point in self.points if point.state in ("due", "upcoming")), None)

    @property
    def counts(self) -> Counter[str]:
        """Count the skills by state; those without a required level are none."""
        return Counter(skill["state"] for skill in self.skills if skill["state"] is not None)

    @property
    def reasons(self) -> list[str]:
        """Say why this person needs reinforcement; empty: nothing that is known says so."""
        if self.completed_at is None:
            return []
        found = [f"Not ready yet: {skill['skill_title']}." for skill in self.skills if skill["state"] == "not yet"]
        over = [point for point in self.points if point.state in ("kept", "missed")]
        if over and over[-1].state == "missed":
            found.append(f"Nothing practised around {over[-1].at:%-d %B}.")
        if self.record["uses_since"] == 0:
            found.append("Not seen at work since training.")
        return found


@dataclass(frozen=True, slots=True)
class Group:
    """Some people of a program, as their teacher sees them."""

    program: Program
    people: Sequence[Standing]
    """Those with the most reasons first, then by name."""
    verdicts: Sequence[Mapping[str, Any]]
    """What the program changed for all who took it, never for these people: rows of the feed `impacts`."""

    @property
    def needing(self) -> int:
        """Count who needs reinforcement."""
        return sum(bool(one.reasons) for one in self.people)

    @property
    def completed(self) -> int:
        """Count who completed the program."""
        return sum(one.completed_at is not None for one in self.people)

    @property
    def skills(self) -> list[tuple[str, dict[str, int]]]:
        """Give (title, number of people by state) of each skill with a required level."""
        found: dict[str, Counter[str]] = {}
        for one in self.people:
            for skill in one.skills:
                if skill["state"] is not None:
                    found.setdefault(skill["skill_title"], Counter())[skill["state"]] += 1
        return [(title, {state: counted[state] for state in STATES}) for title, counted in found.items()]


def of_learner(session: Session, documents: Documents, learner: int, *, now: datetime) -> list[Standing]:
    """Give how somebody stands in each of their programs, the one that was last active first."""
    programs = session.scalars(select(Record.program).filter_by(learner_id=learner)).all()
    found = [
        standing
        for name in programs
        if name in documents.programs
        for standing in _standings(session, documents.programs[name], [learner], now)
    ]
    return sorted(found, key=lambda one: one.record["last_activity_at"] or "", reverse=True)


def of_people(session: Session, program: Program, learners: Collection[int], *, now: datetime) -> Group:
    """Give how these learners stand in a program, and what is known of the program as a whole."""
    found = sorted(_standings(session, program, learners, now), key=lambda one: (-len(one.reasons), one.name.lower()))
    return Group(program, found, _verdicts(session, program, learners))


def _standings(session: Session, program: Program, learners: Collection[int], now: datetime) -> Iterator[Standing]:
    ids = sorted(learners)
    rows: dict[str, dict[int, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    published = select(PublishedRow).where(
        PublishedRow.feed.in_(("records", "measures", "readiness")),
        PublishedRow.program == program.name,
        PublishedRow.learner_id.in_(ids),
        PublishedRow.deleted.is_(False),
    )
    for row in session.scalars(published.order_by(PublishedRow.key)):
        rows[row.feed][row.learner_id or 0].append(row.body)
    uses = _uses(session, program, ids, now)
    known = select(Record, Learner).join(Learner).where(Record.program == program.name, Record.learner_id.in_(ids))
    for record, learner in session.execute(known).all():
        told = rows["records"][learner.id]
        if not told:  # it will be published in a moment
            continue
        yield Standing(
            learner=learner.id,
            name=learner.name or "No name",
            team=told[0]["team"],
            program=program,
            record=told[0],
            tiers={int(tier): number for tier, number in record.tiers.items()},
            measures=_in_order(rows["measures"][learner.id], "metric", program.metrics),
            skills=_skills(program, rows["readiness"][learner.id]),
            points=list(_points(program, record.completed_at, uses.get(learner.id, []), now)),
        )


def _skills(program: Program, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Give all skills of the program: one without a row is one of which nothing was seen, and so unknown."""
    found = {row["skill"]: row for row in rows}
    nothing = {"state": "unknown", "level": None, "evidence": 0.0, "last_evidence_at": None, "next_practice": None}
    return [
        found.get(one.name)
        or {"skill": one.name, "skill_title": one.title, "moment": next(iter(one.moments), None), **nothing}
        for one in program.skills
    ]


def _uses(session: Session, program: Program, ids: Sequence[int], now: datetime) -> dict[int, list[datetime]]:
    shown = [one for behaviour in program.behaviours if behaviour.evidence for one in behaviour.evidence.activities]
    values = {
        "program": program.name,
        "learners": list(ids),
        "courses": list(program.courses),
        "activities": [*records.activities(program), *shown],
        "now": now,
    }
    return {row.learner_id: row.moments for row in session.execute(_USES, values)}


def _points(
    program: Program, completed_at: datetime | None, uses: Sequence[datetime], now: datetime
) -> Iterator[Point]:
    if completed_at is None:
        return
    for point in sorted(program.reinforcement, key=lambda one: one.after_days):
        at = completed_at + timedelta(days=point.after_days)
        first = bisect_left(uses, at - AROUND)
        state: Literal["kept", "missed", "due", "upcoming"]
        if first < len(uses) and uses[first] < at + AROUND:
            state = "kept"
        elif now >= at + AROUND:
            state = "missed"
        else:
            state = "due" if now >= at - AROUND else "upcoming"
        yield Point(at, point.what, point.who, state)


def _verdicts(session: Session, program: Program, learners: Collection[int]) -> list[Mapping[str, Any]]:
    """Give them unless the others are so few that they could be told from these people, whom the reader knows."""
    everybody = session.scalars(select(Record.learner_id).filter_by(program=program.name)).all()
    if 0 < len(set(everybody) - set(learners)) < LEAST:
        return []
    rows = select(PublishedRow.body).filter_by(feed="impacts", program=program.name, deleted=False)
    return sorted(session.scalars(rows), key=lambda one: (not one["primary"], one["metric"]))


def _moment(written: str | None) -> datetime | None:
    return instant(written) if written else None


def _in_order(rows: Sequence[Mapping[str, Any]], key: str, names: Sequence[str]) -> list[Mapping[str, Any]]:
    found = {row[key]: row for row in rows}
    return [found[name] for name in names if name in found]
