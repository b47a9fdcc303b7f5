"""The functions that expressions can call, beside CEL's own. Null in gives null out, unless said otherwise.

They raise ValueError or TypeError with words for the admin; `expressions` makes a failure of the rule out of it.
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

_DURATION = re.compile(
    r"P(?:(?P<W>[\d.]+)W)?(?:(?P<D>[\d.]+)D)?(?:T(?:(?P<H>[\d.]+)H)?(?:(?P<M>[\d.]+)M)?(?:(?P<S>[\d.]+)S)?)?"
)
_SECONDS = {"W": 604_800, "D": 86_400, "H": 3_600, "M": 60, "S": 1}


def moment(value: object) -> datetime:
    """Read a CEL timestamp or an ISO 8601 text as an aware time in UTC; without a zone it counts as UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if not isinstance(value, str):
        raise TypeError(f"{type_of(value)} is no time; a timestamp or an ISO 8601 text is expected")
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{value[:40]!r} is no time as ISO 8601 has it, like 2026-10-05T08:00:00Z") from None


def parent(parents: Sequence[str], text: str) -> str | None:
    """Id of the nearest parent or grouping activity whose id contains the text; null when there is none."""
    return next((activity for activity in parents if str(text) in activity), None)


def fraction(score: dict[str, Any] | None) -> float | None:
    """An xAPI score as 0 to 1: from raw, min (0 if absent) and max, else from scaled; null if it cannot be known.

    A raw score below min is none (Moodle says -1 where a grade was taken back), one above max is extra credit and
    counts as 1. `scaled` comes last because Moodle's sender gives it as 2 * (raw - min) / (max - min) - 1. A negative
    one is unknown: it may be such a value, or a true negative score.
    """
    if score is None:
        return None
    if not isinstance(score, dict):
        raise TypeError(f"{type_of(score)} is no xAPI score; fraction(result.score) is what is mostly meant")
    raw, low, high = _number(score.get("raw")), _number(score.get("min")), _number(score.get("max"))
    if raw is not None and high is not None:
        low = low or 0.0
        return min((raw - low) / (high - low), 1.0) if low <= raw and low < high else None
    scaled = _number(score.get("scaled"))
    return min(scaled, 1.0) if scaled is not None and scaled >= 0 else None


def hours(later: object, earlier: object) -> float | None:
    """Hours from the second time to the first."""
    return _seconds_between(later, earlier, 3_600)


def days(later: object, earlier: object) -> float | None:
    """Days from the second time to the first."""
    return _seconds_between(later, earlier, 86_400)


def text(language_map: dict[str, str] | None) -> str | None:
    """The text of a language map: English if it is there, else the first by language tag."""
    if not isinstance(language_map, dict):
        return language_map
    tags = sorted(language_map, key=lambda tag: (not tag.lower().startswith("en"), tag))
    return language_map[tags[0]] if tags else None


def duration_seconds(duration: str | None) -> float | None:
    """Seconds of an ISO 8601 duration like PT1H30M; years and months have no fixed length and fail."""
    if duration is None:
        return None
    found = _DURATION.fullmatch(str(duration))
    parts = {unit: amount for unit, amount in found.groupdict().items() if amount} if found else {}
    if not parts:
        raise ValueError(
            f"{str(duration)[:40]!r} is no duration of weeks, days, hours, minutes and seconds, like PT1H30M"
        )
    return sum(float(amount) * _SECONDS[unit] for unit, amount in parts.items())


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "parent": parent,
    "fraction": fraction,
    "hours": hours,
    "days": days,
    "text": text,
    "duration_seconds": duration_seconds,
}
"""Every function by the name that expressions call it by; the first argument of `parent` is given by the reader."""

ARGUMENTS = {"parent": 1, "fraction": 1, "hours": 2, "days": 2, "text": 1, "duration_seconds": 1}

STATEMENT_ONLY = frozenset({"parent"})
"""Functions that make sense for statements alone."""


def type_of(value: object) -> str:
    """Name a value's type as the README does."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "a map"
        case datetime():
            return "a timestamp"
        case _:
            return f"a {type(value).__name__}"


def _seconds_between(later: object, earlier: object, unit: int) -> float | None:
    if later is None or earlier is None:
        return None
    return (moment(later) - moment(earlier)).total_seconds() / unit


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
