"""How sure an estimate is: leave out one team at a time, and see how far it moves.

Teams share managers, shocks and training dates, so people are not independent; teams are taken to be. With a team left
out at a time, and t with as many degrees of freedom as teams less one, intervals hold down to 6 trained teams
(`impact.md`, section 6).
"""

from dataclasses import dataclass

import numpy as np
import scipy.stats

from bridge.impact.columns import FloatArray, IntArray


@dataclass(frozen=True)
class Interval:
    """An estimate with its standard error, t interval and two-sided p-value; None where it cannot be told.

    With a standard error and no `df` the interval is a normal one.
    """

    estimate: float | None
    se: float | None
    low: float | None
    high: float | None
    p: float | None
    df: int | None

    @property
    def known(self) -> bool:
        return self.estimate is not None and self.se is not None


UNKNOWN = Interval(None, None, None, None, None, None)


def interval(estimate: float, se: float, df: float, level: float = 0.95) -> Interval:
    """Make an interval; a standard error of 0 or NaN is none."""
    if not np.isfinite(estimate):
        return UNKNOWN
    if not np.isfinite(se) or se <= 0 or df < 1:
        return Interval(float(estimate), None, None, None, None, None)
    half = float(scipy.stats.t.ppf(0.5 + level / 2, df)) * se
    p = float(2 * scipy.stats.t.sf(abs(estimate) / se, df))
    return Interval(
        float(estimate), float(se), estimate - half, estimate + half, p, int(df) if np.isfinite(df) else None
    )


def standard_errors(replicates: FloatArray) -> FloatArray:
    """Give the delete-one-group standard errors of replicates, groups x estimates; NaN where one replicate is."""
    return np.sqrt(np.diag(covariance(replicates)))


def covariance(replicates: FloatArray) -> FloatArray:
    groups = len(replicates)
    if groups < 2:
        return np.full((replicates.shape[1],) * 2, np.nan)
    known = np.where(np.isfinite(replicates), replicates, np.nan)
    away = known - known.mean(axis=0)
    return np.asarray((groups - 1) / groups * (away.T @ away))


def deal(team: IntArray, *, trained: FloatArray, spread: FloatArray, most: int) -> tuple[IntArray, int]:
    """Give each person's group: their team, or if there are more than `most`, one of so many of like make-up.

    `trained` and `spread` are sums of each person's: teams are dealt in the order of their trained people, then of
    their unexplained variation. Neither depends on names, on the order of rows, or on the unit or level of the metric.
    """
    teams = int(team.max()) + 1
    if teams <= most:
        return team, teams
    people = np.bincount(team, minlength=teams)
    having = np.bincount(team, trained, teams)
    varying = np.bincount(team, spread, teams)
    largest = varying.max()
    order = np.lexsort((np.round(varying / largest, 9) if largest > 0 else varying, people, having))
    group = np.empty(teams, np.int64)
    group[order] = np.arange(teams) % most
    return group[team], most
