"""How to roll out so that most is learned: one wave or several, and a draw of who goes first that can be repeated.

People get trained anyway; left to chance who goes first, the later waves are the best comparison there is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bridge.impact import imputation, power
from bridge.impact.contract import Contract
from bridge.impact.designs import Design
from bridge.impact.panels import Panel

DRAWS = 5
"""Draws of each plan that its error is averaged over: one alone may be lucky."""


@dataclass(frozen=True)
class Plan:
    """What a rollout in so many waves would show: the effect that would be found with 80 % power."""

    waves: int
    teams: int
    people: int
    periods_between: int
    se: float | None
    detectable: float | None
    """On the scale of the estimate; None if nothing could be told, as with one wave that leaves nobody untrained."""


@dataclass(frozen=True)
class Draw:
    """Who goes in which wave (from 1), and all that it takes to draw the same again."""

    seed: int
    waves: int
    stratum: Mapping[str, str]
    wave: Mapping[str, int]
    digest: str
    """Hash of people, strata, seed and waves: kept with the contract, it shows that the draw was not repeated."""


def plans(
    history: Panel,
    contract: Contract,
    *,
    waves: Sequence[int] = (1, 2, 3, 4),
    teams: Sequence[int] | None = None,
    periods_between: int = 4,
    untouched: float = 0.0,
    seed: int = 0,
) -> list[Plan]:
    """Measure each plan on the company's own history, in which nobody was trained: draw waves, and see the error.

    The history must hold `min_pre` + `exclude_before` periods and the rollout itself; `untouched` is the share that is
    never trained. People are drawn within teams, as `draw` does.
    """
    untrained = history.rows(history.event_time < 0)
    return [
        _plan(_some_teams(untrained, count, seed), contract, number, count, periods_between, untouched, seed)
        for count in teams or (history.teams,)
        for number in waves
    ]


def draw(people: Mapping[str, str], *, waves: int, seed: int) -> Draw:
    """Deal people into waves of equal size within their strata (team and role as one text), by a seeded shuffle.

    The same people, strata, waves and seed give the same waves, in whatever order people come. What does not divide
    evenly is given to waves by chance too, so no wave is larger by rule.
    """
    if waves < 1:
        raise ValueError(f"waves is {waves}, and must be 1 or more")
    strata: dict[str, list[str]] = {}
    for person in sorted(people):
        strata.setdefault(people[person], []).append(person)
    random = np.random.default_rng(seed)
    wave: dict[str, int] = {}
    for stratum in sorted(strata):
        order = random.permutation(waves)
        for place, one in enumerate(random.permutation(len(strata[stratum])).tolist()):
            wave[strata[stratum][one]] = int(order[place % waves]) + 1
    text = "\n".join([f"{seed} {waves}", *(f"{person}\t{people[person]}" for person in sorted(people))])
    return Draw(seed, waves, dict(people), wave, hashlib.sha256(text.encode()).hexdigest())


def _some_teams(panel: Panel, count: int, seed: int) -> Panel:
    """Give a panel of so many teams, drawn from the history with replacement where it has fewer."""
    random = np.random.default_rng(seed)
    own = panel.teams
    chosen = np.concatenate([random.permutation(own) for _ in range(-(-count // max(own, 1)))])[:count]
    parts, team, first, size = [], [], [], 0
    for number, one in enumerate(chosen.tolist()):
        members = np.flatnonzero(panel.team == one)
        new = np.full(panel.people, -1)
        new[members] = size + np.arange(len(members))
        rows = np.flatnonzero(panel.team[panel.person] == one)
        parts.append((rows, new[panel.person[rows]]))
        team.append(np.full(len(members), number))
        first.append(members)
        size += len(members)
    rows = np.concatenate([rows for rows, _ in parts])
    cut = panel.rows(np.arange(len(panel.person)) >= 0)
    members = np.concatenate(first)
    return replace(
        cut,
        person=np.concatenate([person for _, person in parts]),
        period=panel.period[rows],
        outcome=panel.outcome[rows],
        weight=panel.weight[rows],
        role=panel.role[rows],
        covariates=panel.covariates[rows],
        source=panel.source[rows],
        exposure=None if panel.exposure is None else panel.exposure[rows],
        first_treated=np.full(size, np.inf),
        team=np.concatenate(team),
        listed=panel.listed[members],
        observed=panel.observed[members],
        last=panel.last[members],
        assigned=None,
    )


def _plan(panel: Panel, contract: Contract, waves: int, teams: int, between: int, untouched: float, seed: int) -> Plan:
    strata = {str(one): str(panel.team[one]) for one in range(panel.people)}
    start = int(panel.period.min()) + contract.exclude_before + contract.min_pre
    errors, df = [], None
    for one in range(seed, seed + DRAWS):
        drawn = draw(strata, waves=waves, seed=one)
        wave = np.array([drawn.wave[str(person)] for person in range(panel.people)])
        never = np.random.default_rng(one).random(panel.people) < untouched
        made = panel.with_first_treated(np.where(never, np.inf, start + (wave - 1.0) * between))
        design = Design(made, contract)
        if not len(design.after) or not len(design.untrained) or design.trained_at_once:
            continue
        found = imputation.estimate(made, contract).get("horizon", contract.level)
        if found.se is not None:
            errors.append(found.se)
            df = found.df
    se = float(np.sqrt(np.mean(np.square(errors)))) if len(errors) == DRAWS else None
    return Plan(waves, teams, panel.people, between, se, power.detectable(se, df, level=contract.level))
