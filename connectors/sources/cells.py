"""The types of a column: how the text of a cell becomes a JSON value, and how such a type is declared.

Pure. A time is given out in UTC as `YYYY-MM-DDTHH:MM:SSZ`, with six decimals where it has a fraction of a second.
Local times are read by the zone's own rules: of the hour that comes twice when clocks go back, the first is meant; an
hour that the clocks skipped never was, so a cell that names it is refused: either it or the declared zone is wrong.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from marshmallow import ValidationError, fields, post_load, validates_schema

from connectors.documents import StrictSchema, Text, TextList, nearest, say

Json = str | int | float | bool | None
Convert = Callable[[str], Json]

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
MAX_INTEGER = 2**63 - 1
"""What databases and CEL hold as a whole number."""
REMEMBERED_CELLS = 8192
"""Converted times kept per column: strptime costs 5 us, and the same minute comes again and again."""
_PROBE = datetime(2001, 2, 3, 16, 5, 6, tzinfo=UTC)
"""A moment in which no two parts are equal and the hour is past noon, to try formats on."""


class CellError(ValueError):
    """A cell that is not what its column is declared to be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Column:
    """A declared column: how its cells are read, and how its values order versions."""

    convert: Convert | None
    """Reads a cell that is not null; None leaves the text as it stands."""
    rank: Callable[[Any], Json] | None = None
    """Gives what to compare a value by; None where values of this type order nothing."""


def quoted(text: str, limit: int = 60) -> str:
    """Give a text as it can stand in a message: shortened, in quotes, with nothing invisible."""
    return repr(printable(text, limit))


def printable(text: str, limit: int) -> str:
    """Shorten a text, and show what no database takes: NUL as U+2400, undecodable bytes as \\xNN."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return _UNSTORABLE.sub(_shown, short)


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def unstorable(text: str) -> bool:
    """Tell whether a text holds a NUL, a byte that could not be decoded, or half a surrogate pair."""
    return (not text.isascii() or "\0" in text) and _UNSTORABLE.search(text) is not None


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == 0:
        return "\u2400"
    # Undecodable byte 0xNN is carried as U+DCNN (PEP 383).
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def integer(cell: str) -> int:
    """Read a whole number of at most 64 bits."""
    if not _INTEGER.fullmatch(cell) or abs(value := int(cell)) > MAX_INTEGER:
        raise CellError(
            f"{quoted(cell)} is not a whole number. Write digits only, or declare `type: number` or `text`."
        )
    return value


def number(cell: str) -> int | float:
    """Read a number with a decimal point; whole ones stay whole, nan and infinity are refused."""
    if _INTEGER.fullmatch(cell) and abs(int(cell)) <= MAX_INTEGER:
        return int(cell)
    if not _NUMBER.fullmatch(cell) or not math.isfinite(value := float(cell)):
        raise CellError(f"{quoted(cell)} is not a number. Write it like 1234.5, or declare `type: text`.")
    return value


def boolean(texts: Mapping[str, bool]) -> Convert:
    """Make the reading of a column whose texts, in small letters, stand for true and false."""
    known = ", ".join(repr(text) for text in texts)

    def convert(cell: str) -> bool:
        try:
            return texts[cell.casefold()]
        except KeyError:
            raise CellError(
                f"{quoted(cell)} is neither true nor false (known: {known}). "
                "Add it to `true`, `false` or `nulls`, or mend it."
            ) from None

    return convert


def calendar_date(pattern: str | None) -> Convert:
    """Make the reading of a column of dates; no pattern means ISO 8601."""

    def convert(cell: str) -> str:
        try:
            day = datetime.strptime(cell, pattern).date() if pattern else date.fromisoformat(cell)  # noqa: DTZ007
        except ValueError as err:
            raise CellError(_unlike(cell, "date", pattern)) from err
        return day.isoformat()

    return lru_cache(REMEMBERED_CELLS)(convert)


def moment(pattern: str | None, zone: tzinfo | None) -> Convert:
    """Make the reading of a column of times; no pattern means ISO 8601, the zone is for cells without an offset."""

    def convert(cell: str) -> str:
        try:
            at = datetime.strptime(cell, pattern) if pattern else datetime.fromisoformat(cell)  # noqa: DTZ007
            utc = at.astimezone(UTC) if at.tzinfo else _from_zone(at, zone)
        except CellError:
            raise
        except (ValueError, OverflowError) as err:
            raise CellError(_unlike(cell, "time", pattern)) from err
        return utc.isoformat().replace("+00:00", "Z")

    return lru_cache(REMEMBERED_CELLS)(convert)


def same(value: Json) -> Json:
    """Rank a value by itself."""
    return value


def moment_rank(value: str) -> str:
    """Rank a time by a text of one width, since 12:00:00Z would sort after 12:00:00.5Z."""
    return value if "." in value else value.replace("Z", ".000000Z")


def _from_zone(at: datetime, zone: tzinfo | None) -> datetime:
    if zone is None:
        raise CellError(f"{at} says no UTC offset. Declare the column's `timezone`, such as UTC or Europe/Berlin.")
    utc = at.replace(tzinfo=zone).astimezone(UTC)
    if utc.astimezone(zone).replace(tzinfo=None) != at:
        raise CellError(
            f"{at} never was in {zone}: clocks skipped it. Check the column's `timezone`, or mend the cell."
        )
    return utc


def _unlike(cell: str, what: str, pattern: str | None) -> str:
    expected = f"format {pattern!r}" if pattern else "ISO 8601 format"
    return f"{quoted(cell)} is not a {what} in {expected}. Correct the column's `format`, or mend the cell."


class ColumnSchema(StrictSchema):
    """The keys of every declared column."""

    type = Text(required=True)


class TextColumnSchema(ColumnSchema):
    """`{type: text}`: the cell as it stands, spaces included."""

    @post_load
    def make(self, _data: object, **_: object) -> Column:
        """Make the column."""
        return Column(None, same)


class IntegerColumnSchema(ColumnSchema):
    """`{type: integer}`."""

    @post_load
    def make(self, _data: object, **_: object) -> Column:
        """Make the column."""
        return Column(integer, same)


class NumberColumnSchema(ColumnSchema):
    """`{type: number}`."""

    @post_load
    def make(self, _data: object, **_: object) -> Column:
        """Make the column."""
        return Column(number, same)


class BooleanColumnSchema(ColumnSchema):
    """`{type: boolean, true: [texts], false: [texts]}`: texts are compared without regard to case."""

    yes = TextList(data_key="true", load_default=["true"])
    no = TextList(data_key="false", load_default=["false"])

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Column:
        """Make the column; refuses a text that would mean both."""
        yes, no = ({text.casefold() for text in data[key]} for key in ("yes", "no"))
        if both := yes & no:
            what = f"{min(both)!r} would mean both true and false."
            raise ValidationError(say(what, "Leave it in one of the two lists."), "true")
        return Column(boolean(dict.fromkeys(sorted(yes), True) | dict.fromkeys(sorted(no), False)))


class DateColumnSchema(ColumnSchema):
    """`{type: date, format: "%d/%m/%Y"}`; without a format ISO 8601, as in 2026-01-31."""

    format = Text(load_default=None)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Column:
        """Make the column."""
        _check_format(data["format"])
        return Column(calendar_date(data["format"]), same)


class DatetimeColumnSchema(ColumnSchema):
    """`{type: datetime, format: "%d/%m/%Y %H:%M", timezone: Europe/Berlin}`; without a format ISO 8601."""

    format = Text(load_default=None)
    timezone = Text(load_default=None)

    @validates_schema
    def check_zone_is_needed(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a format that leaves the zone open, and a zone that would never be used."""
        _check_format(data["format"])
        if data["format"] is None:
            return
        has_offset = "%z" in data["format"]
        if has_offset and data["timezone"]:
            what = "The format has %z, so every cell says its own offset."
            raise ValidationError(say(what, "Take `timezone` out."), "timezone")
        if not has_offset and not data["timezone"]:
            what = "The format says no UTC offset, so the zone of these times is unknown."
            raise ValidationError(
                say(what, "Add the zone they are written in: timezone: UTC, or Europe/Berlin."), "timezone"
            )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Column:
        """Make the column."""
        return Column(moment(data["format"], data["timezone"] and _zone(data["timezone"])), moment_rank)


