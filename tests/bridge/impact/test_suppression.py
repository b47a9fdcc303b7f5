"""What few people can be known by is hidden, and what that could be worked out from."""

import numpy as np

from bridge.impact import Contract, Metric, assess, panel


def late_starters(few):
    """Give a panel of 120 people: all trained have 6 weeks since training, and only `few` of them have 10."""
    random = np.random.default_rng(31)
    people, weeks = 120, 30
    who, when = np.repeat(np.arange(people), weeks), np.tile(np.arange(weeks), people)
    first = np.where(np.arange(people) < 60, np.where(np.arange(people) < few, 20.0, 24.0), np.inf)
    outcome = random.normal(size=people)[who] + random.normal(size=len(who)) + 1.0 * (when >= first[who])
    return panel(person=who, period=when, outcome=outcome, first_treated=first[who], team=(who // 6).astype(str))


def result(few, least):
    contract = Contract(metrics=(Metric("calls"),), effect_cell=least)
    return assess({"calls": late_starters(few)}, contract, published=True).results["calls"]


def test_with_a_bin_of_few_people_all_goes_that_tells_of_parts_of_the_effect():
    found = result(few=5, least=10)

    assert any(one.people is None for one in found.event_study.bins if one.start >= 0)
    assert found.att.known
    assert not found.att_interim.known
    assert not found.itt_interim.known
    assert found.durability is None
    assert found.published["imputation"]["event"].keys() == {"4"}
    assert [one.start for one in found.event_study.bins if one.start >= 0 and one.people] == [4]


def test_with_enough_people_all_is_told():
    found = result(few=20, least=10)

    assert all(one.people for one in found.event_study.bins if 0 <= one.start < 11)
    assert found.att_interim.known
    assert found.durability is not None
    assert found.published["imputation"]["event"]
