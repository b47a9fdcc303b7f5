"""The whole pipeline: a panel and a contract in, every number and a verdict out (`impact.md`, section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bridge.impact import (
    design_tests,
    event_study,
    families,
    imputation,
    influence,
    multiplicity,
    power,
    suppression,
    verdict,
)
from bridge.impact.attrition import Attrition, attrition
from bridge.impact.balance import before
from bridge.impact.callaway_santanna import callaway_santanna
from bridge.impact.columns import FloatArray, IntArray
from bridge.impact.contract import Contract, Control, Metric
from bridge.impact.design_tests import DesignTests
from bridge.impact.designs import LEAST_FOR_A_TREND, Design
from bridge.impact.errors import ContractError
from bridge.impact.event_study import EventStudy
from bridge.impact.imputation import Imputation
from bridge.impact.jackknife import UNKNOWN, Interval
from bridge.impact.opinions import SecondOpinion, opinions
from bridge.impact.panels import Panel
from bridge.impact.result import (
    Code,
    Durability,
    Grade,
    Hashes,
    Reason,
    Result,
    Verdict,
    as_json,
)
from bridge.impact.trend import Trend, trend
from bridge.impact.verdict import Circumstances, Evidence
from bridge.impact.wording import Said, sentences

MOST_SINGLE = 24
"""Periods of a panel up to which each has a figure of its own; more are shown in bins."""
MOST_BEFORE = 12
"""Periods before training of which a longer panel's ATT(g,t) are shown."""


@dataclass(frozen=True)
class Assessment:
    """All metrics of a contract; `verdict` is the primary one's."""

    results: Mapping[str, Result]
    primary: str

    @property
    def verdict(self) -> Verdict:
        return self.results[self.primary].verdict

    def to_json(self) -> dict[str, object]:
        return {"primary": self.primary, "metrics": as_json(self.results)}


def estimate(
    panel: Panel, contract: Contract, circumstances: Circumstances | None = None, *, published: bool = False
) -> Result:
    """Answer for one metric, the contract's primary one, as if it were the only one.

    Design tests are held against the level that the contract's number of metrics leaves; Holm's correction and the
    other metrics' design tests come with `assess`. With `published` the result has the estimates of the literature too.
    """
    metric = contract.primary_metric
    return _finish(
        _measure(panel, contract, metric, published=published), {}, contract, circumstances or Circumstances()
    )


def assess(
    panels: Mapping[str, Panel],
    contract: Contract,
    circumstances: Mapping[str, Circumstances] | Circumstances | None = None,
    *,
    published: bool = False,
) -> Assessment:
    """Answer for all metrics of a contract, of which each has a panel.

    One metric whose design test fails refuses all: who is sent for what is the same for all of them.
    """
    if missing := [metric.name for metric in contract.metrics if metric.name not in panels]:
        raise ContractError(f"there is no panel of {', '.join(missing)}, which the contract names")
    if unknown := [name for name in panels if name not in contract.names]:
        raise ContractError(f"the contract names no metric {', '.join(unknown)}")
    measured = {
        metric.name: _measure(panels[metric.name], contract, metric, published=published) for metric in contract.metrics
    }
    results = {}
    for name, one in measured.items():
        known = circumstances.get(name) if isinstance(circumstances, Mapping) else circumstances
        results[name] = _finish(one, measured, contract, known or Circumstances())
    return Assessment(results, contract.primary_metric.name)


@dataclass(frozen=True, eq=False)
class _Measured:
    """All that is known of one metric before its verdict."""

    metric: Metric
    design: Design
    fit: Imputation | None
    sent: Imputation | None
    completion_rate: float | None
    tests: DesignTests | None
    opinions: tuple[SecondOpinion, ...]
    attrition: Attrition
    published: Mapping[str, object]

    @property
    def behind(self) -> int:
        """People behind the effect; where nobody's own level is known, those of whom other estimators have figures."""
        return (self.fit.counts.used or self.fit.counts.trained) if self.fit else 0

    @property
    def effect(self) -> Interval:
        return self.fit.get("horizon", self.design.contract.level) if self.fit else UNKNOWN


