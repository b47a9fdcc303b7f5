"""How the type of a column is declared: one schema a type, each of which makes a `Column`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, available_timezones

from marshmallow import ValidationError, fields, post_load, validates_schema

from connectors.documents import StrictSchema, Text, TextList, nearest, say
from connectors.sources.cells import Convert, Json, boolean, calendar_date, integer, moment, number

_PROBE = datetime(2001, 2, 3, 16, 5, 6, tzinfo=UTC)
"""A moment in which no two parts are equal and the hour is past noon, to try formats on."""


@dataclass(frozen=True, slots=True)
class Column:
    """A declared column: how its cells are read, and how its values order versions."""

    convert: Convert | None
    """Reads a cell that is not null; None leaves the text as it stands."""
    rank: Callable[[Any], Json] | None = None
    """Gives what to compare a value by; None where values of this type order nothing."""


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
        check_format(data["format"])
        return Column(calendar_date(data["format"]), same)


class DatetimeColumnSchema(ColumnSchema):
    """`{type: datetime, format: "%d/%m/%Y %H:%M", timezone: Europe/Berlin}`; without a format ISO 8601."""

    format = Text(load_default=None)
    timezone = Text(load_default=None)

    @validates_schema
    def check_zone_is_needed(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a format that leaves the zone open, and a zone that would never be used."""
        check_format(data["format"])
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
        return Column(moment(data["format"], data["timezone"] and zone(data["timezone"])), moment_rank)


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

    json_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"enum": list(COLUMN_TYPES)}},
        },
    }

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
        what = f"There is no column type {named!r}." if "type" in declaration else "The key 'type' is missing."
        raise ValidationError({"type": [say(what, nearest(str(named), COLUMN_TYPES))]})
    column: Column = COLUMN_TYPES[named]().load(declaration)
    return column


def same(value: Json) -> Json:
    """Rank a value by itself."""
    return value


def moment_rank(value: str) -> str:
    """Rank a time by a text of one width, since 12:00:00Z would sort after 12:00:00.5Z."""
    return value if "." in value else value.replace("Z", ".000000Z")


def stamp_text(at: datetime) -> str:
    """Give a time as it orders versions and stands in states: in UTC, with six decimals, so that texts sort."""
    return moment_rank(at.astimezone(UTC).isoformat().replace("+00:00", "Z"))


def check_format(pattern: str | None) -> None:
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


def zone(name: str) -> tzinfo:
    """Give a time zone by its IANA name; UTC also where the machine has no zone data."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as err:
        what = f"There is no time zone {name!r}."
        remedy = nearest(name, available_timezones(), otherwise="Use an IANA name such as UTC or Europe/Berlin.")
        raise ValidationError(say(what, remedy), "timezone") from err
