"""Planning a rollout: what one wave or several would show, and the draw of who goes first.

Needs numpy (the extra `impact`), as `bridge.estimating` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import scipy.stats
from sqlalchemy.orm import Session

from bridge import estimating, impacts, panel, programs, waves
from bridge import impact as engine
from bridge.errors import NotReady, SettingsError
from bridge.impact import families, rollouts
from bridge.mapping import Documents, Goal
from bridge.models import ProgramEvent

GOOD_POWER = 0.8
MOST_GROUPS = 50
"""Teams that are left out one at a time; with more of them they are left out by groups (`bridge.impact.jackknife`)."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What each plan would show, and what follows from it."""

    metric: str
    effect: float
    """That is hoped for, on the scale that people read; its size alone."""
    unit: str
    rows: tuple[dict[str, Any], ...]
    """By teams and waves: what would be seen with 80 % power, and with which power the hoped-for effect."""
    text: str

    def told(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "metric": self.metric,
            "effect": self.effect,
            "unit": self.unit,
            "plans": list(self.rows),
            "advice": self.text,
        }


def plan(
    session: Session,
    documents: Documents,
    name: str,
    *,
    waves: Sequence[int],
    teams: Sequence[int] = (),
    every: int = 4,
    effect: tuple[float, bool] | None = None,
) -> Advice:
    """Measure plans on the weeks before anybody was trained; `effect`: a size, and whether it is a share of the usual.

    Raises UnknownName, NotReady where there is no such history, SettingsError where nothing says what is hoped for.
    """
    program = programs.find(documents, name)
    if not program.goals:
        raise NotReady(f"The program {name!r} names no metric yet: a plan needs the primary one. See its `metrics`.")
    goal = program.primary or program.goals[0]
    if effect is not None:
        goal = replace(goal, target=effect[0], is_share=effect[1])
    if goal.target is None:
        raise SettingsError(f"The program {name!r} has no target for {goal.metric}: say one there, or give --effect.")
    if goal.metric not in documents.metrics:
        raise NotReady(f"No performance document gives {goal.metric!r}.")
    rows = list(panel.of_program(session, program))
    if not rows:
        raise NotReady(f"The program {name!r} has no history: no metric has a fact of anybody in its population.")
    contract = engine.Contract(
        metrics=(estimating.as_metric(documents.metrics[goal.metric], goal, rows),),
        horizon=goal.horizon_weeks,
        interim=goal.interim_weeks,
        exclude_before=program.analysis.exclude_weeks,
        min_pre=program.analysis.min_pre_weeks,
        randomised=True,
    )
    history = families.prepare(estimating.as_panel(documents.metrics[goal.metric], goal, rows), contract.metrics[0])
    plans = rollouts.plans(history, contract, waves=waves, teams=teams or None, periods_between=every)
    return _advice(contract.metrics[0], goal, plans)


def power(plan: rollouts.Plan, effect: float) -> float | None:
    """Give how probably an effect of this size would be found; None where nothing could be told."""
    if plan.se is None or plan.se <= 0 or plan.teams < 2:
        return None
    df = min(plan.teams, MOST_GROUPS) - 1
    return float(scipy.stats.t.cdf(abs(effect) / plan.se - scipy.stats.t.ppf(0.975, df), df))


def draw(
    session: Session,
    documents: Documents,
    name: str,
    *,
    number: int,
    seed: int,
    by: str,
    today: date,
    start: date | None = None,
    every: int = 4,
    because: str | None = None,
) -> ProgramEvent:
    """Deal everybody who can be sent into waves, within team and role, and keep who goes when; the caller commits.

    Raises UnknownName, NotReady where nobody can be sent, and AlreadyDrawn.
    """
    program = programs.find(documents, name)
    people = waves.candidates(session, program, today)
    drawn = rollouts.draw({one.learner: one.stratum for one in people}, waves=number, seed=seed)
    details = {
        "seed": seed,
        "waves": number,
        "digest": drawn.digest,
        "start": start.isoformat() if start else None,
        "every_weeks": every if start else None,
        "people": {
            one.learner: {"wave": drawn.wave[one.learner], "team": one.team, "role": one.role} for one in people
        },
    }
    return programs.note_draw(session, documents, name, by=by, details=details, because=because)


def _advice(metric: engine.Metric, goal: Goal, plans: Sequence[rollouts.Plan]) -> Advice:
    _, unit = impacts.scale({"family": metric.family.value, "unit": metric.unit})
    hoped = families.target_of(metric) or 0.0

    def size(effect: float) -> float:
        return abs(families.in_percent(metric.family, metric.direction.sign * effect))

    rows = tuple(
        {
            "teams": one.teams,
            "people": one.people,
            "waves": one.waves,
            "weeks_between": one.periods_between,
            "detectable": None if one.detectable is None else size(one.detectable),
            "power": power(one, hoped),
        }
        for one in plans
    )
    return Advice(goal.metric, size(hoped), unit, rows, _sentence(metric.title or metric.name, rows))


def _sentence(title: str, rows: Sequence[dict[str, Any]]) -> str:
    known = [row for row in rows if row["power"] is not None]
    if not known:
        return (
            f"Nothing can be said of {title}: there are too few weeks before training for these plans, or all of them "
            "train everybody at once, so that nobody is left to compare with."
        )
    most = max(row["teams"] for row in known)
    here = [row for row in known if row["teams"] == most]
    best = max(here, key=lambda row: (round(row["power"], 2), -row["waves"]))
    start = (
        f"With {most} teams, go in {_waves(best['waves'])}: an effect of the size hoped for on {title} would be found "
    )
    told = f"{start}with a power of {best['power']:.0%}."
    if best["power"] < GOOD_POWER:
        told += f" That is less than {GOOD_POWER:.0%}: include more teams, or aim at a larger effect."
    if any(row["waves"] == 1 and row["power"] is None for row in rows):
        told += " One wave for everybody shows nothing: nobody is left to compare with."
    return f"{told} Leave to chance who goes first: lrs-bridge program draw."


def _waves(number: int) -> str:
    return "1 wave" if number == 1 else f"{number} waves"