COLUMN_TYPES: dict[str, type[ColumnSchema]] = {
    "text": TextColumnSchema,
    "integer": IntegerColumnSchema,
    "number": NumberColumnSchema,
    "boolean": BooleanColumnSchema,
    "date": DateColumnSchema,
    "datetime": DatetimeColumnSchema,
}


class ColumnsField(fields.Field[dict[str, Column]]):
    """Declared columns of any type, by name."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Column]:  # noqa: ANN401
        if not isinstance(value, Mapping):
            raise ValidationError(say("This is not a block.", "Write one line a column: opened_on: {type: date}."))
        columns, faults = {}, {}
        for name, declaration in value.items():
            try:
                columns[name] = _column(name, declaration)
            except ValidationError as err:
                faults[name] = err.messages
        if faults:
            raise ValidationError(faults)
        return columns


def _column(name: object, declaration: object) -> Column:
    if not isinstance(name, str):
        raise ValidationError(say(f"{name!r} is not read as a text.", "Put the column's name in quotes."))
    if not isinstance(declaration, Mapping):
        raise ValidationError(say("This is not a block.", "Write it like {type: integer}."))
    # YAML reads the bare keys `true` and `false` as the values.
    declaration = {str(key).lower() if isinstance(key, bool) else key: value for key, value in declaration.items()}
    named = declaration.get("type")
    if named not in COLUMN_TYPES:
        what = f"There is no column type {named!r}." if "type" in declaration else "This key is missing."
        raise ValidationError({"type": [say(what, nearest(str(named), COLUMN_TYPES))]})
    column: Column = COLUMN_TYPES[named]().load(declaration)
    return column


def _check_format(pattern: str | None) -> None:
    """Refuse a format that cannot be read, or that leaves open which day it is, or which half of it."""
    if pattern is None:
        return
    try:
        found = datetime.strptime(_PROBE.strftime(pattern), pattern)  # noqa: DTZ007
    except ValueError as err:
        what = f"{pattern!r} cannot be used as a format: {err}."
        raise ValidationError(say(what, "Build it of %Y %m %d %H %M %S, as in Python's strptime."), "format") from err
    if found.date() != _PROBE.date():
        what = f"{pattern!r} does not say year, month and day."
        raise ValidationError(say(what, "Add what is missing: %Y or %y, %m or %b, and %d."), "format")
    if found.hour not in (0, _PROBE.hour):
        raise ValidationError(say(f"{pattern!r} does not tell morning from evening.", "Use %H, or add %p."), "format")


def _zone(name: str) -> tzinfo:
    """Give a time zone by its IANA name; UTC also where the machine has no zone data."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as err:
        what = f"There is no time zone {name!r}."
        remedy = nearest(name, available_timezones(), otherwise="Use an IANA name such as UTC or Europe/Berlin.")
        raise ValidationError(say(what, remedy), "timezone") from err
