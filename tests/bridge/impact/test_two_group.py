"""Experiments and two periods: published answers, verdicts, and data that cannot be read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bridge.impact import Code, Contract, Grade, Metric, PanelError, experiments, two_group
from bridge.impact.fixed_effects import Groups as WithinGroups
from bridge.impact.least_squares import regress

DATA = Path(__file__).parent / "data"
COVARIATES = ["age", "educ", "black", "hisp", "married", "re74", "re75"]


def lalonde(name, covariates=()):
    frame = pd.read_csv(DATA / f"{name}.csv")
    return two_group.experiment(
        outcome=frame.re78.to_numpy(),
        treated=frame.train.to_numpy(),
        covariates={column: frame[column].to_numpy() for column in covariates},
    )


def grants(years):
    frame = pd.read_csv(DATA / "jtrain.csv")
    frame = frame[frame.year.isin(years)]
    return frame.assign(treated=frame.fcode.map(frame.groupby("fcode").grant.max()))


def test_training_experiment_is_as_published():
    figure = two_group.difference_in_means(lalonde("jtrain2")).figures["difference"]
    assert round(figure.estimate, 3) == 1.794
    assert (round(figure.se_pooled, 3), round(figure.se_hc1, 3), round(figure.se_hc2, 3)) == (0.633, 0.671, 0.671)


def test_training_experiment_is_believed():
    found = two_group.difference_in_means(lalonde("jtrain2", COVARIATES))
    assert experiments.judge(found, Contract(), experiments.EXPERIMENT).verdict.refused
    verdict = experiments.judge(found, Contract(randomised=True), experiments.EXPERIMENT).verdict
    assert verdict.grade is Grade.STRONG
    assert "chance decided who was trained" in " ".join(verdict.sentences)


def test_comparison_with_survey_people_is_refused_because_they_are_not_alike():
    found = two_group.difference_in_means(lalonde("jtrain3", COVARIATES))
    assert round(found.figures["difference"].estimate, 3) == -15.205
    result = experiments.judge(found, Contract(randomised=True), experiments.EXPERIMENT)
    assert result.verdict.refused
    assert result.verdict.has(Code.DESIGN)
    assert result.balance.index > 2


def test_grants_in_two_periods_are_as_published():
    frame = grants([1987, 1988])
    columns = {"person": frame.fcode, "period": frame.year, "outcome": frame.lscrap, "treated": frame.treated}
    found = two_group.two_periods(**{name: column.to_numpy() for name, column in columns.items()})
    changes = found.figures["changes"]
    assert (round(changes.estimate, 3), round(changes.se_pooled, 3)) == (-0.317, 0.164)
    assert (changes.treated, changes.comparison) == (19, 35)
    verdict = experiments.judge(found, Contract(), experiments.TWO_PERIODS).verdict
    assert verdict.has(Code.DESIGN)
    assert verdict.has(Code.FEW_PEOPLE)


def test_grants_by_fixed_effects_are_as_published():
    frame = grants([1987, 1988, 1989]).dropna(subset="lscrap")
    firm, year = pd.factorize(frame.fcode)[0], pd.factorize(frame.year)[0]
    given = frame[["grant", "grant_1"]].to_numpy(float)
    dummies = np.column_stack([given, np.eye(firm.max() + 1)[firm], np.eye(3)[year][:, 1:]])
    found = regress(frame.lscrap.to_numpy(), dummies)
    assert [round(float(value), 3) for value in found.coefficients[:2]] == [-0.252, -0.422]
    assert [round(float(value), 3) for value in found.pooled[:2]] == [0.151, 0.210]
    absorbed = WithinGroups(
        person=firm,
        cell=year,
        weight=np.ones(len(firm)),
        values=np.column_stack([frame.lscrap, given]),
        group=np.zeros(firm.max() + 1, np.int64),
        groups=1,
        cells=3,
    ).solve()
    assert absorbed.explain([1, 2])[0] == pytest.approx(found.coefficients[:2], abs=1e-12)
    firms = regress(frame.lscrap.to_numpy(), dummies, cluster=firm)
    assert firms.cluster[1] > 0.25  # by firm the second grant is no finding


def test_two_periods_of_everybody_and_of_those_in_both():
    random = np.random.default_rng(1)
    person = np.repeat(np.arange(200), 2)
    period, treated = np.tile([0, 1], 200), person < 80
    outcome = random.normal(size=400) + 2.0 * (treated & (period == 1))
    outcome[3] = np.nan
    found = two_group.two_periods(person=person, period=period, outcome=outcome, treated=treated)
    assert found.figures["changes"].treated + found.figures["changes"].comparison == 199
    means = {
        (flag, moment): np.nanmean(outcome[(treated == flag) & (period == moment)])
        for flag in (True, False)
        for moment in (0, 1)
    }
    by_hand = (means[True, 1] - means[True, 0]) - (means[False, 1] - means[False, 0])
    assert found.figures["all_rows"].estimate == pytest.approx(by_hand)


@pytest.mark.parametrize("randomised", [False, True])
def test_other_people_in_each_period_are_refused_and_their_means_are_there(randomised):
    """Houses sold before and after, as in repeated cross-sections: everybody has one row."""
    random = np.random.default_rng(5)
    period, treated = np.repeat([0, 1], 100), np.tile([0, 1], 100)
    outcome = random.normal(size=200) - 1.0 * period * treated
    age = {"age": random.normal(size=200)}
    found = two_group.two_periods(
        person=np.arange(200), period=period, outcome=outcome, treated=treated, covariates=age
    )
    result = experiments.judge(found, Contract(randomised=randomised), experiments.TWO_PERIODS)
    assert result.verdict.refused
    assert result.verdict.sentences[1].startswith("Nobody was seen in both periods")
    means = {(t, p): outcome[(treated == t) & (period == p)].mean() for t in (0, 1) for p in (0, 1)}
    by_hand = means[1, 1] - means[1, 0] - means[0, 1] + means[0, 0]
    assert result.to_json()["published"]["all_rows"]["estimate"] == pytest.approx(by_hand)


def test_few_people_of_repeated_cross_sections_stay_hidden():
    period, treated = np.repeat([0, 1], 30), np.arange(60) % 30 < 4
    columns = {"person": np.arange(60), "period": period, "treated": treated}
    found = two_group.two_periods(**columns, outcome=np.linspace(0, 1, 60) ** 2)
    result = experiments.judge(found, Contract(), experiments.TWO_PERIODS)
    assert result.verdict.has(Code.SMALL_CELL)
    assert result.published == {}


def test_without_covariates_hc2_is_welch():
    random = np.random.default_rng(2)
    one, other = random.normal(0, 3, 30), random.normal(0, 1, 90)
    made = two_group.experiment(outcome=np.append(one, other), treated=np.arange(120) < 30)
    figure = two_group.difference_in_means(made).figures["difference"]
    assert figure.se_hc2 == pytest.approx(np.sqrt(one.var(ddof=1) / 30 + other.var(ddof=1) / 90))


def test_teams_that_were_drawn_together_make_the_error_larger():
    random = np.random.default_rng(3)
    team = np.repeat(np.arange(24), 10)
    outcome = random.normal(size=24)[team] + 0.3 * random.normal(size=240)
    alone = two_group.difference_in_means(two_group.experiment(outcome=outcome, treated=team % 2))
    teams = two_group.difference_in_means(two_group.experiment(outcome=outcome, treated=team % 2, team=team))
    assert teams.effect.se > 2 * alone.effect.se
    assert teams.effect.df == 23


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"treated": np.ones(60)}, Code.NO_COMPARISON),
        ({"treated": np.zeros(60)}, Code.NO_ESTIMATE),
        ({"outcome": np.full(60, 4.0)}, Code.NO_ESTIMATE),
        ({"treated": np.arange(60) < 12}, Code.FEW_PEOPLE),
        ({"treated": np.arange(60) < 5}, Code.SMALL_CELL),
        ({"team": np.arange(60) // 6}, Code.FEW_TEAMS),
        ({"outcome": np.where(np.arange(60) < 12, np.nan, np.linspace(0, 1, 60))}, Code.UNEQUAL_LOSS),
        ({"covariates": {"age": np.where(np.arange(60) < 30, 50.0, 30.0) + np.arange(60) % 3}}, Code.DESIGN),
    ],
)
def test_rules_fire_on_their_case_and_not_on_its_neighbour(change, code):
    random = np.random.default_rng(4)
    base = {"outcome": random.normal(size=60), "treated": np.arange(60) < 30}

    def codes(columns):
        found = two_group.difference_in_means(two_group.experiment(**columns))
        contract = Contract(randomised=True)
        return {reason.code for reason in experiments.judge(found, contract, experiments.EXPERIMENT).verdict.reasons}

    assert code not in codes(base)
    assert code in codes(base | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"treated": ["1", "0", "maybe"]}, "column 'treated', row 3: 'maybe' is neither 0 nor 1"),
        ({"treated": ["1", None, "0"]}, "column 'treated', row 2: is empty"),
        ({"outcome": [1.0, float("inf"), 2.0]}, "column 'outcome', row 2: is infinite"),
        ({"outcome": [1.0, "x", 2.0]}, "column 'outcome', row 2: 'x' is no number"),
        ({"weight": [1.0, -1.0, 2.0]}, "column 'weight', row 2: a weight below 0"),
    ],
)
def test_what_cannot_be_read_is_told_by_column_and_row(change, message):
    with pytest.raises(PanelError) as error:
        two_group.experiment(**({"outcome": [1.0, 2.0, 3.0], "treated": [1, 0, 1]} | change))
    assert str(error.value) == message


def test_somebody_in_both_groups_is_told():
    with pytest.raises(PanelError, match=r"column 'treated', row 2: differs from row 1"):
        two_group.two_periods(person=[1, 1], period=[0, 1], outcome=[1.0, 2.0], treated=[0, 1])


def test_metric_names_the_sentence():
    found = two_group.difference_in_means(lalonde("jtrain2"))
    contract = Contract(metrics=(Metric("re78", title="earnings", unit="thousand dollars"),), randomised=True)
    sentence = experiments.judge(found, contract, experiments.EXPERIMENT).verdict.sentences[0]
    assert sentence.startswith("Earnings was 1.8 thousand dollars higher (95 % interval 0.5 to 3.1) among the trained")
