"""A company drawn by a seed: people, who is sent to training and when, what they then do at work, and the true effect.

The specification is reference/impact.md, section 6. Skill is a person's ability, their team's, their role's season and
two passing shocks; managers see it through noise and send those who look weak, which is why a comparison of before and
after is wrong here. Nobody in this module looks at metrics when deciding who is sent: the metrics follow from skill.

Weeks are numbered from 1. A person's first treated week is the week of training.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ROLES = 4
WAVES = (20, 24, 28, 32, 36)
"""Weeks in which people are named; each role begins at another of them."""
LEAD_WEEKS = 2
"""From being named to the training."""
NO_SHOW = 0.15
LOOKED_BACK = 4
"""Weeks that managers have in mind when they name somebody."""
TOUCHES = ((2, 0.75), (4, 0.65), (13, 0.5))
"""Weeks since training of each reinforcement, and how probably it takes place."""
HALF_LIFE, FLOOR, STRETCH = 6.0, 0.25, 1.6
"""Of the effect in weeks; what stays of it for good; by how much a reinforcement makes the half-life longer."""
BLOCKED_TEAMS, BLOCKED_PEOPLE, UNBLOCKED, UNBLOCKED_AFTER = 0.15, 0.10, 0.30, 6
MISSING_WEEKS, LEAVERS, LATE_HIRES = 0.08, 0.04, 0.06

WIN = (0.32, 0.06, 0.08)
"""Share of deals won: at skill 0, for each unit of skill, and by a full effect."""
LOG_MINUTES = (float(np.log(14)), -0.12, -0.12, 0.7)
"""Mean of the log of a ticket's minutes, likewise, and its standard deviation."""
RATING = (0.35, 0.35)
RATING_CUTS = (-2.2, -1.6, -0.9, 0.1)
"""Where the hidden satisfaction goes from each of the answers 1 to 5 to the next."""
FOLLOW_UPS = (3.0, 0.18, 0.20, 4.0)
"""Mean of a week's count, likewise in its log, and the shape of its spread (negative binomial)."""
METRICS = ("won", "log_minutes", "rating", "follow_ups")


class Nomination(StrEnum):
    """Whom managers send."""

    WEAK = "weak"
    """Those who look weakest of late."""
    IMPROVING = "improving"
    """Those with the steepest trends of their own: then no comparison helps, and only a design test can tell."""
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Plan:
    """What company is drawn; equal plans give equal companies."""

    seed: int
    teams: int = 40
    size: int = 10
    weeks: int = 52
    effect: float = 1.0
    """Of the effect that section 6 plants; 0 is a training that changes nothing."""
    nomination: Nomination = Nomination.WEAK
    ability: float = 1.0
    """Standard deviation of people's lasting ability."""
    shock: float = 0.6
    """Standard deviation of a person's passing shocks; large beside `ability`, weak spells end by themselves."""
    drift: float = 0.0
    """Standard deviation of people's own trends, in skill a week."""


@dataclass(frozen=True, slots=True)
class People:
    """One entry a person."""

    team: Ints
    role: Ints
    first_week: Ints
    last_week: Ints
    assigned: Ints
    """Week for which the person was sent; 0: never."""
    trained: Ints
    """Week of training; 0: never, be it for not being sent or for not turning up."""
    blocked_until: Ints
    """Last week in which what was learned cannot be used; 0: never blocked."""
    touches: Bools
    """(person, touch): whether each of TOUCHES took place."""


@dataclass(frozen=True, slots=True)
class Company:
    """What happened. Rows are person-weeks at work; deals, tickets and answers point to their row by its index."""

    plan: Plan
    people: People
    person: Ints
    week: Ints
    carried: Floats
    """Of the full effect, what the person had in this week: 0 before training, then between 0 and 1."""
    truth: dict[str, Floats]
    """By metric: how much of the row's expected value is due to training."""
    deal_row: Ints
    deal_won: Bools
    ticket_row: Ints
    ticket_log_minutes: Floats
    answer_row: Ints
    answer: Ints
    follow_ups: Ints

    def weekly(self, metric: str) -> tuple[Floats, Floats]:
        """Give (sum, count) of a metric by row; its value is their quotient, and none where the count is 0."""
        rows = len(self.person)
        match metric:
            case "won":
                return _sums(self.deal_row, self.deal_won, rows)
            case "log_minutes":
                return _sums(self.ticket_row, self.ticket_log_minutes, rows)
            case "rating":
                return _sums(self.answer_row, self.answer, rows)
            case "follow_ups":
                return self.follow_ups.astype(float), np.ones(rows)
        raise ValueError(f"There is no metric {metric!r} here; there are {', '.join(METRICS)}.")

    def true_effect(self, metric: str, weeks: int = 12) -> float:
        """Give the mean effect over the first `weeks` of the trained, by person-week in which the metric was seen."""
        trained = self.people.trained[self.person]
        since = self.week - trained
        _, count = self.weekly(metric)
        counted = (trained > 0) & (since >= 0) & (since < weeks) & (count > 0)
        return float(self.truth[metric][counted].mean())


