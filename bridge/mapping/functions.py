"""The functions that expressions can call, beside CEL's own. Null in gives null out, unless said otherwise.

They raise ValueError or TypeError with words for the admin; `items` makes a failure of the rule out of it.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bridge.mapping import aliases

_DURATION = re.compile(
    r"P(?:0+Y)?(?:0+M)?(?:(?P<W>[\d.]+)W)?(?:(?P<D>[\d.]+)D)?"
    r"(?:T(?:(?P<H>[\d.]+)H)?(?:(?P<M>[\d.]+)M)?(?:(?P<S>[\d.]+)S)?)?"
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


def parent(values: Mapping[str, Any], text: str | None) -> str | None:
    """Id of the nearest parent or grouping activity whose id contains the text; null when there is none."""
    if text is None:
        return None
    _check_text(text, "parent")
    return next((activity for activity in values["parents"] if text in activity), None)


def activity_of_type(values: Mapping[str, Any], type: str | None) -> str | None:  # noqa: A002 - as it is documented
    """Id of the object or else nearest context activity (parent, grouping, category, other) of this type; or null."""
    if type is None:
        return None
    _check_text(type, "activity_of_type")
    roles = values["context"].get("contextActivities")
    activities = [values["object"]]
    for role in ("parent", "grouping", "category", "other") if isinstance(roles, dict) else ():
        found = roles.get(role)
        activities += found if isinstance(found, list) else [found]
    return next((activity["id"] for activity in activities if _is_of_type(activity, type)), None)


def ifi(agent: dict[str, Any] | None) -> str | None:
    """The alias of an xAPI agent or group, like `mbox:mailto:a@example.com`; null for an anonymous group."""
    if agent is None:
        return None
    if not isinstance(agent, dict):
        raise TypeError(f"{type_of(agent)} is no xAPI agent; ifi(actor) is what is mostly meant")
    return aliases.of_actor(agent)


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


def text(language_map: dict[str, str] | str | None, language: str | None = None) -> str | None:
    """The text of a language map: in the language if it is there, else in English, else the first by language tag."""
    if isinstance(language_map, str):
        return language_map
    if language_map is None:
        return None
    if not isinstance(language_map, dict):
        raise TypeError(f"{type_of(language_map)} is no language map; text(object.definition.name) is one")
    if language is not None:
        _check_text(language, "text")
    wanted = [language.lower()] if language else []
    # An exact tag comes before its varieties, for it is shorter.
    tags = sorted(language_map, key=lambda tag: (*(not _is_in(tag, one) for one in [*wanted, "en"]), tag))
    found = language_map[tags[0]] if tags else None
    if found is not None and not isinstance(found, str):
        raise TypeError(f"{type_of(found)} stands in the language map where a text is expected")
    return found


def duration_seconds(duration: str | None) -> float | None:
    """Seconds of an ISO 8601 duration like PT1H30M; years and months have no fixed length and fail."""
    if duration is None:
        return None
    if not isinstance(duration, str):
        raise TypeError(f"{type_of(duration)} is no duration; an ISO 8601 text like PT1H30M is expected")
    found = _DURATION.fullmatch(duration)
    parts = {unit: amount for unit, amount in found.groupdict().items() if amount} if found else {}
    if not parts:
        raise ValueError(f"{duration[:40]!r} is no duration of weeks, days, hours, minutes and seconds, like PT1H30M")
    return sum(float(amount) * _SECONDS[unit] for unit, amount in parts.items())


Kinds = frozenset[str]
"""Names of CEL types, any one of which a value may have."""


def kinds(names: str) -> Kinds:
    """Give the kinds whose names stand in a text."""
    return frozenset(names.split())


_TIME = kinds("string timestamp null")
_TEXT = kinds("string null")
_NUMBER = kinds("int uint double null")


@dataclass(frozen=True, slots=True)
class Function:
    """A function of ours as expressions see it."""

    signature: str
    """As the README has it."""
    takes: tuple[Kinds, ...]
    """What each argument may be."""
    gives: Kinds
    call: Callable[..., Any] | None
    """None where the document supplies it: see `items.Item`."""
    optional: int = 0
    """How many of the last arguments may be left out."""
    of_statement: bool = False
    """It is there for statements only, and is called with the item's variables before its arguments."""
    about: str = ""
    """What it gives, where there is no docstring to say it."""

    @property
    def counts(self) -> range:
        """Give how many arguments it may be called with."""
        return range(len(self.takes) - self.optional, len(self.takes) + 1)

    @property
    def description(self) -> str:
        """Say in a line what it gives."""
        return self.about or (self.call.__doc__ or "").splitlines()[0]


FUNCTIONS: Mapping[str, Function] = {
    "parent": Function("parent(text)", (_TEXT,), _TEXT, parent, of_statement=True),
    "activity_of_type": Function("activity_of_type(type)", (_TEXT,), _TEXT, activity_of_type, of_statement=True),
    "ifi": Function("ifi(agent)", (kinds("map null"),), _TEXT, ifi),
    "fraction": Function("fraction(score)", (kinds("map null"),), kinds("double null"), fraction),
    "hours": Function("hours(later, earlier)", (_TIME, _TIME), kinds("double null"), hours),
    "days": Function("days(later, earlier)", (_TIME, _TIME), kinds("double null"), days),
    "text": Function("text(language_map[, language])", (kinds("map string null"), _TEXT), _TEXT, text, optional=1),
    "duration_seconds": Function("duration_seconds(duration)", (_TEXT,), kinds("double null"), duration_seconds),
    "business_hours": Function(
        "business_hours(later, earlier)",
        (_TIME, _TIME),
        kinds("double null"),
        None,
        about="Working hours from the second time to the first, by the document's `calendar`.",
    ),
    "money": Function(
        "money(amount, currency, at)",
        (_NUMBER | _TEXT, _TEXT, _TIME),
        kinds("double null"),
        None,
        about="The amount in the base currency, by the rate of the document's `money` that held at the time.",
    ),
}
"""Every function by the name that expressions call it by."""


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


def _check_text(value: object, function: str) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{type_of(value)} is no text, and {function}() needs one")


def _is_of_type(activity: object, wanted: str) -> bool:
    definition = activity.get("definition") if isinstance(activity, dict) else None
    return (
        isinstance(activity, dict)
        and isinstance(activity.get("id"), str)
        and isinstance(definition, dict)
        and definition.get("type") == wanted
    )


def _is_in(tag: str, language: str) -> bool:
    """Tell whether a language tag is the language or a variety of it: de-AT is German."""
    tag = tag.lower()
    return tag == language or tag.startswith(f"{language}-")
