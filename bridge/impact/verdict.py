"""What may be said: grades and refusals (`impact.md`, section 3).

A refusal is an answer: the numbers are there all the same, and nothing may be claimed by them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import scipy.stats

from bridge.impact.attrition import Attrition
from bridge.impact.balance import MOST_INDEX, MOST_SINGLE, OUTCOME, Balance
from bridge.impact.contract import Contract, Metric
from bridge.impact.designs import Design
from bridge.impact.imputation import Counts
from bridge.impact.jackknife import Interval
from bridge.impact.opinions import SecondOpinion
from bridge.impact.result import Code, Grade, Reason
from bridge.impact.wording import amount, amounts, numbers, shares

MOST_UNSUPPORTED = 0.25
LEAST_IDENTITY_MATCH = 0.9
MOST_OVERLAP = 0.2


@dataclass(frozen=True)
class Circumstances:
    """What is known beside the panel; None where it is not known."""

    identity_match: float | None = None
    """Share of people in the data whose identities were matched."""
    changed: str = ""
    """What of the metric's definition or source changed inside the window, for one of the groups only."""
    overlap: float | None = None
    """Share of the trained who took part in another programme at that time."""
    overlap_with: str = ""
    data_hash: str = ""
    contract_hash: str = ""
    next_check: str = ""
    """When to look again, as it is to be printed."""


def counting_reasons(design: Design, counts: Counts) -> list[Reason]:
    """Give R0 to R4: is there enough, and somebody to compare with?"""
    contract, word = design.contract, design.contract.period_word
    reasons = []
    if not counts.trained:
        return [Reason(Code.NO_ESTIMATE, "nobody was trained in the time that the data cover")]
    if design.trained_at_once:
        text = (
            f"everybody was trained in the same {word}, so there is nobody to compare with; "
            "next time let groups start in waves, in an order left to chance"
        )
        # What else is missing follows from that.
        return [Reason(Code.NO_COMPARISON, text)]
    least = contract.min_people
    needs = (
        f"at least {_count(contract.min_pre, word)} before the nomination window and {contract.min_post} after "
        "training in which there are people to compare with"
    )
    if counts.trained_enough < least:
        who = people_have(counts.trained_enough, "trained", contract)
        reasons.append(Reason(Code.FEW_PEOPLE, f"{who} {needs}; {least} are needed"))
    if counts.comparison_enough < least:
        who = people_have(counts.comparison_enough, "comparison", contract)
        text = f"{who} as many {word}s before and after; {least} are needed"
        reasons.append(Reason(Code.FEW_PEOPLE, text))
    if counts.trained_teams < contract.min_teams:
        teams = f"{counts.trained_teams} team{'s' * (counts.trained_teams != 1)}"
        alone = "" if design.panel.has_teams else " (without teams each person counts as one)"
        text = f"trained people with enough data are in {teams}{alone}; {contract.min_teams} are needed"
        reasons.append(Reason(Code.FEW_TEAMS, text))
    candidates = counts.treated_rows - counts.unlevelled_rows
    if candidates and counts.unsupported_rows > MOST_UNSUPPORTED * candidates:
        share, most = shares(counts.unsupported_rows / candidates, MOST_UNSUPPORTED)
        text = (
            f"{share} of the {word}s after training have fewer than {contract.support} untrained people in the "
            f"same role to compare with; at most {most} may"
        )
        reasons.append(Reason(Code.NO_SUPPORT, text))
    return reasons


def circumstance_reasons(circumstances: Circumstances) -> list[Reason]:
    """Give R9, R10 and the part of R8 that the panel does not show."""
    reasons = []
    match = circumstances.identity_match
    if match is not None and match < LEAST_IDENTITY_MATCH:
        share, least = shares(match, LEAST_IDENTITY_MATCH)
        text = f"the identities of {share} of the people were matched; {least} are needed"
        reasons.append(Reason(Code.UNEQUAL_LOSS, text))
    if circumstances.changed:
        reasons.append(
            Reason(Code.CHANGED_METRIC, f"for one group only, this changed meanwhile: {circumstances.changed}")
        )
    if circumstances.overlap is not None and circumstances.overlap > MOST_OVERLAP:
        other = circumstances.overlap_with or "another programme"
        share, most = shares(circumstances.overlap, MOST_OVERLAP)
        text = f"{share} of the trained, more than {most}, were in {other} too: what is seen is the effect of both"
        reasons.append(Reason(Code.OVERLAP, text))
    return reasons


