"""The made-up company is the one of reference/impact.md, section 6."""

import dataclasses

import numpy as np
import pytest

from bridge.simulation.company import FLOOR, LEAD_WEEKS, METRICS, WAVES, Nomination, Plan, draw, path_of_effect


def test_equal_plans_give_equal_companies_and_other_seeds_others():
    first, again, other = draw(Plan(7)), draw(Plan(7)), draw(Plan(8))
    for metric in METRICS:
        assert np.array_equal(first.weekly(metric)[0], again.weekly(metric)[0])
    assert not np.array_equal(first.people.assigned, other.people.assigned)


def test_the_planted_effects_are_those_of_the_specification():
    companies = [draw(Plan(seed)) for seed in range(30)]
    means = {metric: np.mean([company.true_effect(metric) for company in companies]) for metric in METRICS}
    assert means["won"] == pytest.approx(0.055, abs=0.003)
    assert np.exp(means["log_minutes"]) - 1 == pytest.approx(-0.083, abs=0.004)
    assert means["rating"] == pytest.approx(0.20, abs=0.01)
    assert means["follow_ups"] == pytest.approx(0.41, abs=0.03)
    assert np.mean([(company.people.trained > 0).sum() for company in companies]) == pytest.approx(175, abs=10)


def test_nothing_is_due_to_training_before_it_nor_without_it():
    company = draw(Plan(3))
    trained = company.people.trained[company.person]
    untouched = (trained == 0) | (company.week < trained)
    assert untouched.any()
    for metric in METRICS:
        assert not company.truth[metric][untouched].any()
        assert company.truth[metric][~untouched].any()
    none = draw(Plan(3, effect=0))
    assert not any(none.truth[metric].any() for metric in METRICS)


def test_what_is_seen_differs_from_what_would_have_been_by_the_truth():
    """The same seed with and without effect gives the same people and, in the mean, differs by the planted effect."""
    differences, truths = [], []
    for seed in range(40):
        with_effect, without = draw(Plan(seed)), draw(Plan(seed, effect=0))
        assert np.array_equal(with_effect.people.trained, without.people.trained)
        treated = with_effect.carried > 0
        total, count = with_effect.weekly("log_minutes")
        total_0, count_0 = without.weekly("log_minutes")
        differences.append((total / count - total_0 / count_0)[treated].mean())
        truths.append(with_effect.truth["log_minutes"][treated].mean())
    assert np.mean(differences) == pytest.approx(np.mean(truths), rel=0.02)


def test_the_effect_decays_to_its_floor_and_comes_back_with_each_reinforcement():
    alone = path_of_effect(40, (False, False, False))
    assert alone[0] == 1
    assert alone[6] == pytest.approx(FLOOR + (1 - FLOOR) / 2)
    assert alone[-1] == pytest.approx(FLOOR, abs=0.02)
    helped = path_of_effect(40, (True, False, True))
    assert helped[2] == helped[13] == 1
    assert (helped >= alone).all()
    assert helped[19] > alone[6], "the third half-life is longer than the first"


def test_managers_send_one_or_two_of_each_team_and_role_in_a_wave_two_weeks_ahead():
    company = draw(Plan(5))
    people = company.people
    assert set(people.assigned) <= {0, *(week + LEAD_WEEKS for week in WAVES)}
    assert ((people.trained == people.assigned) | (people.trained == 0)).all()
    came = (people.trained > 0).sum() / (people.assigned > 0).sum()
    assert came == pytest.approx(0.85, abs=0.08)
    for team in range(40):
        named = people.assigned[people.team == team]
        assert all((named == week).sum() <= 2 for week in set(named) - {0})


def test_weak_people_are_sent_and_their_weak_spell_would_have_ended_by_itself():
    """The trap that makes before-and-after wrong: without any effect, the sent get better after they were named."""
    rises = []
    for seed in range(30):
        company = draw(Plan(seed, effect=0))
        total, count = company.weekly("log_minutes")
        value = total / count
        trained = company.people.trained[company.person]
        since = company.week - trained
        before = value[(trained > 0) & (since < 0) & (since >= -6)].mean()
        after = value[(trained > 0) & (since >= 0) & (since < 8)].mean()
        rises.append(before - after)
    assert np.mean(rises) > 0.01


@pytest.mark.parametrize("nomination", Nomination)
def test_who_is_sent_follows_the_nomination(nomination):
    gaps, rises = [], []
    for seed in range(15):
        company = draw(Plan(seed, effect=0, nomination=nomination, drift=0.03))
        total, count = company.weekly("log_minutes")
        skill = -total / count
        sent = company.people.assigned[company.person] > 0
        early, later = company.week <= 10, (company.week > 10) & (company.week <= 20)
        gaps.append(skill[sent & later].mean() - skill[~sent & later].mean())
        rises.append(
            (skill[sent & later].mean() - skill[sent & early].mean())
            - (skill[~sent & later].mean() - skill[~sent & early].mean())
        )
    if nomination is Nomination.WEAK:
        assert np.mean(gaps) < -0.04
    elif nomination is Nomination.IMPROVING:
        assert np.mean(rises) > 0.02
    else:
        assert abs(np.mean(gaps)) < 0.04
        assert abs(np.mean(rises)) < 0.02


def test_a_plan_is_whole():
    """Every knob changes what is drawn, so none can be forgotten."""
    usual = draw(Plan(1))
    for change in ({"teams": 12}, {"size": 8}, {"weeks": 60}, {"effect": 0.5}, {"ability": 0.7}, {"shock": 1.2}):
        other = draw(dataclasses.replace(Plan(1), **change))
        same = usual.ticket_log_minutes.shape == other.ticket_log_minutes.shape
        assert not same or not np.array_equal(usual.ticket_log_minutes, other.ticket_log_minutes)
