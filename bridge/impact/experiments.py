"""The verdict on two groups: an experiment with one outcome, or two periods (`two_group` has the figures)."""

import numpy as np

from bridge.impact import multiplicity, power, suppression, verdict
from bridge.impact.attrition import UNKNOWN_SHARES, Attrition, compare
from bridge.impact.balance import Balance, balance
from bridge.impact.contract import Contract
from bridge.impact.event_study import EventStudy
from bridge.impact.families import target_of
from bridge.impact.jackknife import UNKNOWN
from bridge.impact.opinions import SecondOpinion, agreement
from bridge.impact.result import Code, Grade, Hashes, Reason, Result, Verdict
from bridge.impact.trend import Trend
from bridge.impact.two_group import TwoGroups
from bridge.impact.verdict import Circumstances, Evidence
from bridge.impact.wording import Said, sentences

EXPERIMENT, TWO_PERIODS = "experiment", "two-period"


def judge(found: TwoGroups, contract: Contract, design: str, circumstances: Circumstances | None = None) -> Result:
    """Grade or refuse; either design counts as randomised only if the contract says so."""
    known = circumstances or Circumstances()
    metric, groups = contract.primary_metric, found.groups
    covariates = groups.covariates[groups.seen]
    alike = balance(groups.treated[groups.seen], covariates, groups.covariate_names)
    missing = np.where(groups.seen, 0.0, 1.0)
    lost = Attrition(compare(missing[groups.treated], missing[~groups.treated]), UNKNOWN_SHARES)
    opinions = _opinions(found)
    target = target_of(metric)
    detectable = power.detectable(found.effect.se, found.effect.df, level=contract.level)
    p_holm = multiplicity.holm({metric.name: found.effect.p})[metric.name]
    treated = groups.treated & groups.seen
    behind = int(treated.sum()) if found.apart is None else found.apart
    if 0 < behind < contract.effect_cell:
        # What else may be wrong would tell figures of these few.
        reasons = [*verdict.circumstance_reasons(known), verdict.small_cell(behind, contract)]
    else:
        reasons = _reasons(found, contract, design, alike, lost)
        reasons += verdict.disagreement(opinions)
        if target is not None and detectable is not None and detectable > target:
            reasons.append(verdict.too_small(metric, detectable, target))
        reasons += verdict.circumstance_reasons(known)
    evidence = Evidence(found.effect, p_holm, adjusted=UNKNOWN, tests_passed=True, opinions=opinions, target=target)
    grade = Grade.NOT_ENOUGH if reasons else verdict.grade(metric, contract, evidence)
    if grade is Grade.NOT_ENOUGH and not reasons:
        reasons = [verdict.inconclusive(metric, contract, found.effect, p_holm, target)]
    said = Said(
        metric=metric,
        contract=contract,
        grade=grade,
        reasons=reasons,
        effect=found.effect,
        itt=UNKNOWN,
        completion_rate=None,
        target=target,
        detectable=detectable,
        dip_share=None,
        people=int(treated.sum()),
        teams=len(np.unique(groups.team[treated])),
        has_teams=groups.has_teams,
        horizon=1,
        next_check=known.next_check,
        hidden=any(reason.code is Code.SMALL_CELL for reason in reasons),
        compared="the other group",
        span="" if design == EXPERIMENT else "from the first period to the second",
        between=("the trained", "the untrained") if design == EXPERIMENT else None,
        chance="who was trained",
    )
    result = Result(
        metric=metric,
        design=design,
        att=found.effect,
        att_interim=UNKNOWN,
        att_all=UNKNOWN,
        itt=UNKNOWN,
        itt_interim=UNKNOWN,
        completion_rate=None,
        baseline=found.means.get("comparison"),
        durability=None,
        event_study=EventStudy((), None),
        trend=Trend(),
        tests=None,
        opinions=opinions,
        leave_one_out=None,
        detectable=detectable,
        target=target,
        attrition=lost,
        balance=alike,
        counts=None,
        published={"means": found.means, **found.figures},
        p_holm=p_holm,
        verdict=Verdict(grade, tuple(reasons), sentences(said)),
        hashes=Hashes(data=known.data_hash, contract=known.contract_hash),
    )
    return suppression.of_result(result) if result.verdict.hides_figures else result


def _opinions(found: TwoGroups) -> tuple[SecondOpinion, ...]:
    if not found.adjusted.known:
        return ()
    agrees, contradicts = agreement(found.effect, found.adjusted)
    return (SecondOpinion("regression on covariates", found.adjusted, agrees, contradicts),)


def _reasons(found: TwoGroups, contract: Contract, design: str, alike: Balance, lost: Attrition) -> list[Reason]:
    groups = found.groups
    seen = groups.seen
    treated, others = int((groups.treated & seen).sum()), int((~groups.treated & seen).sum())
    if found.apart is not None:
        text = (
            "nobody was seen in both periods, so nobody's change is known: other people were looked at after the "
            "training than before, and who is in a group may have changed"
        )
        return [Reason(Code.NO_ESTIMATE, text)]
    if not treated:
        return [Reason(Code.NO_ESTIMATE, "nobody with a value was trained")]
    if not others:
        text = "everybody with a value was trained, so there is nobody to compare with"
        return [Reason(Code.NO_COMPARISON, text)]
    if np.ptp(groups.outcome[seen]) == 0:
        return [Reason(Code.NO_ESTIMATE, "the metric is the same for everybody, so no error can be told")]
    reasons = []
    for count, who in ((treated, "trained"), (others, "comparison")):
        if count < contract.min_people:
            have = verdict.people_have(count, who, contract)
            reasons.append(Reason(Code.FEW_PEOPLE, f"{have} a value; {contract.min_people} are needed"))
    teams = len(np.unique(groups.team[groups.treated & seen]))
    if teams < contract.min_teams:
        alone = "" if groups.has_teams else " (without teams each person counts as one)"
        text = f"trained people are in {teams} team{'s' * (teams != 1)}{alone}; {contract.min_teams} are needed"
        reasons.append(Reason(Code.FEW_TEAMS, text))
    if alike.alarm:
        text = f"the groups were not alike before: {verdict.unlike(alike)}; no regression makes up for that"
        reasons.append(Reason(Code.DESIGN, text))
    if not contract.randomised:
        reasons.append(Reason(Code.DESIGN, _WITHOUT_CHANCE[design]))
    return reasons + verdict.loss_reasons(lost, "people without a value")


_WITHOUT_CHANCE = {
    EXPERIMENT: (
        "nobody said that chance decided who was trained: trained and untrained people may have differed before, and "
        "one outcome for each cannot show that; if chance did decide, say so (--randomised)"
    ),
    TWO_PERIODS: (
        "whether both groups moved alike before the training cannot be tested with two periods, and nobody said that "
        "chance decided who was trained (--randomised)"
    ),
}