def draw(plan: Plan) -> Company:
    """Draw a company."""
    random = np.random.default_rng(plan.seed)
    drift = random.normal(0, 1, plan.teams * plan.size) * plan.drift
    skill = _skill(plan, random, drift)
    people = _people(plan, random, skill, drift)
    week = np.tile(np.arange(1, plan.weeks + 1), plan.teams * plan.size)
    person = np.repeat(np.arange(plan.teams * plan.size), plan.weeks)
    at_work = (week >= people.first_week[person]) & (week <= people.last_week[person])
    at_work &= random.random(len(week)) >= MISSING_WEEKS
    carried = plan.effect * _carried(plan, people)
    rows = np.flatnonzero(at_work)
    return _work(plan, random, people, person[rows], week[rows], skill.ravel()[rows], carried.ravel()[rows])


def _skill(plan: Plan, random: np.random.Generator, drift: Floats) -> Floats:
    """Give (person, week) of skill without training; `drift` is each person's own trend."""
    people, weeks = plan.teams * plan.size, np.arange(plan.weeks)
    team = np.repeat(np.arange(plan.teams), plan.size)
    phase = random.uniform(0, 2 * np.pi, (ROLES, 2))
    trend = random.normal(0, 0.005, ROLES)
    season = (
        0.4 * np.sin(2 * np.pi * weeks / 52 + phase[:, :1])
        + 0.15 * np.sin(2 * np.pi * weeks / 13 + phase[:, 1:])
        + trend[:, None] * weeks
    )
    ability = random.normal(0, plan.ability, people)
    common = random.normal(0, 0.4, plan.teams)[:, None] + _autoregressive(random, plan.teams, plan.weeks, 0.5, 0.2)
    own = ability[:, None] + drift[:, None] * weeks + _autoregressive(random, people, plan.weeks, 0.6, plan.shock)
    return np.asarray(own + (common + season[_roles(plan)])[team])


def _roles(plan: Plan) -> Ints:
    """Give the role of each team: a team is in one role."""
    return np.arange(plan.teams) % ROLES


def _autoregressive(random: np.random.Generator, units: int, weeks: int, rho: float, sd: float) -> Floats:
    """Give (unit, week) of stationary shocks of standard deviation `sd`."""
    shocks = random.normal(0, sd, (units, weeks))
    for week in range(1, weeks):
        shocks[:, week] = rho * shocks[:, week - 1] + np.sqrt(1 - rho**2) * shocks[:, week]
    return shocks


