"""How a system writes the times that order its records, and how it wants to be asked for them."""

import base64
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from marshmallow import ValidationError

from connectors.documents import nearest, say
from connectors.sources.cells import CellError, moment, quoted
from connectors.sources.columns import check_format

Stamp = str | int | dict[str, str | int]
"""A time as it is sent."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Reads a value as a time in UTC, and writes a time as a value, rounded down to what the format can say."""

    read: Callable[[Any], datetime]
    """Raises CellError."""
    write: Callable[[datetime], Stamp]


def _iso(timespec: str) -> Callable[[tzinfo | None], Codec]:
    def make(zone: tzinfo | None) -> Codec:
        read_text = moment(None, zone)

        def write(at: datetime) -> str:
            return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"

        return Codec(lambda value: _from_text(value, read_text), write)

    return make


def _unix(units: int) -> Callable[[tzinfo | None], Codec]:
    """Count from 1970 in seconds (1) or thousandths (1000)."""

    def read(value: Any) -> datetime:  # noqa: ANN401
        try:
            number = float("nan" if isinstance(value, bool) else value)
            return datetime.fromtimestamp(number / units, UTC)
        except (TypeError, ValueError, OverflowError, OSError) as err:
            raise CellError(f"{quoted(str(value))} counts no time since 1970. Correct the cursor's `format`.") from err

    def write(at: datetime) -> int:
        return math.floor(at.timestamp() * units)

    return lambda _: Codec(read, write)


_PARTS = ("year", "month", "day", "hour", "minute", "second", "microsecond")


def _tryton(_zone: tzinfo | None) -> Codec:
    """Read and write times as Tryton's JSON has them, part by part, in UTC: `{__class__: datetime, year: 2026, ...}`.

    trytond/protocols/jsonrpc.py; the server's clock is UTC wherever it stands (trytond/__init__.py).
    """

    def read(value: Any) -> datetime:  # noqa: ANN401
        try:
            return datetime(**{part: value[part] for part in _PARTS}, tzinfo=UTC)
        except (TypeError, KeyError, ValueError) as err:
            raise CellError(f"{quoted(str(value))} is no time as Tryton writes it. Take another field.") from err

    def write(at: datetime) -> Stamp:
        there = at.astimezone(UTC)
        return {"__class__": "datetime", **{part: getattr(there, part) for part in _PARTS}}

    return Codec(read, write)


CODECS: dict[str, Callable[[tzinfo | None], Codec]] = {
    "iso": _iso("seconds"),
    "iso_ms": _iso("milliseconds"),
    "iso_us": _iso("microseconds"),
    "unix": _unix(1),
    "unix_ms": _unix(1000),
    "tryton": _tryton,
}
"""The named ones; a format with a % in it is one of Python's strptime."""


def _json(value: Any) -> str:  # noqa: ANN401
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


ENCODINGS: dict[str, Callable[[Any], str]] = {
    "json": _json,
    "base64_json": lambda value: base64.urlsafe_b64encode(_json(value).encode()).decode(),
}
"""How a parameter holds more than a text or a number, when its slots are filled: `{json: [[status, "=", "{low}"]]}`."""


def codec(name: str, zone: tzinfo | None) -> Codec:
    """Give a codec by its name or pattern; raises ValidationError."""
    if "%" in name:
        return _pattern(name, zone)
    if name not in CODECS:
        what = f"There is no format {name!r}."
        raise ValidationError(say(what, f"{nearest(name, CODECS)} Or write a pattern such as %Y-%m-%d %H:%M:%S."))
    return CODECS[name](zone)


def _pattern(pattern: str, zone: tzinfo | None) -> Codec:
    check_format(pattern)
    has_offset = "%z" in pattern
    if not has_offset and zone is None:
        what = "The format says no UTC offset, so the zone of these times is unknown."
        raise ValidationError(say(what, "Add the zone: timezone: UTC, or Europe/Berlin."))
    read_text = moment(pattern, zone)
    local = zone or UTC

    def write(at: datetime) -> str:
        there = at.astimezone(local)
        if not has_offset and there.replace(fold=0).utcoffset() != there.replace(fold=1).utcoffset():
            # In the hour that comes twice nobody knows which of the two the system takes it for: ask from before both.
            there = (there.replace(fold=0).astimezone(UTC) - timedelta(hours=1)).astimezone(local)
        return there.strftime(pattern)

    return Codec(lambda value: _from_text(value, read_text), write)


def _from_text(value: Any, read_text: Callable[[str], Any]) -> datetime:  # noqa: ANN401
    if not isinstance(value, str):
        raise CellError(f"{quoted(str(value))} is not a text with a time. Correct the cursor's `format`.")
    return datetime.fromisoformat(read_text(value))
