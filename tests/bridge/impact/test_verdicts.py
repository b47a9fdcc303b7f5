"""Grades and refusals: every rule fires on a case made for it, and not on its neighbour."""

from dataclasses import replace

import numpy as np
import pytest
from impact_company import company

from bridge.impact import (
    Circumstances,
    Code,
    Contract,
    ContractError,
    Direction,
    Family,
    Grade,
    Metric,
    assess,
    estimate,
    panel,
)
from bridge.impact.jackknife import interval
from bridge.impact.opinions import SecondOpinion, agreement
from bridge.impact.verdict import Evidence, grade

PEOPLE, WEEKS, TEAMS = 160, 40, 16
CONTRACT = Contract(metrics=(Metric("score", target=0.4),))


def columns(*, effect=1.0, seed=1, people=PEOPLE, teams=TEAMS, trained=0.5, weeks=(20, 24), noise=1.0):
    """A clean case: half are trained in two waves, in teams of ten, with an effect that is easily seen."""
    random = np.random.default_rng(seed)
    first = np.where(np.arange(people) % 10 < 10 * trained, random.choice(weeks, people), np.inf).astype(float)
    who, when = np.repeat(np.arange(people), WEEKS), np.tile(np.arange(WEEKS), people)
    outcome = 50 + random.normal(0, 2, people)[who] + np.sin(when) + random.normal(0, noise, len(who))
    outcome += effect * (when >= first[who])
    return {
        "person": who,
        "period": when,
        "outcome": outcome,
        "first_treated": first[who],
        "team": who // 10 % teams,
        "role": who // 10 % 2,
    }


def codes(made, contract=CONTRACT, circumstances=None):
    return {reason.code for reason in estimate(panel(**made), contract, circumstances).verdict.reasons}


def test_clean_case_is_strong():
    result = estimate(panel(**columns()), CONTRACT)
    assert (result.verdict.grade, result.verdict.reasons) == (Grade.STRONG, ())
    assert result.att.low < 1.0 < result.att.high


def test_other_sign_is_worse():
    assert estimate(panel(**columns(effect=-1.0)), CONTRACT).verdict.grade is Grade.WORSE
    lower = Contract(metrics=(Metric("score", Direction.LOWER, 0.4),))
    assert estimate(panel(**columns(effect=-1.0)), lower).verdict.grade is Grade.STRONG


def test_nothing_there_is_no_effect_seen_only_with_a_target_outside_the_interval():
    made = panel(**columns(effect=0.0))
    assert estimate(made, CONTRACT).verdict.grade is Grade.NO_EFFECT
    result = estimate(made, Contract(metrics=(Metric("score"),)))
    assert result.verdict.grade is Grade.NOT_ENOUGH
    assert [reason.code for reason in result.verdict.reasons] == [Code.INCONCLUSIVE]


def trained_in(weeks, **more):
    return columns(weeks=weeks, **more)


def drifting(slope):
    made = columns()
    return made | {"outcome": made["outcome"] + slope * made["period"] * np.isfinite(made["first_treated"])}


def rising(by):
    made = columns()
    since = made["period"] - made["first_treated"]
    return made | {"outcome": made["outcome"] + by * ((since >= -6) & (since < 0))}


def losing(share, *, of_trained=True):
    made = columns()
    gone = np.random.default_rng(3).random(len(made["person"])) < share
    gone &= np.isfinite(made["first_treated"]) == of_trained
    return made | {"outcome": np.where(gone, np.nan, made["outcome"])}


def leaving(count):
    made = columns()
    leavers = made["person"] % 10 < count  # of five trained in ten
    return made | {"outcome": np.where(leavers & (made["period"] > 26), np.nan, made["outcome"])}


def unsupported(untrained_in_role):
    """Everybody of one role is trained but a few; the other role is as ever."""
    made = columns()
    people = np.arange(PEOPLE)
    role = people // 10 % 2
    first = np.where(people % 10 < 5, 20.0, np.inf)
    rest = np.flatnonzero(role == 1)[untrained_in_role:]
    first[rest] = 20.0
    first[np.flatnonzero(role == 1)[:untrained_in_role]] = np.inf
    return made | {"first_treated": first[made["person"]]}


