"""A company made up in memory, of which the truth is known (`impact.md`, section 6): for the engine's own tests."""

from dataclasses import dataclass

import numpy as np

from bridge.impact import Panel, panel

WEEKS = 52
WAVES = (20, 24, 28, 32, 36)
METRICS = ("win", "time", "csat", "count")


@dataclass(frozen=True)
class Company:
    panels: dict[str, Panel]
    truth: dict[str, float]
    """Mean effect over the first 12 weeks, of the trained person-weeks that are in the panel."""


def company(
    seed: int,
    *,
    teams: int = 40,
    size: int = 10,
    effect: float = 1.0,
    shock: float = 0.6,
    ability: float = 1.0,
    drift: float = 0.0,
    order: str = "weak",
    columns: bool = False,
) -> Company:
    """Simulate one; `order` says who is sent first: weak, improving, or random."""
    random = np.random.default_rng(seed)
    people = teams * size
    team = np.repeat(np.arange(teams), size)
    role = team % 4
    weeks = np.arange(WEEKS)
    person = random.normal(0, ability, people)
    drifting = random.normal(0, drift, people) if drift else np.zeros(people)
    season = (
        0.4 * np.sin(2 * np.pi * (weeks[None] / 52 + random.random((4, 1))))
        + 0.15 * np.sin(2 * np.pi * (weeks[None] / 13 + random.random((4, 1))))
        + random.normal(0, 0.004, (4, 1)) * weeks[None]
    )
    z = person[:, None] + random.normal(0, 0.4, teams)[team][:, None] + season[role]
    z = z + _ar(random, people, 0.6, shock) + _ar(random, teams, 0.5, 0.2)[team] + drifting[:, None] * weeks[None]
    sent, trained = _send(random, z, team, role, drifting, order)
    r = _paths(random, trained, team, teams)
    values, truth_rows = _metrics(random, z, r * effect)
    here = (
        (random.random((people, WEEKS)) > 0.08)
        & (weeks[None] < np.where(random.random(people) < 0.04, random.integers(8, 52, people), 99)[:, None])
        & (weeks[None] >= np.where(random.random(people) < 0.06, random.integers(1, 20, people), 0)[:, None])
    )
    since = weeks[None] - trained[:, None]
    panels, truth = {}, {}
    for name in METRICS:
        kept = here & np.isfinite(values[name])
        who, when = np.nonzero(kept)
        panels[name] = panel(
            person=who,
            period=when,
            outcome=values[name][kept],
            first_treated=trained[who],
            assigned=sent[who],
            team=team[who],
            role=role[who],
        )
        after = kept & (since >= 0) & (since < 12)
        truth[name] = float(truth_rows[name][after].mean()) if after.any() else 0.0
    return Company(panels, truth)


def _ar(random, rows, rho, sd):
    out = np.empty((rows, WEEKS))
    out[:, 0] = random.normal(0, sd, rows)
    steps = random.normal(0, sd * np.sqrt(1 - rho**2), (rows, WEEKS))
    for week in range(1, WEEKS):
        out[:, week] = rho * out[:, week - 1] + steps[:, week]
    return out


def _send(random, z, team, role, drifting, order):
    people, seen = len(team), z + random.normal(0, 0.5, z.shape)
    sent = np.full(people, np.inf)
    for wave, week in enumerate(WAVES):
        score = seen[:, week - 4 : week].mean(axis=1) + random.normal(0, 0.3, people)
        if order == "improving":
            score = -drifting * 52 + random.normal(0, 0.3, people)
        if order == "random":
            score = random.random(people)
        for one in range(team.max() + 1):
            if role[np.argmax(team == one)] > wave:
                continue
            able = np.flatnonzero((team == one) & np.isinf(sent))
            chosen = able[np.argsort(score[able])[: random.integers(1, 3)]]
            sent[chosen] = week + 2
    return sent, np.where(random.random(people) < 0.15, np.inf, sent)


def _paths(random, trained, team, teams):
    people = len(team)
    r = np.zeros((people, WEEKS))
    blocked = (random.random(teams) < 0.15)[team] | (random.random(people) < 0.1)
    opened = random.random(people) < 0.3
    for one in np.flatnonzero(np.isfinite(trained)):
        level, half = 1.0, 6.0
        touches = {w for w, p in ((2, 0.75), (4, 0.65), (13, 0.5)) if random.random() < p}
        for age, week in enumerate(range(int(trained[one]), WEEKS)):
            if age in touches:
                level, half = 1.0, half * 1.6
            r[one, week] = 0.0 if blocked[one] and not (opened[one] and age >= 6) else 0.25 + 0.75 * level
            level *= 0.5 ** (1 / half)
    return r


def _metrics(random, z, r):
    shape, values, truth = z.shape, {}, {}
    cases = random.poisson(5, shape)
    low, high = np.clip(0.32 + 0.06 * z, 0.01, 0.99), np.clip(0.32 + 0.06 * z + 0.08 * r, 0.01, 0.99)
    values["win"] = np.where(cases > 0, random.binomial(cases, high) / np.maximum(cases, 1), np.nan)
    truth["win"] = high - low
    cases = 1 + random.poisson(15, shape)
    values["time"] = np.exp(np.log(14) - 0.12 * z - 0.12 * r + random.normal(0, 0.7, shape) / np.sqrt(cases))
    truth["time"] = -0.12 * r
    answers = random.poisson(3, shape)
    total = np.zeros(shape)
    cuts = np.array([-2.2, -1.6, -0.9, 0.1])
    for number in range(answers.max()):
        latent = 0.35 * z + 0.35 * r + random.standard_normal(shape)
        total += np.where(number < answers, 1 + np.searchsorted(cuts, latent.ravel()).reshape(shape), 0)
    values["csat"] = np.where(answers > 0, total / np.maximum(answers, 1), np.nan)
    from scipy.stats import norm

    truth["csat"] = sum(norm.sf(cut - 0.35 * z - 0.35 * r) - norm.sf(cut - 0.35 * z) for cut in cuts)
    mean = 3 * np.exp(0.18 * z + 0.20 * r)
    values["count"] = random.negative_binomial(4, 4 / (4 + mean)).astype(float)
    truth["count"] = mean - 3 * np.exp(0.18 * z)
    return values, truth