def _measure(panel: Panel, contract: Contract, metric: Metric, *, published: bool) -> _Measured:
    panel = families.prepare(panel, metric)
    design = Design(panel, contract)
    fit = _fit(design)
    sent = completion = None
    if panel.assigned is not None:
        sent = _fit(Design(panel.with_first_treated(panel.assigned), contract))
        completion = _completion_rate(design, panel.assigned)
    tests = None
    if fit:
        tests = design_tests.design_tests(fit, contract, metric.direction)
        tests = replace(tests, placebo=design_tests.placebo(panel, contract))
    return _Measured(
        metric=metric,
        design=design,
        fit=fit,
        sent=sent,
        completion_rate=completion,
        tests=tests,
        opinions=opinions(panel, fit, contract, metric, _baseline(design, fit)) if fit else (),
        attrition=attrition(design),
        published=_published(panel, contract) if published else {},
    )


def _fit(design: Design) -> Imputation | None:
    """Fit, if there is anything before and after a training."""
    if not len(design.untrained) or not len(design.after):
        return None
    return imputation.estimate(design.panel, design.contract)


def _completion_rate(design: Design, assigned: FloatArray) -> float | None:
    last = design.periods[-1] if len(design.periods) else -np.inf
    sent = assigned <= last
    return float(design.trained[sent].mean()) if sent.any() else None


def _published(panel: Panel, contract: Contract) -> dict[str, object]:
    """Estimate as the literature does: no window, no least numbers, all periods after, published standard errors."""
    size = 1 if len(np.unique(panel.period)) <= MOST_SINGLE else contract.bin
    plain = replace(contract, exclude_before=0, min_pre=1, support=1, horizon=None, interim=1, bin=size)
    fit = _fit(Design(panel, plain))
    found: dict[str, object] = {}
    if fit is not None and len(fit.fit.used):
        events = {name.removeprefix("post:"): rows for name, rows in fit.rows.items() if name.startswith("post:")}
        found["imputation"] = _with_errors(fit, "all", fit.fit.used) | {
            "event": {start: _with_errors(fit, f"post:{start}", rows) for start, rows in events.items() if len(rows)}
        }
    few = size == 1
    for control in Control:
        found[f"callaway_santanna_{control.name.lower()}"] = callaway_santanna(
            panel,
            control=control,
            horizon=None if few else contract.horizon,
            most_before=None if few else MOST_BEFORE,
            level=contract.level,
        )
    return found


def _with_errors(fit: Imputation, name: str, rows: IntArray) -> dict[str, object]:
    two_stage, conservative = influence.standard_errors(fit.fit, rows)
    found = fit.get(name)
    return {
        "estimate": found.estimate,
        "se_two_stage": two_stage,
        "se_imputation": conservative,
        "se_jackknife": found.se,
        "rows": len(rows),
    }


