"""The engine's version: another one wherever the same data and contract give something else."""

import hashlib
import json

from impact_company import company

from bridge.impact import Contract, Direction, Family, Metric, assess, experiments, two_group
from bridge.impact.result import ENGINE_VERSION

DIGITS = 5
"""That are compared: fewer than machines and releases of numpy differ by."""

GIVEN = {
    "2": "2b5b4b387e8198935fd487122966739df244ca18c40df2eb8f5be109719e7796",
    "3": "15ff1a4cc492baa151193152daf72970ee96fea1a87a5e175f46a529fc4af48c",
}
"""What each version gives of `cases`. Where the test fails: if what is new is meant, add the next version here."""


def test_a_version_gives_the_same_for_ever():
    content = json.dumps([_rounded(one) for one in cases()], sort_keys=True)
    assert GIVEN[ENGINE_VERSION] == hashlib.sha256(content.encode()).hexdigest()


def cases():
    """Give results of a company with an effect, one without, and an experiment, as JSON."""
    metrics = (
        Metric("win", target=0.03, family=Family.RATE),
        Metric("time", Direction.LOWER, target=0.05, family=Family.LOG),
        Metric("csat", family=Family.RATING),
        Metric("count", family=Family.COUNT, target=0.3),
    )
    for seed, effect in ((1, 1.0), (2, 0.0)):
        yield assess(company(seed, effect=effect).panels, Contract(metrics=metrics)).to_json()
    outcome = [10 + (7 * one) % 11 + 2 * (one % 2) for one in range(60)]
    groups = two_group.experiment(outcome=outcome, treated=[one % 2 for one in range(60)])
    contract = Contract(metrics=(Metric("score", target=3),), randomised=True, effect_cell=1)
    yield experiments.judge(two_group.difference_in_means(groups), contract, "experiment").to_json()


def _rounded(value):
    match value:
        case dict():
            return {key: _rounded(inner) for key, inner in value.items() if key != "engine"}
        case list():
            return [_rounded(inner) for inner in value]
        case float():
            return f"{value:.{DIGITS}g}" if abs(value) > 1e-9 else "0"
    return value
