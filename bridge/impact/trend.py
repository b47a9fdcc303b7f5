"""The trained as they did and as they would have done, period by period: what the effect is the difference of."""

from dataclasses import dataclass

import numpy as np

from bridge.impact.columns import IntArray
from bridge.impact.imputation import Imputation


@dataclass(frozen=True)
class Point:
    """Means of the same people in one period; None where they are too few to be shown."""

    period: int
    observed: float | None
    predicted: float | None
    """From their own level before the window and from what untrained people of their role did in that period."""
    people: int | None


@dataclass(frozen=True)
class Wave:
    """People of the trend who were trained in a period; how many is None where they are too few to be told."""

    period: int
    people: int | None


@dataclass(frozen=True)
class Trend:
    points: tuple[Point, ...] = ()
    waves: tuple[Wave, ...] = ()


def trend(found: Imputation) -> Trend:
    """Give the trend of the people that the effect is of, on the scale of the estimate."""
    fit = found.fit
    design, panel = fit.design, fit.design.panel
    people = np.unique(panel.person[fit.used])
    before = design.untrained[np.isin(panel.person[design.untrained], people)]
    rows = np.concatenate([before, fit.used])
    if not len(rows):
        return Trend()
    observed = panel.outcome[rows]
    predicted = observed - fit.beyond(rows)
    periods, place = np.unique(panel.period[rows], return_inverse=True)
    place = place.reshape(-1)
    weight = panel.weight[rows]
    total = np.bincount(place, weight)
    means = [np.bincount(place, weight * values) / total for values in (observed, predicted)]
    points = zip(periods.tolist(), *(one.tolist() for one in means), np.bincount(place).tolist(), strict=True)
    return Trend(tuple(Point(*point) for point in points), _waves(found, people))


def _waves(found: Imputation, people: IntArray) -> tuple[Wave, ...]:
    moments, sizes = np.unique(found.fit.design.panel.first_treated[people], return_counts=True)
    return tuple(Wave(int(moment), size) for moment, size in zip(moments.tolist(), sizes.tolist(), strict=True))
