"""Every sentence of every verdict is read back and held against the numbers of the result (`reading_back.py`)."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_back import read

from bridge.impact import Circumstances, Contract, Direction, Metric, assess, experiments, panel, two_group
from bridge.impact.result import as_json

SEEN: Counter[str] = Counter()
"""Kinds of sentences that the random cases gave: a kind that never comes is not tested."""


@settings(max_examples=70, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**9))
def test_sentences_of_random_panels_are_true(seed):
    random = np.random.default_rng(seed)
    count = int(random.choice([1, 1, 1, 2]))
    metrics = tuple(_metric(random, f"metric {number}") for number in range(count))
    clean = bool(random.random() < 0.6)
    shape = _shape(random, clean=clean)
    panels = {metric.name: _panel(random, metric, shape, clean=clean) for metric in metrics}
    contract = _contract(random, metrics, clean=clean)
    known = Circumstances(
        identity_match=random.choice([None, 0.99] if clean else [None, 0.8999, 0.5, 0.99]),
        changed="" if clean else str(random.choice(["", "", "", "another form"])),
        overlap=random.choice([None, 0.1] if clean else [None, 0.1, 0.2004, 0.7]),
        next_check=str(random.choice(["", "12 March 2026"])),
    )
    found = {name: one.to_json() for name, one in assess(panels, contract, known).results.items()}
    for one in found.values():
        SEEN.update(read(one | {"contract": as_json(contract)}, others=found))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**9))
def test_sentences_of_random_experiments_are_true(seed):
    random = np.random.default_rng(seed)
    people = int(random.choice([1, 5, 15, 60, 300]))
    treated = random.random(people) < random.choice([0.0, 0.3, 0.5, 1.0])
    metric = _metric(random, "score", families=("linear", "log", "rate"))
    age = random.normal(size=people) + treated * random.choice([0, 0.6, 3])
    more = {"covariates": {"age": age}} if random.random() < 0.5 else {}
    effect = random.choice([0, 0.5, -0.5])
    contract = Contract(
        metrics=(metric,), randomised=bool(random.random() < 0.7), effect_cell=int(random.choice([1, 10])), horizon=None
    )
    if random.random() < 0.5:
        outcome = _values(random, metric, random.normal(size=people) + effect * treated)
        groups = two_group.experiment(outcome=outcome, treated=treated * 1, family=metric.family, **more)
        result = experiments.judge(two_group.difference_in_means(groups), contract, "experiment", Circumstances())
    else:
        who, later = np.repeat(np.arange(people), 2), np.tile([0, 1], people)
        level = random.normal(size=people)[who] + random.normal(size=2 * people)
        outcome = _values(random, metric, level + effect * (treated[who] & (later == 1)))
        more = {"covariates": {"age": age[who]}} if more else {}
        found = two_group.two_periods(
            person=who, period=later, outcome=outcome, treated=treated[who] * 1, family=metric.family, **more
        )
        result = experiments.judge(found, contract, "two-period", Circumstances())
    SEEN.update(read(result.to_json()))


def test_the_random_cases_gave_every_kind_of_sentence():
    """Runs after the others in this file; alone it has nothing to tell."""
    if not SEEN:
        pytest.skip("the random cases did not run")
    usual = {"claim", "cannot tell", "so far", "detectable", "target", "assumes", "chance", "next"}
    rare = {"no effect", "sent", "dip", "inconclusive", *(f"R{number}" for number in range(12))}
    assert usual - SEEN.keys() == set()
    assert len(rare - SEEN.keys()) <= 3, rare - SEEN.keys()


def _metric(random, name, families=("linear", "log", "rate", "count", "rating")):
    family = random.choice(families)
    target = random.choice([None, 0.02, 0.1, 0.4])
    return Metric(name, random.choice(list(Direction)), target, family, unit=str(random.choice(["", "hours"])))


def _shape(random, *, clean):
    """Give people, periods and who was trained when; a clean one has enough of all."""
    people, periods = int(random.choice([6, 30, 80])), int(random.choice([4, 18, 30]))
    waves = random.choice([1, 2, 3])
    starts = random.integers(1, periods, waves)
    share = random.choice([0.05, 0.4, 0.5, 0.9, 1.0])
    if clean:
        people, periods, share, starts = 100, 30, random.choice([0.4, 0.6]), random.choice([16, 17, 18], waves)
    first = np.where(random.random(people) < share, random.choice(starts, people), np.inf)
    size = int(random.choice([5, 10] if clean else [1, 5, 10]))
    sent = np.where(np.isfinite(first), first, np.where(random.random(people) < 0.1, starts[0], np.inf))
    has = {"team": random.random() < 0.7, "role": random.random() < 0.5, "assigned": random.random() < 0.5}
    return people, periods, first, sent, size, has


def _panel(random, metric, shape, *, clean):
    people, periods, first, sent, size, has = shape
    who, when = np.repeat(np.arange(people), periods), np.tile(np.arange(periods), people)
    since = when - first[who]
    quiet = random.normal(size=people)[who] + random.choice([0.0, 0.3, 1.0]) * random.normal(size=len(who))
    quiet += random.choice([0.0, 0.0, 0.0, 0.0 if clean else 0.1]) * when * np.isfinite(first)[who]
    dip = -0.7 if metric.direction is Direction.HIGHER else 0.7
    quiet += random.choice([0.0, 0.0, dip, dip if clean else -dip]) * ((since < 0) & (since >= -6))
    quiet += random.choice([0.0, 0.5, -0.5]) * (since >= 0)
    outcome = _values(random, metric, quiet)
    lost = random.choice([0.0, 0.0, 0.0 if clean else 0.2])
    outcome = np.where((random.random(len(who)) < lost) & np.isfinite(first)[who], np.nan, outcome)
    more = {"team": who // size} if has["team"] else {}
    more |= {"role": who // size % 2} if has["role"] else {}
    more |= {"assigned": sent[who]} if has["assigned"] else {}
    if random.random() < 0.05:
        outcome = np.where(np.isnan(outcome), np.nan, 0.5)
    return panel(person=who, period=when, outcome=outcome, first_treated=first[who], **more)


def _values(random, metric, quiet):
    """Give values that the metric's family may have."""
    match metric.family:
        case "log":
            return np.exp(3 + 0.1 * quiet)
        case "rate":
            return np.clip(0.5 + 0.1 * quiet, 0, 1)
        case "count":
            return random.poisson(np.exp(1 + 0.1 * quiet)) * 1.0
    return quiet


def _contract(random, metrics, *, clean):
    short = not clean and random.random() < 0.5
    return Contract(
        metrics=metrics,
        horizon=random.choice([None, 12]) if not short else 4,
        interim=4,
        exclude_before=0 if short else 6,
        min_pre=1 if short else 8,
        min_post=1 if short else 4,
        support=int(random.choice([1, 5])),
        effect_cell=int(random.choice([1, 10])),
        cell=int(random.choice([1, 5])),
        randomised=bool(random.random() < 0.3),
    )
