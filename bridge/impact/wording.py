"""Plain sentences, each true of its numbers: with an interval, never "proved", never before against after.

Figures are printed with as many digits as their interval carries, so that they can be read back.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.impact.contract import Contract, Direction, Family, Metric
from bridge.impact.families import in_percent
from bridge.impact.jackknife import Interval
from bridge.impact.result import Code, Grade, Reason

DIGITS = 2
"""Significant digits of an interval's half width."""


@dataclass(frozen=True)
class Said:
    """All that a verdict's sentences speak of."""

    metric: Metric
    contract: Contract
    grade: Grade
    reasons: Sequence[Reason]
    effect: Interval
    itt: Interval
    completion_rate: float | None
    target: float | None
    detectable: float | None
    dip_share: float | None
    people: int
    teams: int
    has_teams: bool
    horizon: int
    next_check: str = ""
    hidden: bool = False
    """Whether so few people are behind the figures that none may be shown."""
    compared: str = "colleagues in the same role not yet trained"
    span: str = ""
    """Over which time, where it is not the horizon."""
    between: tuple[str, str] | None = None
    """The two groups, where nobody was looked at twice: then nothing rose or fell, and one is higher or lower."""
    chance: str = "who was trained first"
    assumption: str = (
        "This assumes that both groups would otherwise have moved alike; we found no sign against it, "
        "which a test of the time before can miss."
    )


def sentences(said: Said) -> tuple[str, ...]:
    """Say the verdict first, then what it rests on, then what to do."""
    lines = [_verdict(said)]
    if said.grade is Grade.NOT_ENOUGH:
        lines += [_sentence(reason.text) for reason in said.reasons]
        lines += _figures(said)
    elif said.grade in (Grade.MODERATE, Grade.WORSE) and not said.contract.randomised:
        lines.append(said.assumption)
    elif said.contract.randomised:
        lines.append(f"This takes it that chance decided {said.chance}; the data alone cannot show that.")
    if said.grade in (Grade.STRONG, Grade.MODERATE) and said.target is not None:
        lines += _against_target(said)
    lines += _sent(said)
    if said.dip_share is not None and said.dip_share >= 0.05 and not _forbidding(said):
        share = _share(said.dip_share)
        lines.append(
            f"These people were sent after a weak spell; about {share} of the before/after change would have come "
            "anyway, and is not counted here."
        )
    if said.next_check:
        lines.append(f"Next check: {said.next_check}.")
    return tuple(lines)


def change(metric: Metric, effect: Interval, level: float = 0.95) -> str:
    """Say an effect and its interval: "rose by 5.5 percentage points (95 % interval 3.9 to 7.1)"."""
    low, high, middle = _scaled(metric, effect)
    digits = _digits(low, high)
    if low <= 0 <= high:
        span = _interval(_signed(low, digits), _signed(high, digits), level)
        return f"changed by {_signed(middle, digits)}{_unit(metric)} ({span})"
    if middle < 0:
        low, high, middle = -high, -low, -middle
    span = _interval(f"{low:.{digits}f}", f"{high:.{digits}f}", level)
    verb = "rose" if (effect.estimate or 0) > 0 else "fell"
    return f"{verb} by {middle:.{digits}f}{_unit(metric)} ({span})"


def difference(metric: Metric, effect: Interval, between: tuple[str, str], level: float = 0.95) -> str:
    """Say how two groups differ: "was 1.8 percentage points higher (95 % interval 0.5 to 3.1) among A than among B"."""
    verb, by, rest = change(metric, effect, level).split(" ", 2)
    one, other = between
    if verb == "changed":
        return f"differed {by} {rest} between {one} and {other}"
    size, span = rest.rsplit(" (", 1)
    return f"was {size} {'higher' if verb == 'rose' else 'lower'} ({span} among {one} than among {other}"


def amount(metric: Metric, size: float, more: int = 0) -> str:
    """Say a size without sign, given on the scale of the estimate, with so many more digits than usual."""
    value = abs(in_percent(metric.family, size if metric.direction is Direction.HIGHER else -size))
    return f"{value:.{_digits(-value, value) + more}f}{_unit(metric)}"


def amounts(metric: Metric, one: float, other: float) -> tuple[str, str]:
    """Say two sizes, with digits enough to tell them apart."""
    return _apart(lambda more: (amount(metric, one, more), amount(metric, other, more)))


def shares(one: float, other: float) -> tuple[str, str]:
    """Say two shares, with digits enough to tell them apart."""
    return _apart(lambda more: (f"{one:.{more}%}", f"{other:.{more}%}"))


