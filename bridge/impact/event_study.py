"""The effect by time since training, in bins, with a band that holds for all bins at once."""

from dataclasses import dataclass

import numpy as np
import scipy.stats

from bridge.impact import jackknife
from bridge.impact.columns import FloatArray
from bridge.impact.imputation import Imputation

DRAWS = 20_000
_SEED = 20_261_120
"""Any fixed number: the same data give the same band."""


@dataclass(frozen=True)
class Bin:
    """Periods `start` to `end` since training, both included; `band` is simultaneous, `interval` for this bin alone."""

    start: int
    end: int
    interval: jackknife.Interval
    band_low: float | None
    band_high: float | None
    people: int | None
    """None where they are too few to be told."""
    in_window: bool
    """Whether the bin touches the nomination window, where people are expected to have been weaker."""


@dataclass(frozen=True)
class EventStudy:
    bins: tuple[Bin, ...]
    critical: float | None
    """Standard errors to each side of the band; that of one interval is smaller."""


def event_study(fit: Imputation) -> EventStudy:
    """Give all bins before and after training, from the earliest."""
    contract = fit.fit.design.contract
    named = [name for name in fit.names if name.startswith(("pre:", "post:"))]
    starts = {name: int(name.split(":")[1]) for name in named}
    named.sort(key=starts.__getitem__)
    known = [name for name in named if fit.get(name).known]
    critical = None
    if known:
        critical = sup_t(np.column_stack([fit.column(name) for name in known]), contract.level)
    return EventStudy(tuple(_bin(fit, name, starts[name], critical) for name in named), critical)


def sup_t(replicates: FloatArray, level: float) -> float:
    """Give how many standard errors cover all estimates at once, from the correlation of their replicates.

    By simulation of the largest of correlated t values; at least that of a single interval.
    """
    groups = len(replicates)
    spread = jackknife.covariance(replicates)
    scale = np.sqrt(np.diag(spread))
    values, vectors = np.linalg.eigh(spread / np.outer(scale, scale))
    # The symmetric root: signs of eigenvectors, and so the draws, differ from machine to machine.
    root = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    random = np.random.default_rng(_SEED)
    normal = random.standard_normal((DRAWS, len(scale))) @ root.T
    heavy = np.sqrt((groups - 1) / random.chisquare(groups - 1, DRAWS))
    simulated = float(np.quantile(np.abs(normal).max(axis=1) * heavy, level))
    return max(simulated, float(scipy.stats.t.ppf(0.5 + level / 2, groups - 1)))


def _bin(fit: Imputation, name: str, start: int, critical: float | None) -> Bin:
    design = fit.fit.design
    contract = design.contract
    end = start + contract.bin - 1
    if start >= 0:
        end = min(end, design.horizon - 1)
    found = fit.get(name, contract.level)
    low = high = None
    if critical is not None and found.estimate is not None and found.se is not None:
        low, high = found.estimate - critical * found.se, found.estimate + critical * found.se
    since, person = design.since, design.panel.person
    rows = fit.rows[name] if name in fit.rows else np.flatnonzero((since >= start) & (since <= end))
    people = len(np.unique(person[rows]))
    window = start < 0 and end >= -contract.exclude_before
    return Bin(start, end, found, low, high, people, window)
