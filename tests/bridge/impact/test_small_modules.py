"""Multiplicity, power, families, counts, suppression, returns, rollouts: each rule by a case of its own."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from impact_company import company
from scipy.stats import false_discovery_control

from bridge.impact import Contract, Family, Grade, Metric, Verdict, estimate, panel
from bridge.impact.event_study import sup_t
from bridge.impact.families import censored, prepare, winsorised
from bridge.impact.jackknife import interval
from bridge.impact.multiplicity import benjamini_hochberg, holm
from bridge.impact.power import detectable
from bridge.impact.roi import return_on_investment
from bridge.impact.rollouts import draw, plans
from bridge.impact.suppression import hidden

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@given(P_VALUES)
def test_holm_is_bonferroni_closed_over_all_subsets(values):
    found = holm({str(place): value for place, value in enumerate(values)})
    for place in range(len(values)):
        subsets = (
            rest for size in range(len(values)) for rest in combinations(values[:place] + values[place + 1 :], size)
        )
        largest = max(min(1.0, (1 + len(rest)) * min((values[place], *rest))) for rest in subsets)
        assert found[str(place)] == pytest.approx(largest)


@given(P_VALUES)
def test_benjamini_hochberg_is_scipy_s(values):
    found = benjamini_hochberg({str(place): value for place, value in enumerate(values)})
    assert list(found.values()) == pytest.approx(false_discovery_control(values))


def test_a_metric_without_a_p_value_counts_in_the_family():
    assert holm({"a": 0.02, "b": None}) == {"a": 0.04, "b": None}


def test_detectable_effect_is_two_quantiles_of_the_error():
    assert detectable(1.0, 10**6) == pytest.approx(1.96 + 0.8416, abs=1e-3)
    assert detectable(1.0, 5) > 3.4
    assert detectable(None, 5) is None


def test_band_of_independent_bins_is_wider_and_of_equal_ones_is_not():
    random = np.random.default_rng(1)
    column = random.normal(size=(400, 1))
    assert sup_t(np.repeat(column, 6, axis=1), 0.95) == pytest.approx(1.96, abs=0.06)
    assert sup_t(random.normal(size=(400, 6)), 0.95) == pytest.approx(2.63, abs=0.1)  # 1 - 0.05 ** (1/6), both sides


def rows(outcome, exposure):
    size = len(outcome)
    return panel(
        person=np.arange(size), period=np.zeros(size), outcome=outcome, first_treated=[None] * size, exposure=exposure
    )


def test_ratio_is_that_of_the_sums_and_not_the_mean_of_ratios():
    made = prepare(rows([1.0, 30.0], [1.0, 99.0]), Metric("m", family=Family.RATIO))
    assert made.outcome.mean() == pytest.approx(0.31)


def test_rates_and_counts_are_by_exposure():
    assert prepare(rows([1.0, 2.0], [4.0, 8.0]), Metric("m", family=Family.RATE)).outcome.tolist() == [0.25, 0.25]
    assert prepare(rows([1.0, 2.0], [4.0, 4.0]), Metric("m", family=Family.COUNT)).outcome.tolist() == [0.25, 0.5]


def test_weeks_without_exposure_have_no_value():
    assert len(rows([1.0, 2.0], [0.0, 4.0]).outcome) == 1


def test_open_cases_are_as_long_as_the_horizon():
    hours = np.array([3.0, 500.0, 10.0])
    assert censored(hours, is_open=np.array([False, False, True]), horizon=72).tolist() == [3.0, 72.0, 72.0]
    assert winsorised(hours, 100.0).tolist() == [3.0, 100.0, 10.0]


def test_factor_of_counts_is_found_whatever_the_people_s_levels():
    random = np.random.default_rng(5)
    who, when = np.repeat(np.arange(200), 40), np.tile(np.arange(40), 200)
    first = np.where(np.arange(200) % 2 == 0, 20.0, np.inf)
    mean = random.gamma(2, 3, 200)[who] * np.exp(0.3 * np.sin(when / 5))
    outcome = random.poisson(mean * np.where(when >= first[who], 1.25, 1.0))
    contract = Contract(metrics=(Metric("calls", family=Family.COUNT),))
    made = panel(person=who, period=when, outcome=outcome, first_treated=first[who], team=who // 10)
    poisson = next(one for one in estimate(made, contract).opinions if one.name == "Poisson").interval
    assert poisson.se < 0.04
    assert poisson.low < np.log(1.25) < poisson.high
    doubled = panel(
        person=who, period=when, outcome=2 * outcome, exposure=2.0 + 0 * who, first_treated=first[who], team=who // 10
    )
    same = next(one for one in estimate(doubled, contract).opinions if one.name == "Poisson").interval
    assert same.estimate == pytest.approx(poisson.estimate, abs=1e-8)


def test_rare_rates_are_looked_at_by_their_factor_too():
    contract = Contract(metrics=(Metric("errors", family=Family.RATE),))
    made = company(1).panels["win"]
    rare = made.with_outcome(made.outcome / 10)
    assert [one.name for one in estimate(rare, contract).opinions][-1] == "Poisson"
    assert [one.name for one in estimate(made, contract).opinions][-1] == "trend-adjusted"


@given(st.lists(st.integers(0, 30), min_size=1, max_size=9), st.integers(2, 12))
def test_what_is_hidden_cannot_be_had_from_the_total(sizes, least):
    cut = hidden(sizes, least)
    gone = [size for size, away in zip(sizes, cut, strict=True) if away]
    assert all(size >= least for size, away in zip(sizes, cut, strict=True) if not away and size)
    if gone and not all(away or not size for size, away in zip(sizes, cut, strict=True)):
        assert len(gone) >= 2
        assert sum(gone) >= least


def graded(grade, effect, family=Family.LINEAR, direction="higher"):
    base = estimate(rows([1.0, 2.0], None), Contract())
    metric = Metric("m", direction, family=family)
    return replace(base, metric=metric, att=effect, verdict=Verdict(grade, (), ()))


def test_return_is_an_interval_and_only_of_a_graded_effect():
    effect = interval(2.0, 0.5, 1_000_000)
    found = return_on_investment(graded(Grade.STRONG, effect), cost=1000, volume=100, unit_value=10)
    assert (found.low, found.high) == pytest.approx((0.02, 1.98), abs=0.001)
    for grade in (Grade.NOT_ENOUGH, Grade.NO_EFFECT):
        assert return_on_investment(graded(grade, effect), cost=1000, volume=100, unit_value=10) is None
    saved = graded(Grade.STRONG, interval(-0.1, 0.01, 100), Family.LOG, "lower")
    assert return_on_investment(saved, cost=100, volume=1000, unit_value=2).low > 0.3
    with pytest.raises(ValueError, match="cost is 0"):
        return_on_investment(graded(Grade.STRONG, effect), cost=0, volume=1, unit_value=1)


STRATA = {f"person {one}": f"team {one % 5}" for one in range(43)}


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_draw_is_even_within_strata_and_can_be_drawn_again(seed, waves):
    drawn = draw(STRATA, waves=waves, seed=seed)
    for stratum in set(STRATA.values()):
        sizes = np.bincount([drawn.wave[one] for one, own in STRATA.items() if own == stratum], minlength=waves + 1)[1:]
        assert sizes.max() - sizes.min() <= 1
    backwards = dict(reversed(STRATA.items()))
    assert draw(backwards, waves=waves, seed=seed) == drawn
    assert draw(STRATA, waves=waves, seed=seed + 1).digest != drawn.digest


def test_every_wave_is_as_likely_for_everybody():
    counts = np.zeros(4)
    for seed in range(400):
        counts[draw(STRATA, waves=3, seed=seed).wave["person 7"]] += 1
    assert counts[1:].min() > 95


def test_one_wave_shows_nothing_and_more_teams_show_more():
    history = company(1, effect=0.0).panels["csat"]
    found = plans(history, Contract(), waves=(1, 3), teams=(8, 32))
    assert [plan.detectable is None for plan in found] == [True, False, True, False]
    assert found[3].detectable < found[1].detectable