def _people(plan: Plan, random: np.random.Generator, skill: Floats, drift: Floats) -> People:
    number = plan.teams * plan.size
    team = np.repeat(np.arange(plan.teams), plan.size)
    role = _roles(plan)[team]
    late, leaves = random.random(number) < LATE_HIRES, random.random(number) < LEAVERS
    first = np.where(late, random.integers(2, plan.weeks // 2, number), 1)
    last = np.where(leaves, random.integers(plan.weeks // 5, plan.weeks, number), plan.weeks)
    assigned = _assigned(plan, random, skill, drift, role, first, last)
    came = random.random(number) >= NO_SHOW
    trained = np.where(came, assigned, 0)
    blocked = (random.random(plan.teams) < BLOCKED_TEAMS)[team] | (random.random(number) < BLOCKED_PEOPLE)
    freed = random.random(number) < UNBLOCKED
    until = np.where(freed, trained + UNBLOCKED_AFTER - 1, plan.weeks)
    touches = random.random((number, len(TOUCHES))) < [probability for _, probability in TOUCHES]
    return People(team, role, first, last, assigned, trained, np.where(blocked & (trained > 0), until, 0), touches)


def _assigned(
    plan: Plan, random: np.random.Generator, skill: Floats, drift: Floats, role: Ints, first: Ints, last: Ints
) -> Ints:
    """Give the week for which each person is sent, 0 for never; each team names one or two in every wave."""
    seen = skill + random.normal(0, 0.5, skill.shape)
    begins = random.permutation(ROLES)
    assigned = np.zeros(len(role), dtype=np.int64)
    for number, week in enumerate(WAVES):
        standing = _standing(plan, random, seen, drift, week)
        for team in range(plan.teams):
            members = np.arange(team * plan.size, (team + 1) * plan.size)
            named = int(random.integers(1, 3))
            if number < begins[role[members[0]]]:
                continue
            there = (first[members] <= week - LOOKED_BACK) & (last[members] >= week) & (assigned[members] == 0)
            candidates = members[there]
            assigned[candidates[np.argsort(standing[candidates])[:named]]] = week + LEAD_WEEKS
    return np.where(assigned <= plan.weeks, assigned, 0)


def _standing(plan: Plan, random: np.random.Generator, seen: Floats, drift: Floats, week: int) -> Floats:
    """Give what managers go by in a week: the lowest are sent."""
    noise = random.normal(0, 0.3, len(seen))
    match plan.nomination:
        case Nomination.WEAK:
            return np.asarray(seen[:, week - 1 - LOOKED_BACK : week - 1].mean(axis=1) + noise)
        case Nomination.IMPROVING:
            return np.asarray(plan.drift * noise - drift)
        case Nomination.RANDOM:
            return random.random(len(seen))


def _carried(plan: Plan, people: People) -> Floats:
    """Give (person, week) of the share of the full effect that is there."""
    carried = np.zeros((len(people.team), plan.weeks))
    for person in np.flatnonzero(people.trained):
        trained = int(people.trained[person])
        path = path_of_effect(plan.weeks - trained + 1, people.touches[person])
        carried[person, trained - 1 :] = path
        carried[person, : int(people.blocked_until[person])] = 0
    return carried


def path_of_effect(weeks: int, touches: Bools | tuple[bool, ...]) -> Floats:
    """Give the share of the full effect in each of the `weeks` from training on: 1 at first, decaying to FLOOR.

    Each reinforcement that takes place restores it, and makes it decay more slowly from then on.
    """
    restored = {week for (week, _), took_place in zip(TOUCHES, touches, strict=True) if took_place}
    half_life, since, path = HALF_LIFE, 0, []
    for week in range(weeks):
        if week in restored:
            half_life, since = half_life * STRETCH, 0
        path.append(FLOOR + (1 - FLOOR) * 0.5 ** (since / half_life))
        since += 1
    return np.array(path)


def _work(
    plan: Plan, random: np.random.Generator, people: People, person: Ints, week: Ints, skill: Floats, carried: Floats
) -> Company:
    rows = np.arange(len(person))
    chance = np.clip(WIN[0] + WIN[1] * skill, 0.01, 0.99)
    better = np.clip(WIN[0] + WIN[1] * skill + WIN[2] * carried, 0.01, 0.99)
    deal_row = np.repeat(rows, random.poisson(5, len(rows)))
    ticket_row = np.repeat(rows, 1 + random.poisson(15, len(rows)))
    answer_row = np.repeat(rows, random.poisson(3, len(rows)))
    mean, by_skill, by_training, spread = LOG_MINUTES
    minutes = mean + by_skill * skill + by_training * carried
    satisfied = RATING[0] * skill + RATING[1] * carried
    usual = FOLLOW_UPS[0] * np.exp(FOLLOW_UPS[1] * skill)
    more = usual * np.exp(FOLLOW_UPS[2] * carried)
    return Company(
        plan=plan,
        people=people,
        person=person,
        week=week,
        carried=carried,
        truth={
            "won": better - chance,
            "log_minutes": by_training * carried,
            "rating": _mean_answer(satisfied) - _mean_answer(RATING[0] * skill),
            "follow_ups": more - usual,
        },
        deal_row=deal_row,
        deal_won=random.random(len(deal_row)) < better[deal_row],
        ticket_row=ticket_row,
        ticket_log_minutes=random.normal(minutes[ticket_row], spread),
        answer_row=answer_row,
        answer=1 + np.searchsorted(RATING_CUTS, random.normal(satisfied[answer_row], 1)),
        follow_ups=random.poisson(random.gamma(FOLLOW_UPS[3], more / FOLLOW_UPS[3])),
    )


def _mean_answer(satisfied: Floats) -> Floats:
    """Give the expected answer on the scale 1 to 5 of people who are so satisfied, with a spread of 1 among answers."""
    above: Any = sum(1 - ndtr(cut - satisfied) for cut in RATING_CUTS)
    return np.asarray(1 + above)


def _sums(row: Ints, value: NDArray[Any], rows: int) -> tuple[Floats, Floats]:
    counts = np.bincount(row, minlength=rows).astype(np.float64)
    return np.bincount(row, value.astype(np.float64), rows).astype(np.float64), counts