def disagreement(opinions: Sequence[SecondOpinion]) -> list[Reason]:
    return [
        Reason(Code.DISAGREE, f"another estimate ({one.name}) is more than two standard errors away from this one")
        for one in opinions
        if one.contradicts
    ]


def loss_reasons(lost: Attrition, missing: str) -> list[Reason]:
    """Give the part of R8 that the data show."""
    reasons = []
    for share, what in ((lost.missing, missing), (lost.leavers, "people who left")):
        if share.differs:
            text = f"{what}: {share.trained:.0%} among the trained and {share.comparison:.0%} among the never trained"
            reasons.append(Reason(Code.UNEQUAL_LOSS, text))
    return reasons


def unlike(alike: Balance, outcome: str = "") -> str:
    """Say in what two groups differ, and by how much; `outcome` is what the metric is called."""
    worst = alike.worst
    by, most = abs(worst.standardised or 0.0), MOST_SINGLE
    name = outcome if worst.covariate == OUTCOME else worst.covariate
    if by <= most:
        # One alone is not far: it is all of them together, or one that never varies within a group.
        name, by, most = "the best mix of what is known of them", alike.index or 0.0, MOST_INDEX
    if not math.isfinite(by):
        return f"{name} tells them apart entirely"
    apart, far = numbers(by, most)
    return f"{name} differs by {apart} standard deviations (more than {far} is far)"


def too_small(metric: Metric, detectable: float, target: float) -> Reason:
    visible, aim = amounts(metric, detectable, target)
    text = f"the smallest change that would probably be visible is {visible}, more than your target of {aim}"
    return Reason(Code.TOO_SMALL, text)


def small_cell(people: int, contract: Contract) -> Reason:
    who = f"{people} people are" if people >= contract.cell else f"fewer than {contract.cell} people are"
    text = f"{who} behind the effect; none is shown of fewer than {contract.effect_cell}"
    return Reason(Code.SMALL_CELL, text)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def people_have(count: int, which: str, contract: Contract) -> str:
    """Say how many have something; how many exactly is not told of a small group."""
    if 0 < count < contract.cell:
        return f"fewer than {contract.cell} {which} people have"
    return f"1 {which} person has" if count == 1 else f"{count} {which} people have"


def inconclusive(
    metric: Metric, contract: Contract, effect: Interval, p_holm: float | None, target: float | None
) -> Reason:
    """Say why there is no verdict though no rule refuses one."""
    if not effect.known:
        text = "no error can be told of the estimate: without one of the teams there is nothing to compare"
    elif effect.p is not None and effect.p < 1 - contract.level and p_holm is not None:
        text = f"with {len(contract.metrics)} metrics looked at, chance may have made this (p = {p_holm:.2g})"
    elif target is None:
        text = "the interval holds no change at all, and no target says which change is too small to matter"
    else:
        text = f"the interval holds no change at all, and changes as large as the target of {amount(metric, target)}"
    return Reason(Code.INCONCLUSIVE, text)


@dataclass(frozen=True)
class Evidence:
    """What a grade is given for."""

    effect: Interval
    p_holm: float | None
    adjusted: Interval
    tests_passed: bool
    opinions: Sequence[SecondOpinion]
    target: float | None


def grade(metric: Metric, contract: Contract, evidence: Evidence) -> Grade:
    """Grade an effect that no rule refuses."""
    effect, sign = evidence.effect, metric.direction.sign
    if effect.estimate is None or effect.low is None or effect.high is None or evidence.p_holm is None:
        return Grade.NOT_ENOUGH
    if evidence.p_holm < 1 - contract.level:
        if effect.estimate * sign < 0:
            return Grade.WORSE
        return Grade.STRONG if contract.randomised or _is_strong(evidence, sign, contract.level) else Grade.MODERATE
    if evidence.target is not None and effect.low > -evidence.target and effect.high < evidence.target:
        return Grade.NO_EFFECT
    return Grade.NOT_ENOUGH


def _is_strong(evidence: Evidence, sign: int, level: float) -> bool:
    """Tell whether the trend-adjusted bound and the second opinion hold the claim up too."""
    adjusted = evidence.adjusted
    if not evidence.tests_passed or adjusted.estimate is None or adjusted.se is None or adjusted.df is None:
        return False
    bound = adjusted.estimate * sign - float(scipy.stats.t.ppf(level, adjusted.df)) * adjusted.se
    asked = [one for one in evidence.opinions if one.agrees is not None]
    return bound > 0 and bool(asked) and all(one.agrees for one in asked)
