"""Whether the data contradict that both groups would have moved alike without training.

Passing is "not contradicted" and no more: tests of the weeks before have little power (Roth 2022), and against mild
violations this one refuses only about half (`impact.md`, section 6).
"""

from dataclasses import dataclass, replace

import numpy as np

from bridge.impact import imputation
from bridge.impact.contract import Contract, Direction
from bridge.impact.imputation import Imputation
from bridge.impact.jackknife import UNKNOWN, Interval
from bridge.impact.panels import Panel

FAMILY_LEVEL = 0.05


@dataclass(frozen=True)
class DesignTests:
    """The tests of one metric; `level` is what each p-value is held against, so that all metrics share 0.05.

    `slope` is the trend of the trained, a period, against comparable people, before the window; `rise` is how far they
    were above their own level in the window. `dip` is the same figure where they were below it, in the metric's worse
    direction: that is why people are sent, and is left out of their level.
    """

    level: float
    slope: Interval
    rise: Interval
    slope_contradicts: bool
    rise_contradicts: bool
    dip: Interval
    dip_share: float | None
    """Share of the change since the window that would have come anyway; None if there is no sure dip."""
    possible: bool
    """Whether any of the tests could be made."""
    placebo: Interval = UNKNOWN
    """Effect of a training that was not, `placebo_shift` periods earlier; by its interval, not part of the verdict."""

    @property
    def contradicted(self) -> bool:
        return self.slope_contradicts or self.rise_contradicts


def design_tests(fit: Imputation, contract: Contract, direction: Direction) -> DesignTests:
    """Test one metric, at a level that is shared by all of the contract."""
    level = FAMILY_LEVEL / len(contract.metrics)
    slope = fit.get("slope", contract.level) if _has_others(fit) else UNKNOWN
    window = fit.get("dip", contract.level)
    better = window.estimate is not None and window.estimate * direction.sign > 0
    worse = window.estimate is not None and window.estimate * direction.sign < 0
    return DesignTests(
        level=level,
        slope=slope,
        rise=window,
        slope_contradicts=slope.p is not None and slope.p < level,
        rise_contradicts=better and window.p is not None and window.p < level,
        dip=window if worse else UNKNOWN,
        dip_share=_dip_share(fit, window) if worse and (window.p or 1) < FAMILY_LEVEL else None,
        possible=slope.known or window.known,
    )


def placebo(panel: Panel, contract: Contract) -> Interval:
    """Estimate a training `placebo_shift` periods before the real one, from the periods before the real window."""
    since = panel.event_time
    early = panel.rows(~(since >= -contract.exclude_before))
    horizon = contract.placebo_shift - contract.exclude_before
    if horizon < 1 or not len(early.person):
        return UNKNOWN
    earlier = replace(
        contract, horizon=horizon, interim=min(contract.interim, horizon), min_pre=contract.min_pre, bin=horizon
    )
    moved = early.with_first_treated(panel.first_treated - contract.placebo_shift)
    return imputation.estimate(moved, earlier).get("horizon", contract.level)


def _has_others(fit: Imputation) -> bool:
    """Tell whether somebody is never trained: a trend that all share is none of the trained.

    It is no threat either: what all drift by is in the level of the weeks.
    """
    panel = fit.fit.design.panel
    return bool(np.isinf(panel.first_treated[panel.person]).any())


def _dip_share(fit: Imputation, window: Interval) -> float | None:
    """Give how much of the rise from the window to after training is the return to the own level: all of it at most."""
    effect = fit.get("horizon")
    if window.estimate is None or effect.estimate is None:
        return None
    rise = effect.estimate - window.estimate
    share = -window.estimate / rise if rise else np.nan
    return float(min(share, 1.0)) if share >= 0 else None
