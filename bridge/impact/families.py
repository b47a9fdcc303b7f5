"""What becomes of each kind of metric before it is averaged, and how its effect is said.

Effects are additive in what the engine sees: points of a share, units of a rating, a difference of logarithms.
"""

import math

import numpy as np

from bridge.impact.columns import BoolArray, FloatArray
from bridge.impact.contract import Family, Metric
from bridge.impact.errors import PanelError
from bridge.impact.panels import Panel


def prepare(panel: Panel, metric: Metric, name: str = "outcome") -> Panel:
    """Give the panel with the outcome that is estimated on.

    - linear, rating: the value.
    - rate: events / exposure, from 0 to 1; without exposure the value is that already.
    - log: the logarithm of the value, which is above 0. The value of a person-week is the geometric mean of its cases,
      with those that were open at the horizon counted as that long (`censored`).
    - count: events / exposure; without exposure each person-week has the same.
    - ratio: numerator / exposure, linearised around the ratio of all untrained rows, because a mean of ratios is not
      the ratio of means and weighs a week of one case like one of fifty.

    Raises PanelError where a value is not one of the family.
    """
    values = panel.outcome
    match metric.family:
        case Family.LINEAR | Family.RATING:
            return panel
        case Family.RATE:
            share = values / panel.exposure if panel.exposure is not None else values
            _refuse((share < 0) | (share > 1), panel, f"a rate that is not from 0 to 1 (family {metric.family})", name)
            return panel.with_outcome(share)
        case Family.LOG:
            _refuse(values <= 0, panel, "a value that is not above 0, so it has no logarithm (family log)", name)
            return panel.with_outcome(np.log(values))
        case Family.COUNT:
            _refuse(values < 0, panel, "a count below 0 (family count)", name)
            return panel if panel.exposure is None else panel.with_outcome(values / panel.exposure)
        case Family.RATIO:
            if panel.exposure is None:
                raise PanelError("a ratio needs an exposure column to divide by (family ratio)", column=name)
            return panel.with_outcome(_linearised(panel, panel.exposure))


def censored(hours: FloatArray, *, is_open: BoolArray, horizon: float) -> FloatArray:
    """Give times to an end in which none is longer than the horizon, and what is still open is as long as that."""
    return np.where(is_open, horizon, np.minimum(hours, horizon))


def winsorised(values: FloatArray, most: float) -> FloatArray:
    """Cut values at a bound that the contract fixed before (the 99.5 % quantile of the time before)."""
    return np.minimum(values, most)


def in_percent(family: Family, effect: float) -> float:
    """Give an effect as it is said: points for a rate, per cent for a logarithm, itself for the others."""
    match family:
        case Family.LOG:
            return 100 * math.expm1(effect)
        case Family.RATE:
            return 100 * effect
        case _:
            return effect


def target_of(metric: Metric) -> float | None:
    """Give the target on the scale of the estimate, without sign."""
    if metric.target is None or metric.family is not Family.LOG:
        return metric.target
    return -math.log1p(-metric.target) if metric.direction.sign < 0 and metric.target < 1 else math.log1p(metric.target)


def _linearised(panel: Panel, exposure: FloatArray) -> FloatArray:
    free = panel.event_time < 0
    if not free.any():
        free = np.ones(len(free), bool)
    weight = panel.weight[free]
    mean = float(np.average(exposure[free], weights=weight))
    ratio = float(np.average(panel.outcome[free], weights=weight)) / mean
    return np.asarray(ratio + (panel.outcome - ratio * exposure) / mean)


def _refuse(wrong: BoolArray, panel: Panel, text: str, name: str) -> None:
    if wrong.any():
        first = int(panel.source[wrong].min())
        raise PanelError(text, column=name, row=first)
