"""Who goes first, left to chance: whom a draw is about, and whether people were then sent as it says.

The rules guarded here:

- Whoever was sent before, or is not in the population on the day of the draw, is not drawn.
- An effect counts as one of a random order only if that order was kept: an order that was drawn and then put aside is
  one that somebody chose.
"""

import json
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge.errors import NotReady
from bridge.mapping import Program
from bridge.panel import PersonWeek

LEAST_FOLLOWED = 0.95
"""Share of people who were sent in the drawn order, from which on the order counts as drawn."""

_TODAY = """
    left join lateral (
        select value from learner_attribute attribute
        where attribute.learner_id = learner.id and attribute.name = :{name} and {valid}
        order by attribute.valid_from desc nulls last, attribute.value
        limit 1
    ) as {name} on true
"""
_VALID = """
    (attribute.valid_from is null or attribute.valid_from <= :day)
    and (attribute.valid_to is null or attribute.valid_to >= :day)
"""
_CANDIDATES = text(f"""
    select learner.key, team.value as team, role.value as role
    from learner
    left join record on record.learner_id = learner.id and record.program = :program
    {_TODAY.format(name="team", valid=_VALID)}
    {_TODAY.format(name="role", valid=_VALID)}
    where record.enrolled_at is null and record.completed_at is null
    and not exists (
        select from jsonb_each(cast(:population as jsonb)) as wanted (name, texts)
        where not exists (
            select from learner_attribute attribute
            where attribute.learner_id = learner.id and attribute.name = wanted.name
            and wanted.texts ? attribute.value and {_VALID}
        )
    )
    and (role.value is not null or not exists (
        select from learner_attribute attribute where attribute.learner_id = learner.id and attribute.name = :role
    ))
    and (cast(:population as jsonb) <> '{{}}' or record.id is not null or exists (
        select from weekly_metric cell
        where cell.learner_id = learner.id and cell.metric = any(cast(:metrics as text[]))
    ))
    order by learner.key collate "C"
""")  # noqa: S608 - no value is put into the text, only the parts above


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who can be sent."""

    learner: str
    team: str | None
    role: str | None

    @property
    def stratum(self) -> str:
        """Within it waves are dealt evenly."""
        return json.dumps([self.team, self.role])


@dataclass(frozen=True, slots=True)
class Kept:
    """How far a drawn order was kept."""

    share: float | None
    """Of `people`; None when nobody's turn has come."""
    people: int
    """Those sent, and those whose turn has passed."""
    at: str
    """When it was drawn."""

    @property
    def is_random(self) -> bool:
        """Whether the analysis may take the order for one that chance gave."""
        return self.share is not None and self.share >= LEAST_FOLLOWED

    @property
    def text(self) -> str:
        """Say it in a sentence."""
        if self.share is None:
            return f"Who goes first was drawn at {self.at}; nobody's turn has come yet."
        told = f"Who goes first was drawn at {self.at}, and {self.share:.0%} of {self.people} people were sent in that"
        if self.is_random:
            return f"{told} order: it counts as random."
        return f"{told} order: fewer than {LEAST_FOLLOWED:.0%}, so it does not count as random."

    def told(self) -> dict[str, Any]:
        """Give it as a result keeps it."""
        return {"random": self.is_random, "followed": self.share, "people": self.people, "text": self.text}


def candidates(session: Session, program: Program, day: date) -> list[Candidate]:
    """Give everybody of a program's population who was not sent yet, by key; raises NotReady if there is nobody."""
    found = session.execute(
        _CANDIDATES,
        {
            "program": program.name,
            "population": json.dumps({name: list(values) for name, values in program.population.items()}),
            "metrics": list(program.metrics),
            "role": program.analysis.role,
            "team": program.analysis.team,
            "day": day,
        },
    )
    people = [Candidate(*row) for row in found]
    if not people:
        raise NotReady(
            f"Nobody is left to draw in {program.name!r}: on {day} its population has no one who was not sent before. "
            "See `population` in its document, and `lrs-bridge source list` whether the roster was read."
        )
    return people


def due(start: date | None, every: int, wave: int) -> date | None:
    """Give the day on which a wave begins, if days were named."""
    return None if start is None else start + timedelta(weeks=every * (wave - 1))


def kept(details: Mapping[str, Any], at: str, rows: Sequence[PersonWeek]) -> Kept:
    """Compare a draw with when people were sent.

    A wave has begun when half of its people are sent, and its middle is the median of their weeks. Somebody was sent in
    the drawn order if they were sent after the middle of every earlier wave and before that of every later one; not if
    they were not drawn at all, nor if a later wave has begun while they were there and not sent.
    """
    drawn = {learner: int(one["wave"]) for learner, one in details["people"].items()}
    sent = {row.learner: row.assigned for row in rows}
    last_week = {row.learner: row.week for row in rows}  # rows come by week
    middles = _middles(drawn, sent)
    followed = people = 0
    for learner, week in sent.items():
        wave = drawn.get(learner)
        if week is None:
            later = [middle for other, middle in middles.items() if wave is not None and other > wave]
            if not any(last_week[learner] >= middle for middle in later):
                continue
        people += 1
        followed += wave is not None and week is not None and _in_order(week, wave, middles, set(drawn.values()))
    return Kept(followed / people if people else None, people, at)


def _middles(drawn: Mapping[str, int], sent: Mapping[str, date | None]) -> dict[int, date]:
    weeks: dict[int, list[date | None]] = defaultdict(list)
    for learner, wave in drawn.items():
        if learner in sent:
            weeks[wave].append(sent[learner])
    found = {wave: sorted(week for week in all_weeks if week is not None) for wave, all_weeks in weeks.items()}
    begun = {wave: known for wave, known in found.items() if known and 2 * len(known) >= len(weeks[wave])}
    return {wave: statistics.median_low(known) for wave, known in begun.items()}


def _in_order(week: date, wave: int, middles: Mapping[int, date], waves: set[int]) -> bool:
    if any(earlier not in middles for earlier in waves if earlier < wave):
        return False
    return all(week > middle for other, middle in middles.items() if other < wave) and all(
        week < middle for other, middle in middles.items() if other > wave
    )