def numbers(one: float, other: float) -> tuple[str, str]:
    """Say two numbers of about 1, with digits enough to tell them apart."""
    return _apart(lambda more: (f"{one:.{1 + more}f}", f"{other:.{1 + more}f}"))


MOST_DIGITS = 12


def _apart(write: Callable[[int], tuple[str, str]]) -> tuple[str, str]:
    """Write two figures so that a sentence which says that one is larger can be seen to be true."""
    for more in range(MOST_DIGITS):
        one, other = write(more)
        if one != other:
            return one, other
    return write(0)


def _verdict(said: Said) -> str:
    name = said.metric.words
    span = "" if said.between else f"{_span(said)}, compared with {said.compared}"
    title = name[:1].upper() + name[1:]
    match said.grade:
        case Grade.STRONG | Grade.MODERATE | Grade.WORSE:
            worse = " That is worse, not better." if said.grade is Grade.WORSE else ""
            return f"{title} {_change(said, said.effect)}{span}.{worse}"
        case Grade.NO_EFFECT:
            target = amount(said.metric, said.target or 0)
            shown = _change(said, said.effect)
            return f"Any gain is smaller than your target of {target}: {said.metric.within} {shown}{_span(said)}."
        case _:
            return f"We cannot tell yet whether {said.metric.within} changed because of the training."


def _figures(said: Said) -> list[str]:
    """Say what the numbers are, where they are; and how much would have been needed to see something."""
    if said.hidden:
        return []
    lines = []
    forbidding = _forbidding(said)
    if said.effect.known and not forbidding:
        lines.append(f"The estimate so far: {said.metric.within} {_change(said, said.effect)}. That is no finding.")
    if said.detectable is not None and not forbidding:
        teams = f" in {said.teams} team{'s' * (said.teams != 1)}" if said.has_teams else ""
        people = f"{said.people} {'person' if said.people == 1 else 'people'} trained"
        lines.append(
            f"With {people}{teams} only a change above {amount(said.metric, said.detectable)} would be likely to show."
        )
    return lines


def _forbidding(said: Said) -> bool:
    return bool({reason.code for reason in said.reasons} & _MISLEADING)


_MISLEADING = {
    Code.DISAGREE,
    Code.NO_ESTIMATE,
    Code.NO_COMPARISON,
    Code.DESIGN,
    Code.UNEQUAL_LOSS,
    Code.CHANGED_METRIC,
    Code.SMALL_CELL,
}
"""Reasons with which the estimate is likely to be wrong and not only unsure: no sentence repeats it."""


def _against_target(said: Said) -> list[str]:
    target, effect = said.target or 0.0, said.effect
    low, high = sorted((abs(effect.low or 0.0), abs(effect.high or 0.0)))
    named = amount(said.metric, target)
    if low >= target:
        return [f"That is at least your target of {named}."]
    if high < target:
        return [f"That is less than your target of {named}."]
    return [f"Whether your target of {named} was reached is open."]


def _sent(said: Said) -> list[str]:
    if said.completion_rate is None or said.hidden or said.grade is Grade.NOT_ENOUGH or not said.itt.known:
        return []
    trained = _share(said.completion_rate)
    return [f"Among all sent ({trained} of them trained), {said.metric.within} {_change(said, said.itt)}."]


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"


def _change(said: Said, effect: Interval) -> str:
    if said.between:
        return difference(said.metric, effect, said.between, said.contract.level)
    return change(said.metric, effect, said.contract.level)


def _span(said: Said) -> str:
    word = said.contract.period_word
    if said.between:
        return ""
    if said.span:
        return f" {said.span}"
    return f" in the {said.horizon} {word}s after training" if said.horizon > 1 else f" in the {word} of training"


def _scaled(metric: Metric, effect: Interval) -> tuple[float, float, float]:
    low, high, middle = (in_percent(metric.family, x or 0.0) for x in (effect.low, effect.high, effect.estimate))
    return low, high, middle


def _digits(low: float, high: float) -> int:
    """Give the decimals that show the half width with two significant digits."""
    half = abs(high - low) / 2
    if not half or not math.isfinite(half):
        return DIGITS
    return max(0, DIGITS - 1 - math.floor(math.log10(half)))


def _interval(low: str, high: str, level: float) -> str:
    return f"{level:.0%} interval {low} to {high}".replace("%", " %", 1)


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def _unit(metric: Metric) -> str:
    match metric.family:
        case Family.LOG:
            return " %"
        case Family.RATE:
            return " percentage points"
        case _:
            return f" {metric.unit}" if metric.unit else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
