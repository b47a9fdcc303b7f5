"""Whether two groups were alike before: the design test of an experiment, and the overlap alarm of a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats

from bridge.impact.columns import BoolArray, FloatArray
from bridge.impact.designs import Design
from bridge.impact.least_squares import regress

MOST_INDEX = 0.5
"""Standardised difference of the best mix of covariates above which adjustment cannot be trusted (Rubin 2001)."""
MOST_SINGLE = 0.5
CHANCE = 0.05


@dataclass(frozen=True)
class Difference:
    """A covariate's means, and their difference in standard deviations (of both groups, averaged)."""

    covariate: str
    treated: float
    comparison: float
    standardised: float | None
    p: float | None


@dataclass(frozen=True)
class Balance:
    """`index` is the standardised difference of the mix of covariates that parts the groups best; `p` is of all."""

    differences: tuple[Difference, ...]
    index: float | None
    p: float | None

    @property
    def alarm(self) -> bool:
        """Whether the groups are far apart, and farther than chance would part two random halves."""
        if self.p is None or self.p >= CHANCE or self.index is None:
            return False
        single = max((abs(one.standardised or 0.0) for one in self.differences), default=0.0)
        return self.index > MOST_INDEX or single > MOST_SINGLE

    @property
    def worst(self) -> Difference:
        return max(self.differences, key=lambda one: abs(one.standardised or 0.0))


def balance(treated: BoolArray, covariates: FloatArray, names: Sequence[str]) -> Balance:
    differences = tuple(
        _difference(name, covariates[treated, one], covariates[~treated, one]) for one, name in enumerate(names)
    )
    size = len(treated)
    share = treated.mean() if size else 0.0
    if not names or not 0 < share < 1:
        return Balance(differences, None, None)
    found = regress(treated.astype(float), np.column_stack([np.ones(size), covariates]))
    width = size - found.df - 1
    if width < 1 or found.df < 1:
        return Balance(differences, None, None)
    fitted = np.column_stack([np.ones(size), covariates]) @ np.nan_to_num(found.coefficients)
    explained = float(np.clip(np.var(fitted) / np.var(treated), 0, 1))
    if explained >= 1 - 1e-12:
        return Balance(differences, float("inf"), 0.0)
    # The groups' means of the fitted index are `explained` apart, in standard deviations within the groups.
    within = np.sqrt((np.var(fitted[treated]) + np.var(fitted[~treated])) / 2)
    apart = float(fitted[treated].mean() - fitted[~treated].mean())
    statistic = (explained / width) / ((1 - explained) / found.df)
    p = float(scipy.stats.f.sf(statistic, width, found.df))
    return Balance(differences, apart / float(within) if within > 0 else float("inf") if apart > 0 else 0.0, p)


def before(design: Design) -> Balance:
    """Compare the ever trained with the never trained by their means before anybody's training or its window.

    The first covariate is the outcome itself, within roles; people without a row then are left out.
    """
    panel = design.panel
    start = panel.first_treated.min(initial=np.inf) - design.contract.exclude_before
    rows = panel.period < start
    person, role = panel.person[rows], panel.role[rows]
    count = np.bincount(person, minlength=panel.people)
    there = (count > 0) & (design.trained | np.isinf(panel.first_treated))
    level = np.bincount(role, panel.outcome[rows]) / np.maximum(np.bincount(role), 1)
    columns = np.column_stack([panel.outcome[rows] - level[role], panel.covariates[rows]])
    sums = [np.bincount(person, column, panel.people) for column in columns.T]
    means = np.column_stack(sums)[there] / count[there][:, None]
    return balance(design.trained[there], means, (OUTCOME, *panel.covariate_names))


OUTCOME = "the metric itself"


def _difference(name: str, one: FloatArray, other: FloatArray) -> Difference:
    if not len(one) or not len(other):
        only = [float(part.mean()) if len(part) else np.nan for part in (one, other)]
        return Difference(name, only[0], only[1], None, None)
    means = float(one.mean()), float(other.mean())
    spread = float(np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)) if min(len(one), len(other)) > 1 else 0.0
    if spread == 0:
        same = means[0] == means[1]
        return Difference(name, *means, 0.0 if same else None, None)
    p = float(scipy.stats.ttest_ind(one, other, equal_var=False).pvalue)
    return Difference(name, *means, (means[0] - means[1]) / spread, p)
