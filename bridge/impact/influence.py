"""Published standard errors of the plain imputation estimate, beside the jackknife that the verdict uses.

Both are sums over clusters of weight x residual. They differ in what the treated rows' residuals are taken from: the
estimate itself (Gardner's two-stage, `did2s`) or the mean of the cohort at that event time (Borusyak, Jaravel and
Spiess 2024, equation 8: conservative against effects that differ).
"""

import numpy as np

from bridge.impact.columns import FloatArray, IntArray
from bridge.impact.imputation import Fit


def standard_errors(fit: Fit, rows: IntArray) -> tuple[float, float]:
    """Give the two-stage and the imputation standard error of the average over some used rows, clustered by team.

    Right only for a fit without a nomination window, whose people have all their levels from all untrained rows.
    """
    design, panel = fit.design, fit.design.panel
    place = np.searchsorted(fit.used, rows)
    effects = fit.effects[place]
    share = panel.weight[rows] / panel.weight[rows].sum()
    on_untrained = _weights(fit, rows, share) * fit.residuals
    team, teams = panel.team[panel.person], panel.teams
    untrained = np.bincount(team[design.untrained], on_untrained, teams)
    found = []
    for centre in (float(share @ effects), _cohort_means(fit, rows, share, effects)):
        treated = np.bincount(team[rows], share * (effects - centre), teams)
        found.append(float(np.sqrt(((untrained + treated) ** 2).sum())))
    return found[0], found[1]


def _weights(fit: Fit, rows: IntArray, share: FloatArray) -> FloatArray:
    """Give the weight of each untrained row's value in the average."""
    design, panel, solution = fit.design, fit.design.panel, fit.solution
    free, cell, person = design.untrained, design.cell, panel.person
    own = np.bincount(person[free], panel.weight[free], panel.people)
    spread = panel.weight[free] / own[person[free]]
    by_person = np.bincount(person[rows], share, panel.people)
    level = spread * by_person[person[free]]
    columns = fit.values[:, fit.base]
    on_rows = np.bincount(cell[rows], share, design.cells) - np.bincount(cell[free], level, design.cells)
    given = columns[rows].T @ share - columns[free].T @ level
    kept = np.flatnonzero(~np.isnan(fit.coefficients))
    chosen = [fit.base[one] for one in kept]
    cells = np.asarray(on_rows, np.float64)
    on_cells = solution.inverse(cells)
    predicted = on_cells[cell[free]]
    if chosen:
        left = solution.left[np.ix_(chosen, chosen)]
        on_columns = np.linalg.solve(left, given[kept] - solution.effects[:, chosen].T @ cells)
        predicted = (on_cells - solution.effects[:, chosen] @ on_columns)[cell[free]]
        predicted = predicted + columns[np.ix_(free, kept)] @ on_columns
    mean = np.bincount(person[free], spread * predicted, panel.people)
    return np.asarray(-level - panel.weight[free] * (predicted - mean[person[free]]))


def _cohort_means(fit: Fit, rows: IntArray, share: FloatArray, effects: FloatArray) -> FloatArray:
    """Give each row the mean effect of its cohort at its event time, weighted by squared weights."""
    panel = fit.design.panel
    cohort = panel.first_treated[panel.person[rows]]
    _, number = np.unique(np.column_stack([cohort, panel.period[rows]]), axis=0, return_inverse=True)
    number = number.reshape(-1)
    return np.asarray((np.bincount(number, share**2 * effects) / np.bincount(number, share**2))[number])
