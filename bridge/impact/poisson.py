"""The effect on counts as a factor: what was counted, over what person and week would have given.

Levels multiply instead of adding up (a Poisson model with a level for each person and cell), so the effect is in per
cent and log(1 + y), whose answer depends on the unit, is not needed (Chen and Roth 2024). Window, support and averages
are those of the imputation.
"""

import numpy as np
import scipy.sparse

from bridge.impact import jackknife
from bridge.impact.columns import BoolArray, FloatArray, IntArray
from bridge.impact.contract import Family
from bridge.impact.imputation import Imputation
from bridge.impact.jackknife import UNKNOWN, Interval

RARE = 0.1
"""A rate below this, or above 1 less this, is looked at by the ratio of the rarer outcome."""
MOST_STEPS = 2_000
SETTLED = 1e-10


def ratio(fit: Imputation, family: Family, baseline: float | None) -> tuple[Interval, str]:
    """Give the logarithm of the factor over the horizon, and what it is of; unknown where the family asks for none."""
    panel = fit.fit.design.panel
    counted = panel.outcome
    if family is Family.RATE and baseline is not None and baseline > 1 - RARE:
        counted, of = 1 - panel.outcome, "logarithm of the factor of the rarer outcome, 1 less the rate"
    elif family is Family.COUNT or (family is Family.RATE and baseline is not None and baseline < RARE):
        of = "logarithm of the factor"
    else:
        return UNKNOWN, ""
    size = panel.weight if panel.exposure is None else panel.weight * panel.exposure
    found = _Levels(fit, counted * size, size)
    value, start = found.factor(None, None)
    groups = fit.group
    replicates = np.array([found.factor(groups != one, start)[0] for one in range(int(groups.max()) + 1)])
    with np.errstate(divide="ignore", invalid="ignore"):
        logs, log = np.log(replicates), float(np.log(value))
    se = float(jackknife.standard_errors(logs[:, None])[0])
    return jackknife.interval(log, se if se > 1e-10 else np.nan, len(logs) - 1, fit.fit.design.contract.level), of


class _Levels:
    def __init__(self, fit: Imputation, counted: FloatArray, size: FloatArray) -> None:
        design = fit.fit.design
        shape = (design.panel.people, design.cells)
        person, cell = design.panel.person, design.cell

        def table(rows: IntArray, values: FloatArray) -> scipy.sparse.csr_array:
            return scipy.sparse.csr_array((values[rows], (person[rows], cell[rows])), shape=shape)

        free, clean, used = design.untrained, design.clean, fit.rows["horizon"]
        self.size, self.clean_size, self.used_size = table(free, size), table(clean, size), table(used, size)
        self.by_person = _sums(person[free], counted[free], shape[0])
        self.clean_by_person = _sums(person[clean], counted[clean], shape[0])
        self.used_by_person = _sums(person[used], counted[used], shape[0])
        self.counted = table(free, counted)

    def factor(self, kept: BoolArray | None, start: FloatArray | None) -> tuple[float, FloatArray]:
        """Give the factor, of everybody or of some people, and the cells' levels to start from next time."""
        people = np.flatnonzero(kept) if kept is not None else np.arange(len(self.by_person))
        size = self.size[people]
        cells = self._settle(
            size, self.by_person[people], np.asarray(self.counted[people].sum(axis=0), np.float64), start
        )
        level = _over(self.clean_by_person[people], self.clean_size[people] @ cells)
        expected = float(level @ (self.used_size[people] @ cells))
        return (float(self.used_by_person[people].sum()) / expected if expected > 0 else np.nan), cells

    @staticmethod
    def _settle(
        size: scipy.sparse.csr_array, by_person: FloatArray, by_cell: FloatArray, start: FloatArray | None
    ) -> FloatArray:
        """Fit people's and cells' levels in turn, until neither moves; each step raises the likelihood."""
        cells = np.ones(size.shape[1]) if start is None else start
        turned = size.T.tocsr()
        for _ in range(MOST_STEPS):
            people = _over(by_person, size @ cells)
            moved = _over(by_cell, turned @ people)
            moved = moved / max(float(moved.max(initial=0)), 1e-300)
            away = float(np.abs(moved - cells / max(float(cells.max(initial=0)), 1e-300)).max(initial=0))
            cells = moved
            if away < SETTLED:
                break
        return cells


def _sums(number: IntArray, values: FloatArray, count: int) -> FloatArray:
    return np.bincount(number, values, count).astype(np.float64)


def _over(one: FloatArray, other: FloatArray) -> FloatArray:
    return np.divide(one, other, out=np.zeros_like(one, dtype=np.float64), where=other > 0)