def _finish(
    one: _Measured, others: Mapping[str, _Measured], contract: Contract, circumstances: Circumstances
) -> Result:
    family = {name: other.effect.p for name, other in others.items()} or {one.metric.name: one.effect.p}
    p_holm = multiplicity.holm(family)[one.metric.name]
    target = families.target_of(one.metric)
    detectable = power.detectable(one.effect.se, one.effect.df, level=contract.level)
    reasons = _reasons(one, others, contract, circumstances, target=target, detectable=detectable)
    fit = one.fit
    adjusted = fit.get("adjusted", contract.level) if fit else UNKNOWN
    passed = one.design.shows_a_trend and not any(reason.code is Code.DESIGN for reason in reasons)
    evidence = Evidence(one.effect, p_holm, adjusted, passed, one.opinions, target)
    grade = Grade.NOT_ENOUGH if reasons else verdict.grade(one.metric, contract, evidence)
    if grade is Grade.NOT_ENOUGH and not reasons:
        reasons = [verdict.inconclusive(one.metric, contract, one.effect, p_holm, target)]
    counts = fit.counts if fit else None
    sent = one.sent
    said = Said(
        metric=one.metric,
        contract=contract,
        grade=grade,
        reasons=reasons,
        effect=one.effect,
        itt=sent.get("horizon", contract.level) if sent else UNKNOWN,
        completion_rate=one.completion_rate,
        target=target,
        detectable=detectable,
        dip_share=one.tests.dip_share if one.tests else None,
        people=counts.used if counts else 0,
        teams=counts.trained_teams if counts else 0,
        has_teams=one.design.panel.has_teams,
        horizon=one.design.horizon,
        span=_span(one),
        next_check=circumstances.next_check,
        compared=_compared(one.design.panel),
        hidden=any(reason.code is Code.SMALL_CELL for reason in reasons),
    )
    level = contract.level
    result = Result(
        metric=one.metric,
        design="panel",
        att=one.effect,
        att_interim=fit.get("interim", level) if fit else UNKNOWN,
        att_all=fit.get("all", level) if fit else UNKNOWN,
        itt=said.itt,
        itt_interim=sent.get("interim", level) if sent else UNKNOWN,
        completion_rate=one.completion_rate,
        baseline=_baseline(one.design, fit),
        durability=_durability(fit, level) if fit else None,
        event_study=EventStudy((), None),
        trend=suppression.of_trend(trend(fit), contract) if fit else Trend(),
        tests=one.tests,
        opinions=one.opinions,
        leave_one_out=_range(fit),
        detectable=detectable,
        target=target,
        attrition=one.attrition,
        balance=None,
        counts=counts,
        published=one.published,
        p_holm=p_holm,
        verdict=Verdict(grade, tuple(reasons), sentences(said)),
        hashes=Hashes(data=circumstances.data_hash, contract=circumstances.contract_hash),
    )
    if result.verdict.hides_figures:
        return suppression.of_result(result)
    if fit is None:
        return result
    return suppression.of_parts(result, event_study.event_study(fit), contract, horizon=one.design.horizon)


def _span(one: _Measured) -> str:
    """Say over which periods the effect was taken, where the data do not have all of the horizon; else nothing."""
    rows = one.fit.rows["horizon"] if one.fit else ()
    times = np.unique(one.design.since[rows]).astype(int).tolist() if len(rows) else []
    word = one.design.contract.period_word
    if not times or len(times) == one.design.horizon:
        return ""
    if len(times) > 1:
        return f"in the {len(times)} {word}s with data since training"
    return f"in the {word} of training" if not times[0] else f"in the one {word} with data since training"


def _compared(panel: Panel) -> str:
    role = "in the same role " if len(panel.role_names) > 1 else ""
    return f"colleagues {role}not yet trained" if panel.has_teams or role else "others not yet trained"


def _reasons(
    one: _Measured,
    others: Mapping[str, _Measured],
    contract: Contract,
    circumstances: Circumstances,
    *,
    target: float | None,
    detectable: float | None,
) -> list[Reason]:
    if one.fit is None:
        return _nothing(one)
    if one.fit.scale <= 10 * imputation.ROUNDING * max(float(np.abs(one.design.panel.outcome).max()), 1e-300):
        text = f"people and {contract.period_word}s account for all of {one.metric.words}, so no error can be told"
        return [Reason(Code.NO_ESTIMATE, text)]
    counts = one.fit.counts
    reasons = verdict.counting_reasons(one.design, counts)
    if 0 < one.behind < contract.effect_cell:
        # What else may be wrong would tell figures of these few.
        reasons = [reason for reason in reasons if reason.code is not Code.NO_SUPPORT]
        return [*reasons, *verdict.circumstance_reasons(circumstances), verdict.small_cell(one.behind, contract)]
    if not contract.randomised and not one.design.trained_at_once:
        reasons += _design_reasons(others or {one.metric.name: one})
    reasons += verdict.disagreement(one.opinions)
    if target is not None and detectable is not None and detectable > target:
        reasons.append(verdict.too_small(one.metric, detectable, target))
    reasons += verdict.loss_reasons(one.attrition, f"{contract.period_word}s without a value")
    return reasons + verdict.circumstance_reasons(circumstances)


