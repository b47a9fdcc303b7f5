"""Ordinary and weighted least squares with the standard errors that the literature prints."""

from dataclasses import dataclass

import numpy as np

from bridge.impact.columns import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Regression:
    """Coefficients, and their standard errors in several ways; of a column that says nothing new they are NaN.

    `pooled` takes one variance for all rows; HC1 and HC2 one for each row (HC2 of two groups is Welch's, with each
    group's own variance); `cluster` one for each cluster, with the usual correction (CR1).
    """

    coefficients: FloatArray
    pooled: FloatArray
    hc1: FloatArray
    hc2: FloatArray
    cluster: FloatArray | None
    rows: int
    df: int


def regress(
    outcome: FloatArray, columns: FloatArray, *, weight: FloatArray | None = None, cluster: IntArray | None = None
) -> Regression:
    """Explain the outcome by columns, of which one should be all ones; the first of those that say the same counts."""
    size, width = columns.shape
    root = np.ones(size) if weight is None else np.sqrt(weight)
    x, y = columns * root[:, None], outcome * root
    kept = independent(x)
    x = x[:, kept]
    df = size - len(kept)
    inverse: FloatArray = np.asarray(np.linalg.inv(x.T @ x), np.float64)
    slopes = inverse @ (x.T @ y)
    left = y - x @ slopes
    hat = np.einsum("ij,jk,ik->i", x, inverse, x)
    scores = x * left[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = np.sqrt(np.diag(inverse) * (left @ left) / df if df > 0 else np.full(len(kept), np.nan))
        hc1 = _sandwich(inverse, scores) * (np.sqrt(size / df) if df > 0 else np.nan)
        hc2 = _sandwich(inverse, scores / np.sqrt(np.where(hat < 1 - 1e-12, 1 - hat, np.nan))[:, None])
    clustered = None
    if cluster is not None and df > 0:
        count = int(cluster.max()) + 1
        sums = np.zeros((count, len(kept)))
        np.add.at(sums, cluster, scores)
        many = len(np.unique(cluster))
        scale = many / (many - 1) * (size - 1) / df if many > 1 else np.nan
        clustered = _sandwich(inverse, sums) * np.sqrt(scale)

    def spread(values: FloatArray) -> FloatArray:
        whole = np.full(width, np.nan)
        whole[kept] = values
        return whole

    return Regression(
        coefficients=spread(slopes),
        pooled=spread(pooled),
        hc1=spread(hc1),
        hc2=spread(hc2),
        cluster=None if clustered is None else spread(clustered),
        rows=size,
        df=df,
    )


def _sandwich(inverse: FloatArray, scores: FloatArray) -> FloatArray:
    return np.sqrt(np.clip(np.diag(inverse @ (scores.T @ scores) @ inverse), 0, None))


def independent(x: FloatArray) -> list[int]:
    """Give the columns that are no sum of those before them, by orthogonalising one after another, twice."""
    kept: list[int] = []
    basis: list[FloatArray] = []
    for one in range(x.shape[1]):
        column = x[:, one]
        length = np.linalg.norm(column)
        rest = column.copy()
        for _ in range(2):
            for other in basis:
                rest = rest - (other @ rest) * other
        left = np.linalg.norm(rest)
        if length > 0 and left > 1e-9 * length:
            kept.append(one)
            basis.append(rest / left)
    return kept
