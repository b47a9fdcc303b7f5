"""Sentences: every figure in them is read back and held against the numbers that it stands for."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.impact import Code, Contract, Direction, Family, Grade, Metric, Reason
from bridge.impact.families import in_percent, target_of
from bridge.impact.jackknife import UNKNOWN, interval
from bridge.impact.wording import Said, amount, change, difference, sentences

NUMBER = r"([+-]?\d+(?:\.\d+)?)"
CHANGE = re.compile(rf"(rose|fell|changed) by {NUMBER}(?: [a-z% ]+)? \(95 % interval {NUMBER} to {NUMBER}\)")
FAMILIES = st.sampled_from([Family.LINEAR, Family.RATE, Family.LOG, Family.COUNT])
DIRECTIONS = st.sampled_from(list(Direction))


def said(metric, grade, effect, **more):
    fields = {
        "contract": Contract(metrics=(metric,)),
        "reasons": (),
        "itt": UNKNOWN,
        "completion_rate": None,
        "target": target_of(metric),
        "detectable": None,
        "dip_share": None,
        "people": 40,
        "teams": 8,
        "has_teams": True,
        "horizon": 12,
    }
    return Said(metric=metric, grade=grade, effect=effect, **(fields | more))


def read_back(text, metric, effect):
    verb, middle, low, high = CHANGE.search(text).groups()
    sign = -1 if verb == "fell" else 1
    ends = sorted((sign * float(low), sign * float(high)))
    # Half of the last digit that is printed.
    step = 0.5000001 * 10 ** -(len(middle.split(".")[1]) if "." in middle else 0)
    assert sign * float(middle) == pytest.approx(in_percent(metric.family, effect.estimate), abs=step)
    assert ends == pytest.approx([in_percent(metric.family, end) for end in (effect.low, effect.high)], abs=step)
    return verb


@settings(deadline=None)
@given(family=FAMILIES, estimate=st.floats(-0.6, 0.6), se=st.floats(0.0001, 0.3), df=st.integers(3, 60))
def test_a_change_says_what_its_numbers_are(family, estimate, se, df):
    metric = Metric("score", family=family)
    effect = interval(estimate, se, df)
    verb = read_back(change(metric, effect), metric, effect)
    assert verb == ("rose" if effect.low > 0 else "fell" if effect.high < 0 else "changed")


@settings(deadline=None)
@given(
    direction=DIRECTIONS,
    family=FAMILIES,
    grade=st.sampled_from([Grade.STRONG, Grade.MODERATE, Grade.WORSE]),
    size=st.floats(0.05, 0.5),
    se=st.floats(0.001, 0.02),
    target=st.one_of(st.none(), st.floats(0.01, 0.6)),
)
def test_a_claim_says_its_numbers_and_nothing_that_they_do_not(direction, family, grade, size, se, target):
    metric = Metric("score", direction, target, family)
    sign = direction.sign * (-1 if grade is Grade.WORSE else 1)
    effect = interval(sign * size, se, 20)
    lines = sentences(said(metric, grade, effect))
    text = " ".join(lines)
    assert read_back(lines[0], metric, effect) == ("rose" if sign > 0 else "fell")
    assert ("worse" in lines[0]) == (grade is Grade.WORSE)
    assert ("This assumes" in text) == (grade in (Grade.MODERATE, Grade.WORSE))
    ends = sorted((abs(effect.low), abs(effect.high)))
    if target is not None and grade is not Grade.WORSE:
        scaled = target_of(metric)
        assert ("at least your target" in text) == (ends[0] >= scaled)
        assert ("less than your target" in text) == (ends[1] < scaled)
    assert not re.search(r"prove|caused|ROI|p =", text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (1.8, "was 1.80 points higher (95 % interval 1.16 to 2.44) among A than among B"),
        (-1.8, "was 1.80 points lower (95 % interval 1.16 to 2.44) among A than among B"),
        (0.1, "differed by +0.10 points (95 % interval -0.54 to +0.74) between A and B"),
    ],
)
def test_groups_that_were_looked_at_once_neither_rose_nor_fell(size, text):
    metric = Metric("score", unit="points")
    assert difference(metric, interval(size, 0.3, 15), ("A", "B")) == text


def test_no_effect_names_the_target():
    metric = Metric("win rate", target=0.03, family=Family.RATE)
    lines = sentences(said(metric, Grade.NO_EFFECT, interval(0.001, 0.005, 30)))
    assert lines[0].startswith(
        "Any gain is smaller than your target of 3.0 percentage points: win rate changed by +0.1"
    )


def test_targets_are_said_as_they_were_set():
    assert (
        amount(Metric("time", Direction.LOWER, 0.08, Family.LOG), target_of(Metric("t", "lower", 0.08, "log")))
        == "8.0 %"
    )
    assert amount(Metric("time", Direction.HIGHER, 0.08, Family.LOG), math.log(1.08)) == "8.0 %"
    assert amount(Metric("win", target=0.025, family=Family.RATE), 0.025) == "2.5 percentage points"


@pytest.mark.parametrize("code", list(Code))
def test_a_refusal_says_why_and_claims_nothing(code):
    metric = Metric("score", target=0.4)
    reasons = (Reason(code, "the reason is this"),)
    hidden = code is Code.SMALL_CELL
    effect = interval(1.0, 0.3, 12)
    lines = sentences(said(metric, Grade.NOT_ENOUGH, effect, reasons=reasons, detectable=0.9, hidden=hidden))
    assert lines[0] == "We cannot tell yet whether score changed because of the training."
    assert lines[1] == "The reason is this."
    misleading = code in {
        Code.NO_ESTIMATE,
        Code.NO_COMPARISON,
        Code.DESIGN,
        Code.DISAGREE,
        Code.UNEQUAL_LOSS,
        Code.CHANGED_METRIC,
        Code.SMALL_CELL,
    }
    assert (len(lines) == 2) == misleading
    if not misleading:
        read_back(lines[2], metric, effect)
        assert lines[2].endswith("That is no finding.")
        assert lines[3] == "With 40 people trained in 8 teams only a change above 0.90 would be likely to show."


def test_next_date_comes_last():
    metric = Metric("score")
    lines = sentences(said(metric, Grade.STRONG, interval(1.0, 0.1, 12), next_check="12 March"))
    assert lines[-1] == "Next check: 12 March."


@pytest.mark.parametrize(
    ("title", "within"), [("Win rate", "win rate"), ("CSAT", "CSAT"), ("NPS of calls", "NPS of calls"), ("", "Won")]
)
def test_a_title_has_no_capital_within_a_sentence_and_an_abbreviation_keeps_its_own(title, within):
    assert Metric("Won", title=title).within == within
