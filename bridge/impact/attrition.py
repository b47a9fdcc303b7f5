"""Who is missing: groups that lose people or periods unequally are no longer alike, whatever they were (R8)."""

from dataclasses import dataclass

import numpy as np
import scipy.stats

from bridge.impact.columns import FloatArray
from bridge.impact.designs import Design

MOST_DIFFERENCE = 0.05
CHANCE = 0.05


@dataclass(frozen=True)
class Shares:
    """A share of the trained and of the never trained, and whether chance alone would part them so far (p)."""

    trained: float | None
    comparison: float | None
    p: float | None

    @property
    def differs(self) -> bool:
        """More than 5 points apart, and more than chance explains: among 50 people 5 points are two or three."""
        if self.trained is None or self.comparison is None or self.p is None:
            return False
        return abs(self.trained - self.comparison) > MOST_DIFFERENCE and self.p < CHANCE


UNKNOWN_SHARES = Shares(None, None, None)


@dataclass(frozen=True)
class Attrition:
    missing: Shares
    """Periods without a value, of those between a person's first and last row."""
    leavers: Shares
    """People without a value in the last periods of the horizon, of those who had one at its beginning."""


def attrition(design: Design) -> Attrition:
    panel = design.panel
    here = panel.listed > 0
    trained = here & design.trained
    others = here & np.isinf(panel.first_treated)
    gap = 1 - panel.observed / np.maximum(panel.listed, 1)
    return Attrition(compare(gap[trained], gap[others]), _leavers(design))


def _leavers(design: Design) -> Shares:
    """Compare over the same periods: who was trained in one, with the never trained who were there then."""
    panel, final = design.panel, design.periods[-1] if len(design.periods) else 0
    first = np.full(panel.people, np.inf)
    np.minimum.at(first, panel.person, panel.period)
    never = np.flatnonzero(np.isinf(panel.first_treated))
    left = np.zeros(panel.people)
    seen = np.zeros(panel.people)
    trained = np.zeros(panel.people, bool)
    for moment in np.unique(panel.first_treated[design.trained]):
        end = min(moment + design.horizon - 1, final)
        if end - design.contract.interim < moment:
            continue
        cohort = np.flatnonzero((panel.first_treated == moment) & (panel.last >= moment))
        trained[cohort] = True
        seen[cohort], left[cohort] = 1, panel.last[cohort] <= end - design.contract.interim
        there = never[(first[never] < moment) & (panel.last[never] >= moment)]
        seen[there] += len(cohort)
        left[there] += len(cohort) * (panel.last[there] <= end - design.contract.interim)
    share = left / np.maximum(seen, 1)
    return compare(share[trained & (seen > 0)], share[~trained & (seen > 0)])


def compare(one: FloatArray, other: FloatArray) -> Shares:
    if not len(one) or not len(other):
        return UNKNOWN_SHARES
    means = float(one.mean()), float(other.mean())
    if len(one) < 2 or len(other) < 2:
        return Shares(*means, None)
    se = float(np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other)))
    away = abs(means[0] - means[1])
    p = float(2 * scipy.stats.norm.sf(away / se)) if se > 0 else float(away == 0)
    return Shares(*means, p)
