"""Whatever the data: a verdict or a clear error, JSON without NaN, and never a warning or a stack trace."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.impact import Contract, Grade, Metric, PanelError, estimate, panel


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_random_nonsense_is_answered(seed):
    random = np.random.default_rng(seed)
    people, periods = int(random.integers(1, 25)), int(random.integers(1, random.choice([3, 8, 40]) + 1))
    who, when = np.nonzero(random.random((people, periods)) >= random.choice([0, 0.3, 0.8]))
    if not len(who):
        who, when = np.array([0]), np.array([0])
    trained = random.random(people) < random.choice([0, 0.5, 1])
    first = np.where(trained, random.integers(-1, periods + 2, people), np.inf)
    outcome = [
        random.normal(size=len(who)),
        np.ones(len(who)),
        random.poisson(1, len(who)) * 1.0,
        who * 1.0,
        random.normal(size=len(who)) * 1e12 + 1e14,
        when * 1e-300,
    ][int(random.integers(6))]
    outcome = np.where(random.random(len(who)) < random.choice([0, 0.3]), np.nan, outcome)
    family = random.choice(["linear", "count", "rate", "log"])
    outcome = {"linear": outcome, "count": abs(outcome), "rate": abs(outcome) % 1, "log": abs(outcome) + 1}[family]
    more = {}
    if random.random() < 0.3:
        sent = np.where(~trained & (random.random(people) < 0.3), random.integers(0, periods + 1, people), first - 1)
        more["assigned"] = sent[who]
    if random.random() < 0.4:
        more["team"] = random.integers(0, 4, len(who))
    if random.random() < 0.4:
        more["role"] = random.integers(0, 3, len(who))
    if random.random() < 0.3:
        more["weight"] = random.choice([0, 1, 2.5, 1e-4, 1e4], len(who))
    if random.random() < 0.3:
        more["covariates"] = {"a": random.normal(size=len(who)), "b": when * 1.0, "c": who * 1.0}
    contract = Contract(
        metrics=(Metric("m", random.choice(["higher", "lower"]), random.choice([None, 0.1]), family),),
        horizon=random.choice([None, 3]),
        interim=1,
        exclude_before=int(random.integers(0, 4)),
        min_pre=int(random.integers(1, 4)),
        min_post=1,
        support=int(random.integers(1, 4)),
        bin=int(random.integers(1, 5)),
        placebo_shift=int(random.integers(1, 6)),
        min_people=2,
        min_teams=2,
        effect_cell=2,
        randomised=bool(random.random() < 0.3),
    )
    made = panel(person=who, period=when, outcome=outcome, first_treated=first[who], **more)
    result = estimate(made, contract, published=True)
    json.dumps(result.to_json(), allow_nan=False)
    assert result.verdict.sentences
    assert (result.verdict.grade is Grade.NOT_ENOUGH) == bool(result.verdict.reasons)


ROWS = {
    "person": [1, 1, 2, 2],
    "period": [0, 1, 0, 1],
    "outcome": [1.0, 2.0, 3.0, 4.0],
    "first_treated": [1, 1, None, None],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": [1.0, float("inf"), 2.0, 3.0]}, "column 'outcome', row 2: is infinite"),
        ({"outcome": [1.0, 2.0, "three", 3.0]}, "column 'outcome', row 3: 'three' is no number"),
        ({"outcome": [1.0, 2.0, 1e300, 3.0]}, "column 'outcome', row 3: is beyond 1e+15, where differences are lost"),
        ({"person": [1, None, 2, 2]}, "column 'person', row 2: is empty"),
        ({"period": [0, 0, 0, 1]}, "column 'period', row 2: same person and period as row 1"),
        ({"period": [0, 0.5, 0, 1]}, "column 'period', row 2: is no whole number"),
        ({"period": [0, float("nan"), 0, 1]}, "column 'period', row 2: is empty"),
        ({"first_treated": [1, 2, None, None]}, "column 'first_treated', row 2: differs from row 1 of the same person"),
        ({"first_treated": ["soon", "soon", None, None]}, "column 'first_treated', row 1: 'soon' is no period"),
        ({"weight": [1, 1, -1, 1]}, "column 'weight', row 3: a weight below 0"),
        ({"weight": [1, 1e12, 1, 1]}, "column 'weight', row 1: a weight that is less than 1/1e+09 of another one"),
        ({"covariates": {"age": [1, None, 3, 4]}}, "column 'age', row 2: is empty, where there is an outcome"),
        ({"team": ["a", "a", "b"]}, "column 'team': 3 rows, where 'person' has 4"),
        ({"exposure": [1, 2, -3, 4]}, "column 'exposure', row 3: an exposure below 0"),
    ],
)
def test_unusable_data_are_told_by_column_and_row(change, message):
    with pytest.raises(PanelError) as error:
        panel(**(ROWS | change))
    assert str(error.value).startswith(message)


def test_columns_are_called_as_their_owner_calls_them():
    with pytest.raises(PanelError, match="column 'Umsatz', row 1: is infinite"):
        panel(**(ROWS | {"outcome": [float("-inf"), 1, 1, 1]}), names={"outcome": "Umsatz"})


@pytest.mark.parametrize(
    ("family", "values", "message"),
    [
        ("rate", [0.1, 1.2, 0.3, 0.4], "row 2: a rate that is not from 0 to 1"),
        ("log", [1.0, 2.0, 0.0, 3.0], "row 3: a value that is not above 0"),
        ("count", [1.0, -2.0, 0.0, 3.0], "row 2: a count below 0"),
        ("ratio", [1.0, 2.0, 0.0, 3.0], "a ratio needs an exposure column"),
    ],
)
def test_values_outside_their_family_are_told(family, values, message):
    with pytest.raises(PanelError, match=message):
        estimate(panel(**(ROWS | {"outcome": values})), Contract(metrics=(Metric("outcome", family=family),)))


@pytest.mark.parametrize("horizon", [10**7, None])
def test_periods_far_apart_cost_no_more_than_near_ones(horizon):
    """A figure for every period that nobody was in took all memory."""
    random = np.random.default_rng(1)
    who, when = np.repeat(np.arange(60), 4), np.tile([1, 2, 10**7, 10**7 + 1], 60)
    first = np.where(np.arange(60) % 2, 10.0**7, np.inf)
    made = panel(person=who, period=when, outcome=random.normal(size=240), first_treated=first[who])
    contract = Contract(horizon=horizon, exclude_before=0, min_pre=1, bin=1)
    early = made.with_first_treated(np.where(np.isfinite(made.first_treated), 2, np.inf))
    for one in (made, early):
        assert len(estimate(one, contract).event_study.bins) <= 8


def test_no_rows_at_all():
    with pytest.raises(PanelError, match="there are no rows"):
        panel(person=[], period=[], outcome=[], first_treated=[])


def test_rows_without_any_value_are_an_answer():
    made = panel(**(ROWS | {"outcome": [None, float("nan"), None, None]}))
    assert estimate(made, Contract()).verdict.sentences[1] == "There is no value in the data."


def test_team_is_that_at_assignment_and_moves_are_counted():
    made = panel(
        person=[1, 1, 1, 2, 2, 2],
        period=[0, 1, 2, 0, 1, 2],
        outcome=[1.0] * 6,
        first_treated=[2, 2, 2, None, None, None],
        assigned=[1, 1, 1, None, None, None],
        team=["a", "b", "c", "c", "c", "a"],
    )
    assert (made.team.tolist(), made.movers) == ([0, 1], 2)  # b and c, numbered anew


def test_people_without_a_team_are_teams_of_one():
    made = panel(**(ROWS | {"team": ["a", "a", None, None]}))
    assert (made.teams, made.teamless) == (2, 1)


def test_people_without_any_value_count_nowhere():
    unseen = {"person": [3, 3], "period": [0, 1], "outcome": [None, None], "first_treated": [1, 1]}
    made = panel(**{name: [*column, *unseen[name]] for name, column in ROWS.items()})
    assert (made.people, made.teams, made.unseen) == (2, 2, 1)
