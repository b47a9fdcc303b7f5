"""Second opinions: the same effect estimated in other ways, and whether they agree (R6)."""

from dataclasses import dataclass, replace

import numpy as np
import scipy.stats

from bridge.impact.callaway_santanna import callaway_santanna
from bridge.impact.contract import Contract, Metric
from bridge.impact.imputation import Imputation
from bridge.impact.jackknife import UNKNOWN, Interval
from bridge.impact.panels import Panel
from bridge.impact.poisson import ratio

LEAST_TRAINED_TEAMS = 2
"""With fewer, its error measures the others alone, and is none (Conley and Taber 2011)."""
MOST_APART = 2
"""Standard errors, of the less sure of the two."""


@dataclass(frozen=True)
class SecondOpinion:
    """The same effect, estimated in another way."""

    name: str
    interval: Interval
    agrees: bool | None
    """The same sign, and not far away; None if it cannot be told or does not count."""
    contradicts: bool = False
    """Far away (R6)."""
    note: str = ""


def opinions(
    panel: Panel, fit: Imputation, contract: Contract, metric: Metric, baseline: float | None
) -> tuple[SecondOpinion, ...]:
    level = contract.level
    other = callaway_santanna(
        panel,
        control=contract.control,
        anticipation=contract.exclude_before,
        horizon=fit.fit.design.horizon,
        most_before=0,
        level=level,
    ).horizon
    if _trained_teams(panel) < LEAST_TRAINED_TEAMS:
        other = replace(UNKNOWN, estimate=other.estimate)
    agrees, contradicts = agreement(fit.get("horizon", level), other)
    adjusted = fit.get("adjusted", level)
    note = "less the trend that the trained had before the window; counts for the grade strong only"
    found = [
        SecondOpinion("Callaway-Sant'Anna", other, agrees, contradicts, f"control: {contract.control}"),
        SecondOpinion("trend-adjusted", adjusted, None, note=note),
    ]
    factor, of = ratio(fit, metric.family, baseline)
    if of:
        found.append(SecondOpinion("Poisson", factor, None, note=of))
    return tuple(found)


def _trained_teams(panel: Panel) -> int:
    return len(np.unique(panel.team[np.isfinite(panel.first_treated)]))


def agreement(one: Interval, other: Interval) -> tuple[bool | None, bool]:
    """Tell whether two estimates agree, and whether they contradict each other."""
    if one.estimate is None or other.estimate is None or one.se is None or other.se is None:
        return None, False
    # With few teams errors are themselves unsure, the second opinion's more so: as far as the interval reaches.
    apart = MOST_APART if one.df is None else max(MOST_APART, float(scipy.stats.t.ppf(0.975, one.df)))
    far = abs(one.estimate - other.estimate) > apart * max(one.se, other.se)
    return not far and one.estimate * other.estimate > 0, far