def _nothing(one: _Measured) -> list[Reason]:
    design, word = one.design, one.design.contract.period_word
    if not len(design.panel.person):
        return [Reason(Code.NO_ESTIMATE, "there is no value in the data")]
    if not len(design.after):
        return [Reason(Code.NO_ESTIMATE, f"there is no value of anybody in or after the {word} of their training")]
    text = f"there is no value of anybody before the {word} of their training, nor of anybody never trained"
    return [Reason(Code.NO_ESTIMATE, text)]


def _design_reasons(measured: Mapping[str, _Measured]) -> list[Reason]:
    reasons = []
    for one in measured.values():
        tests = one.tests
        if tests is None:
            continue
        few = one.behind < one.design.contract.effect_cell
        if tests.slope_contradicts:
            text = (
                f"before the training, {one.metric.words} of those sent moved otherwise than that of comparable people"
                f"{_chance(tests.slope, few)}; whatever did that may go on, and would look like an effect"
            )
            reasons.append(Reason(Code.DESIGN, text))
        if tests.rise_contradicts:
            text = (
                f"just before the training, {one.metric.words} of those sent was already better than their own level"
                f"{_chance(tests.rise, few)}: people on the rise were sent"
            )
            reasons.append(Reason(Code.DESIGN, text))
        reasons += _unlike(one)
    own = next(iter(measured.values()))
    if not any(one.tests and one.tests.possible for one in measured.values()) and own.fit:
        text = (
            "whether both groups moved alike before the training cannot be tested with these data, and the order was "
            "not left to chance"
        )
        reasons.append(Reason(Code.DESIGN, text))
    return reasons


def _chance(test: Interval, few: bool) -> str:  # noqa: FBT001 - of the few nothing is told
    return "" if few else f" (p = {test.p:.2g})"


def _unlike(one: _Measured) -> list[Reason]:
    """Refuse groups that were far apart before, where too few periods show that they moved alike all the same."""
    if one.fit is None or not one.fit.counts.used or one.design.shows_a_trend:
        return []
    alike = before(one.design)
    if not alike.alarm:
        return []
    text = (
        f"the groups were not alike before: {verdict.unlike(alike, one.metric.words)}, and fewer than "
        f"{LEAST_FOR_A_TREND} clean {one.design.contract.period_word}s before the training do not show that they moved "
        "alike all the same"
    )
    return [Reason(Code.DESIGN, text)]


def _baseline(design: Design, fit: Imputation | None) -> float | None:
    if fit is None or not len(fit.fit.used):
        return None
    people = np.unique(design.panel.person[fit.fit.used])
    rows = design.clean[np.isin(design.panel.person[design.clean], people)]
    return float(np.average(design.panel.outcome[rows], weights=design.panel.weight[rows]))


def _durability(fit: Imputation, level: float) -> Durability | None:
    if "late" not in fit.names:
        return None
    early, late = fit.get("early", level), fit.get("late", level)
    ratio = UNKNOWN
    if early.estimate is not None and late.estimate is not None and early.p is not None and early.p < 1 - level:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = fit.interval(late.estimate / early.estimate, fit.column("late") / fit.column("early"), level)
    return Durability(early, late, ratio)


def _range(fit: Imputation | None) -> tuple[float, float] | None:
    if fit is None or not np.isfinite(fit.column("horizon")).all():
        return None
    return float(fit.column("horizon").min()), float(fit.column("horizon").max())
