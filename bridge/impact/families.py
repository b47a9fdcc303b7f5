"""What becomes of each kind of metric before it is averaged, and how its effect is said.

Effects are additive in what the engine sees: points of a share, units of a rating, a difference of logarithms.
"""

import math

import numpy as np

from bridge.impact.columns import BoolArray, FloatArray, IntArray
from bridge.impact.contract import Family, Metric
from bridge.impact.errors import PanelError
from bridge.impact.panels import Panel


def prepare(panel: Panel, metric: Metric) -> Panel:
    """Give the panel with the outcome that is estimated on.

    A rate or a count is divided by the exposure, if there is one. A ratio is linearised around the ratio of all
    untrained rows, because a mean of ratios is not the ratio of means and weighs a week of one case like one of fifty.

    Raises PanelError where a value is not one of the family.
    """
    exposure, values = panel.exposure, panel.outcome
    if metric.family is Family.RATIO:
        if exposure is None:
            text = "a ratio needs an exposure column to divide by (family ratio)"
            raise PanelError(text, column=panel.outcome_name)
        return panel.with_outcome(_linearised(panel, exposure))
    if exposure is not None and metric.family in (Family.RATE, Family.COUNT):
        values = values / exposure
    return panel.with_outcome(on_scale(values, metric.family, panel.outcome_name, panel.source))


def on_scale(values: FloatArray, family: Family, name: str, rows: IntArray) -> FloatArray:
    """Give values on the scale of the estimate; NaN stays. Raises PanelError by column name and number of row.

    - linear, rating, ratio: the value.
    - rate: a share from 0 to 1.
    - log: the logarithm of the value, which is above 0. The value of a person-week is the geometric mean of its cases,
      with those that were open at the horizon counted as that long (`censored`).
    - count: 0 or more.
    """
    match family:
        case Family.LINEAR | Family.RATING | Family.RATIO:
            return values
        case Family.RATE:
            _refuse((values < 0) | (values > 1), f"a rate that is not from 0 to 1 (family {family})", name, rows)
            return values
        case Family.LOG:
            _refuse(values <= 0, "a value that is not above 0, so it has no logarithm (family log)", name, rows)
            return np.asarray(np.log(values))
        case Family.COUNT:
            _refuse(values < 0, "a count below 0 (family count)", name, rows)
            return values


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


def _refuse(wrong: BoolArray, text: str, name: str, rows: IntArray) -> None:
    if wrong.any():
        raise PanelError(text, column=name, row=int(rows[wrong].min()))
