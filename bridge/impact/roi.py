"""Return on investment, as an interval, and only of an effect that was graded (Phillips: isolate the effect first)."""

from dataclasses import dataclass

from bridge.impact.contract import Family
from bridge.impact.families import in_percent
from bridge.impact.result import Grade, Result


@dataclass(frozen=True)
class Return:
    """Net benefit over cost: -1 is all lost, 0 even, 1 the cost gained once more. There is no point estimate."""

    low: float
    high: float


def return_on_investment(result: Result, *, cost: float, volume: float, unit_value: float) -> Return | None:
    """Give the interval, or None where the verdict carries none.

    `volume` is how many units the effect acted on (of trained person-periods: cases, calls, hours), `unit_value` what
    one unit of the metric in its better direction is worth; for a rate a whole (one more case won of one), for `log`
    the value of the whole level (an effect of 8 % saves 0.08 of it). Raises ValueError for a cost of 0 or less.
    """
    if cost <= 0:
        raise ValueError(f"cost is {cost}, and must be above 0")
    effect = result.att
    if result.verdict.grade not in {Grade.STRONG, Grade.MODERATE, Grade.WORSE}:
        return None
    if effect.low is None or effect.high is None:
        return None
    sign = result.metric.direction.sign
    ends = sorted(_gain(result.metric.family, end) * sign * volume * unit_value for end in (effect.low, effect.high))
    return Return(*((gain - cost) / cost for gain in ends))


def _gain(family: Family, effect: float) -> float:
    return in_percent(family, effect) / 100 if family in {Family.LOG, Family.RATE} else effect
