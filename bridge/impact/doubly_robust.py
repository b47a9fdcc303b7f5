"""One comparison of two periods: how much more the treated moved, and each person's influence on that.

With covariates: the traditional doubly robust estimator of Sant'Anna and Zhao (2020), by logit and least squares, as
`drdid_panel` of the R package DRDID computes it.
"""

import numpy as np

from bridge.impact.columns import BoolArray, FloatArray
from bridge.impact.least_squares import independent

MOST_PROPENSITY = 1 - 1e-6
TRIMMED_PROPENSITY = 0.995
"""Untreated people as likely to be treated as this are left out, as in DRDID 1.2."""
NEWTON_STEPS = 50
SETTLED = 1e-12
MOST_SEPARATED = 1e12


def difference(
    change: FloatArray, treated: BoolArray, weight: FloatArray, covariates: FloatArray | None = None
) -> tuple[float, FloatArray]:
    """Give the difference, and influences whose squares add up to its variance; NaN where it cannot be told."""
    if not treated.any() or treated.all():
        return np.nan, np.zeros(len(change))
    if covariates is not None and covariates.shape[1]:
        # Around their means and in their own units, which changes no answer: a condition number then says something.
        spread = covariates.std(axis=0)
        alike = (covariates - covariates.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        return _adjusted(change, treated, weight, np.column_stack([np.ones(len(change)), alike]))
    sums = weight[treated].sum(), weight[~treated].sum()
    if min(sums) <= 0:
        return np.nan, np.zeros(len(change))
    means = weight[treated] @ change[treated] / sums[0], weight[~treated] @ change[~treated] / sums[1]
    influence = np.where(treated, weight * (change - means[0]) / sums[0], -weight * (change - means[1]) / sums[1])
    return float(means[0] - means[1]), np.asarray(influence)


def _adjusted(change: FloatArray, treated: BoolArray, weight: FloatArray, x: FloatArray) -> tuple[float, FloatArray]:
    size = len(change)
    nothing = np.nan, np.zeros(size)
    x = x[:, independent(x)]
    weight = weight / weight.mean()
    fitted = _logit(treated.astype(float), weight, x)
    if fitted is None:
        return nothing
    propensity, bread = fitted
    propensity = np.minimum(propensity, MOST_PROPENSITY)
    kept = treated | (propensity < TRIMMED_PROPENSITY)
    others = weight * ~treated
    cross = (others[:, None] * x).T @ x / size
    if np.linalg.matrix_rank(cross) < x.shape[1]:
        return nothing
    slopes = np.linalg.solve(cross, (others * change) @ x / size)
    left = change - x @ slopes
    on_treated = kept * weight * treated
    on_others = kept * weight * propensity * ~treated / (1 - propensity)
    means = on_treated.mean(), on_others.mean()
    if min(means) <= 0:
        return nothing
    parts = (on_treated * left).mean() / means[0], (on_others * left).mean() / means[1]
    of_slopes = ((others * left)[:, None] * x) @ np.linalg.inv(cross)
    of_propensity = ((weight * (treated - propensity))[:, None] * x) @ bread * size
    own = on_treated * (left - parts[0]) - of_slopes @ (on_treated[:, None] * x).mean(axis=0)
    other = (
        on_others * (left - parts[1])
        + of_propensity @ ((on_others * (left - parts[1]))[:, None] * x).mean(axis=0)
        - of_slopes @ (on_others[:, None] * x).mean(axis=0)
    )
    return float(parts[0] - parts[1]), np.asarray((own / means[0] - other / means[1]) / size)


def _logit(treated: FloatArray, weight: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Give propensities and the inverse of the information, by Newton's steps; None if it does not settle."""
    slopes = np.zeros(x.shape[1])
    for _ in range(NEWTON_STEPS):
        propensity = 1 / (1 + np.exp(-np.clip(x @ slopes, -500, 500)))
        information = (x * (weight * propensity * (1 - propensity))[:, None]).T @ x
        # Covariates that part the groups wholly: propensities run to 0 and 1, and there is nobody to compare with.
        if not np.linalg.cond(information) < MOST_SEPARATED:
            return None
        bread = np.linalg.inv(information)
        step = bread @ (x.T @ (weight * (treated - propensity)))
        if not np.isfinite(step).all():
            return None
        if np.abs(step).max() <= SETTLED * (1 + np.abs(slopes).max()):
            return np.asarray(propensity), np.asarray(bread, np.float64)
        slopes = slopes + step
    return None