CASES = {
    "R0 nobody trained": (Code.NO_ESTIMATE, columns(trained=0), columns()),
    "R0 metric never varies": (
        Code.NO_ESTIMATE,
        columns() | {"outcome": np.full(PEOPLE * WEEKS, 3.0)},
        columns(noise=0.01),
    ),
    "R1 19 trained": (
        Code.FEW_PEOPLE,
        columns(people=190, teams=19, trained=0.1),
        columns(people=200, teams=20, trained=0.1),
    ),
    "R1 19 to compare with": (
        Code.FEW_PEOPLE,
        columns(people=190, teams=19, trained=0.9, weeks=(20,)),
        columns(people=200, teams=20, trained=0.9, weeks=(20,)),
    ),
    "R1 too late for 4 weeks after": (Code.FEW_PEOPLE, trained_in((37,)), trained_in((36,))),
    "R1 too early for 8 clean weeks": (Code.FEW_PEOPLE, trained_in((13,)), trained_in((14,))),
    "R2 5 teams": (Code.FEW_TEAMS, columns(people=50, teams=5), columns(people=60, teams=6)),
    "R3 all at once": (Code.NO_COMPARISON, columns(trained=1, weeks=(20,)), columns(trained=1, weeks=(20, 30))),
    "R4 nobody like them": (Code.NO_SUPPORT, unsupported(4), unsupported(5)),
    "R5 another trend": (Code.DESIGN, drifting(0.05), drifting(0.0)),
    "R5 the other trend": (Code.DESIGN, drifting(-0.05), drifting(0.0)),
    "R5 people on the rise": (Code.DESIGN, rising(1.0), rising(-1.0)),
    "R8 lost weeks": (Code.UNEQUAL_LOSS, losing(0.12), losing(0.03)),
    "R8 leavers": (Code.UNEQUAL_LOSS, leaving(1), leaving(0)),
    "R11 few people": (
        Code.SMALL_CELL,
        columns(people=90, teams=9, trained=0.1),
        columns(people=100, teams=10, trained=0.1),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rule_fires_on_its_case_and_not_on_its_neighbour(case):
    code, made, neighbour = CASES[case]
    assert code in codes(made)
    assert code not in codes(neighbour)


def test_small_target_is_refused_with_what_would_be_seen():
    made = panel(**columns())
    detectable = estimate(made, CONTRACT).detectable
    below, above = (Contract(metrics=(Metric("score", target=detectable * by),)) for by in (0.99, 1.01))
    assert estimate(made, below).verdict.has(Code.TOO_SMALL)
    assert not estimate(made, above).verdict.has(Code.TOO_SMALL)


@pytest.mark.parametrize(
    ("code", "case", "neighbour"),
    [
        (Code.UNEQUAL_LOSS, Circumstances(identity_match=0.89), Circumstances(identity_match=0.9)),
        (Code.CHANGED_METRIC, Circumstances(changed="the ticket form of team 3"), Circumstances()),
        (Code.OVERLAP, Circumstances(overlap=0.21), Circumstances(overlap=0.2)),
    ],
)
def test_circumstances_refuse(code, case, neighbour):
    assert code in codes(columns(), circumstances=case)
    assert codes(columns(), circumstances=neighbour) == set()


def test_second_opinion_far_away_contradicts_and_one_nearby_does_not():
    base = interval(1.0, 0.2, 20)
    assert agreement(base, interval(1.5, 0.3, 20)) == (True, False)
    assert agreement(base, interval(1.7, 0.3, 20)) == (False, True)
    assert agreement(interval(1.0, 0.2, 5), interval(1.7, 0.3, 5)) == (True, False)
    assert agreement(interval(0.1, 0.2, 20), interval(-0.1, 0.3, 20)) == (False, False)


def test_disagreement_is_refused():
    """A jump of all who are compared, in the base period alone: one base period carries it all, many do not."""
    made = columns(weeks=(20,), noise=0.3)
    odd = (made["period"] == 13) & np.isfinite(made["first_treated"])
    assert Code.DISAGREE in codes(made | {"outcome": made["outcome"] + 3.0 * odd})
    assert Code.DISAGREE not in codes(made)


def test_what_cannot_be_tested_is_refused_unless_chance_decided():
    """Without a window nobody can be on the rise in it, and where all are trained there is no trend to compare with."""
    made = columns(trained=1, weeks=(20, 30))
    contract = replace(CONTRACT, exclude_before=0)
    assert Code.DESIGN in codes(made, contract)
    assert Code.DESIGN not in codes(made, replace(contract, randomised=True))
    assert Code.DESIGN not in codes(made)


def survey(*, apart, periods=3, covariate=False, randomised=False, seed=1):
    """People with two periods before (or `periods` - 1), all of whom are trained in the last, or never."""
    random = np.random.default_rng(seed)
    who, when = np.repeat(np.arange(300), periods), np.tile(np.arange(1, periods + 1), 300)
    trained, level = np.arange(300) < 100, random.normal(size=300)
    hidden = apart * trained
    outcome = level[who] + 0.3 * random.normal(size=len(who)) + 1.0 * (trained[who] & (when == periods))
    more = {"covariates": {"age": (hidden + random.normal(size=300))[who] + 0.01 * when}} if covariate else {}
    made = panel(
        person=who,
        period=when,
        outcome=outcome + (0 if covariate else hidden[who]),
        first_treated=np.where(trained, periods, np.inf)[who],
        **more,
    )
    few = {"exclude_before": 0, "min_pre": 1, "min_post": 1, "horizon": None, "interim": 1, "bin": 1}
    return estimate(made, Contract(metrics=(Metric("score"),), randomised=randomised, **few))


def test_two_periods_before_are_not_enough_to_be_strong():
    assert survey(apart=0).verdict.grade is Grade.MODERATE
    assert survey(apart=0, periods=4).verdict.grade is Grade.STRONG
    assert survey(apart=0, randomised=True).verdict.grade is Grade.STRONG


@pytest.mark.parametrize(
    ("shift", "horizon", "words"),
    [
        (0, None, "in the week of training"),
        (0, 12, "in the week of training"),
        (2, None, "in the one week with data since training"),
    ],
)
def test_sentence_names_the_periods_that_there_are(shift, horizon, words):
    """Asked in 1, 2, 3, 4 and, trained in 5, again in 5 or two periods later."""
    random = np.random.default_rng(1)
    who, when = np.repeat(np.arange(200), 5), np.tile([1, 2, 3, 4, 5 + shift], 200)
    trained = np.arange(200) % 2 == 0
    outcome = random.normal(size=1000) + 3.0 * (trained[who] & (when >= 5))
    made = panel(person=who, period=when, outcome=outcome, first_treated=np.where(trained, 5, np.inf)[who])
    few = {"exclude_before": 0, "min_pre": 1, "min_post": 1, "interim": 1, "bin": 1}
    sentence = estimate(made, Contract(horizon=horizon, **few)).verdict.sentences[0]
    assert f") {words}, compared with" in sentence


@pytest.mark.parametrize(("covariate", "named"), [(False, "score"), (True, "age")])
def test_groups_far_apart_need_a_trend_or_chance(covariate, named):
    """As earnings of LaLonde's survey people: two years before cannot show that both would have moved alike."""
    verdict = survey(apart=2.0, covariate=covariate).verdict
    assert verdict.has(Code.DESIGN)
    assert f"not alike before: {named} differs by" in " ".join(verdict.sentences)
    assert not survey(apart=2.0, covariate=covariate, periods=4).verdict.has(Code.DESIGN)
    assert not survey(apart=2.0, covariate=covariate, randomised=True).verdict.has(Code.DESIGN)
    assert not survey(apart=0.1, covariate=covariate).verdict.has(Code.DESIGN)


def test_grade_counts_all_metrics_that_were_looked_at():
    effect = interval(1.0, 0.4, 30)
    evidence = Evidence(effect, effect.p, adjusted=effect, tests_passed=True, opinions=(), target=None)
    assert grade(CONTRACT.primary_metric, CONTRACT, evidence) is Grade.MODERATE
    corrected = replace(evidence, p_holm=4 * effect.p)
    assert grade(CONTRACT.primary_metric, CONTRACT, corrected) is Grade.NOT_ENOUGH


@pytest.mark.parametrize(
    ("agrees", "adjusted", "passed", "expected"),
    [
        (True, 0.9, True, Grade.STRONG),
        (False, 0.9, True, Grade.MODERATE),
        (None, 0.9, True, Grade.MODERATE),
        (True, 0.5, True, Grade.MODERATE),
        (True, 0.9, False, Grade.MODERATE),
    ],
)
def test_strong_needs_the_trend_the_second_opinion_and_the_tests(agrees, adjusted, passed, expected):
    effect = interval(1.0, 0.3, 30)
    opinion = SecondOpinion("another", effect, agrees)
    evidence = Evidence(effect, 0.001, interval(adjusted, 0.4, 30), passed, (opinion,), None)
    assert grade(CONTRACT.primary_metric, CONTRACT, evidence) is expected


def test_chance_that_decided_the_order_makes_the_design_test_needless():
    randomised = Contract(metrics=(Metric("score", target=0.4),), randomised=True)
    assert Code.DESIGN not in codes(rising(1.0), randomised)


def test_one_metric_on_the_rise_refuses_all_and_holm_counts_all():
    good, bad = columns(), rising(1.0)
    contract = Contract(metrics=(Metric("score", target=0.4), Metric("other"), Metric("third")))
    quiet = columns(effect=0.0, seed=9)
    found = assess({"score": panel(**good), "other": panel(**bad), "third": panel(**quiet)}, contract)
    assert all(result.verdict.has(Code.DESIGN) for result in found.results.values())
    fine = assess({"score": panel(**good), "other": panel(**columns(seed=2)), "third": panel(**quiet)}, contract)
    assert fine.verdict.grade is Grade.STRONG
    assert fine.results["third"].p_holm == pytest.approx(fine.results["third"].att.p)
    assert fine.results["score"].tests.level == pytest.approx(0.05 / 3)


def test_few_people_s_figures_are_nowhere():
    result = estimate(panel(**columns(people=90, teams=9, trained=0.1)), CONTRACT)
    assert result.verdict.hides_figures
    content = result.to_json()
    assert content["att"]["estimate"] is None
    assert (content["event_study"]["bins"], content["published"], content["opinions"]) == ([], {}, [])
    assert "estimate so far" not in " ".join(result.verdict.sentences)


def test_a_dip_is_told_and_not_counted():
    result = estimate(panel(**rising(-0.4)), CONTRACT)
    assert result.verdict.grade is Grade.STRONG
    assert result.tests.dip.estimate == pytest.approx(-0.4, abs=0.1)
    assert result.att.estimate == pytest.approx(1.0, abs=0.15)
    assert "weak spell; about 2" in " ".join(result.verdict.sentences)


def test_sent_people_are_counted_whether_they_came_or_not():
    made = columns()
    stayed_away = np.isfinite(made["first_treated"]) & (made["person"] % 5 == 0)
    absent = made | {
        "assigned": made["first_treated"],
        "first_treated": np.where(stayed_away, np.inf, made["first_treated"]),
        "outcome": made["outcome"] - 1.0 * (stayed_away & (made["period"] >= made["first_treated"])),
    }
    result = estimate(panel(**absent), CONTRACT)
    assert result.completion_rate == pytest.approx(0.8)
    assert result.att.estimate == pytest.approx(1.0, abs=0.15)
    assert result.itt.estimate == pytest.approx(0.8, abs=0.15)


def test_contract_and_panels_must_fit():
    made = panel(**columns())
    with pytest.raises(ContractError, match="no panel of score"):
        assess({}, CONTRACT)
    with pytest.raises(ContractError, match="names no metric other"):
        assess({"score": made, "other": made}, CONTRACT)
    with pytest.raises(ContractError, match="interim is 4"):
        Contract(horizon=3)
    with pytest.raises(ContractError, match="target of m is -1"):
        Contract(metrics=(Metric("m", target=-1),))
    with pytest.raises(ContractError, match="upwards"):
        Metric("m", direction="upwards")


FOUR = Contract(
    metrics=(
        Metric("win", family=Family.RATE),
        Metric("time", Direction.LOWER, family=Family.LOG),
        Metric("csat", family=Family.RATING),
        Metric("count", family=Family.COUNT),
    )
)


@pytest.mark.parametrize("seed", [1, 2])
def test_company_that_sends_the_weak_is_answered_rightly(seed):
    made = company(seed)
    found = assess(made.panels, FOUR)
    for name, result in found.results.items():
        assert result.verdict.grade in {Grade.STRONG, Grade.MODERATE}, name
        assert abs(result.att.estimate - made.truth[name]) < 4 * result.att.se


def test_company_without_an_effect_is_not_said_to_have_one():
    grades = {r.verdict.grade for r in assess(company(3, effect=0.0).panels, FOUR).results.values()}
    assert grades <= {Grade.NOT_ENOUGH, Grade.NO_EFFECT}


def test_company_that_sends_improvers_is_refused():
    found = assess(company(4, effect=0.0, drift=0.03, order="improving").panels, FOUR)
    assert all(result.verdict.has(Code.DESIGN) for result in found.results.values())


def test_the_trend_is_what_the_effect_is_the_difference_of():
    made = columns(weeks=(20,))
    result = estimate(panel(**made), CONTRACT)
    after = [point for point in result.trend.points if point.period >= 20]
    gap = [point.observed - point.predicted for point in after]
    assert np.average(gap, weights=[point.people for point in after]) == pytest.approx(result.att_all.estimate)
    window = [point.observed - point.predicted for point in result.trend.points if point.period < 14]
    assert np.mean(window) == pytest.approx(0, abs=1e-9)  # their own level is taken from there
    assert [(wave.period, wave.people) for wave in result.trend.waves] == [(20, 80)]
    assert after[0].observed == pytest.approx(
        made["outcome"][(made["period"] == 20) & np.isfinite(made["first_treated"])].mean()
    )


def test_few_people_of_a_trend_are_hidden():
    made = columns(people=200, teams=20, trained=0.5)
    first = made["first_treated"].copy()
    first[made["person"] == 0] = 36  # alone in weeks that others are not in
    gone = np.isfinite(first) & (made["person"] != 0) & (made["period"] > 35)
    result = estimate(
        panel(**made | {"first_treated": first, "outcome": np.where(gone, np.nan, made["outcome"])}), CONTRACT
    )
    assert all(point.observed is None for point in result.trend.points if point.period > 35)
    assert [wave.people for wave in result.trend.waves if wave.period == 36] == [None]
    assert sum(wave.people is None for wave in result.trend.waves) == 2  # else the total would tell
