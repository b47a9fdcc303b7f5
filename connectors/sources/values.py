"""What database drivers give, as JSON values; and the values that order rows, as they are kept, compared and moved.

Pure. A time without an offset is one of the declared zone. Texts stay as they are.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any
from uuid import UUID

from connectors.sources.cells import MAX_INTEGER, CellError, moment, unstorable
from connectors.sources.codecs import Codec
from connectors.sources.columns import stamp_text

_SPOKEN = (UUID, IPv4Address, IPv6Address, IPv4Network, IPv6Network, IPv4Interface, IPv6Interface)
"""Types whose text says all of them."""


class ColumnError(Exception):
    """A column of which no value can be used: the query is to be mended. The message ends a sentence on the column."""


class Values:
    """Makes JSON of a row's values."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        # Remembers what it has read: the same minute comes again and again.
        self._moment = moment(None, zone)

    def json(self, value: Any) -> Any:  # noqa: ANN401 - one line a type
        """Give the value as JSON has it; raises CellError for a value, ColumnError for a type that JSON has not."""
        match value:
            case None | bool():
                return value
            case str():
                if unstorable(value):
                    raise CellError("It holds a NUL or half a character, which cannot be stored. Mend it.")
                return value
            case int():
                return value if abs(value) <= MAX_INTEGER else float(value)
            case float() | Decimal():
                return number(value)
            case datetime():
                if value.tzinfo is None and self._zone is None:
                    raise ColumnError("holds times without an offset. Add the zone they are in: `timezone: UTC`.")
                return self._moment(value.isoformat())
            case date() | time():
                return value.isoformat()
            case timedelta():
                return number(value.total_seconds())
            case list() | tuple():
                return [self.json(one) for one in value]
            case Mapping():
                return {str(name): self.json(one) for name, one in value.items()}
            case bytes() | bytearray() | memoryview():
                raise ColumnError("holds bytes. Leave it out of the query, or write it as a text, as with encode().")
        if isinstance(value, _SPOKEN):
            return str(value)
        raise ColumnError(f"is of type {type(value).__name__}, which JSON has not. Cast it to a text in the query.")


def number(value: float | Decimal) -> int | float | None:
    """Give a number as JSON has it: whole ones whole, and none for what is no number or beyond all floats."""
    if not math.isfinite(value):
        return None
    if value == (whole := int(value)) and abs(whole) <= MAX_INTEGER and isinstance(value, Decimal):
        return whole
    return found if math.isfinite(found := float(value)) else None


# --- values that order rows ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """The first cursor column: a time of change, or a number that only grows."""

    zone: tzinfo | None
    codec: Codec | None
    """Where the column holds texts or numbers that stand for times."""
    lookback: timedelta
    lookback_numbers: int
    """So much is read again of a number that is no time."""

    def rank(self, value: Any) -> str | int | float:  # noqa: ANN401
        """Give what orders the versions of a record; raises CellError or ColumnError."""
        at = self.instant(value)
        return number_rank(value) if at is None else stamp_text(at)

    def instant(self, value: Any) -> datetime | None:  # noqa: ANN401
        """Give the time that a value stands for, None for a number that is none."""
        if self.codec is not None:
            return self.codec.read(value)
        match value:
            case datetime():
                if value.tzinfo is None and self.zone is None:
                    raise ColumnError("holds times without an offset. Add the zone they are in: `timezone: UTC`.")
                return value.replace(tzinfo=value.tzinfo or self.zone).astimezone(UTC)
            case date():
                return datetime.combine(value, time(), self.zone or UTC).astimezone(UTC)
            case str():
                raise ColumnError("holds texts. Say in `cursor.format` how they stand for times, or take another.")
        number_rank(value)
        return None

    def like(self, at: datetime, value: Any) -> Any:  # noqa: ANN401
        """Give a time as the column would hold it, of which `value` is an example."""
        if self.codec is not None:
            return self.codec.write(at)
        match value:
            case datetime() if value.tzinfo is not None:
                return at
            case datetime():
                return at.astimezone(self.zone).replace(tzinfo=None)
            case date():
                return at.astimezone(self.zone or UTC).date()
        raise ColumnError("holds numbers, so `start` and `settle` say nothing of it.")

    def earlier(self, value: Any) -> Any:  # noqa: ANN401
        """Give where to begin so that what was committed late is found, when `value` had been reached."""
        at = self.instant(value)
        if at is None:
            return value - self.lookback_numbers
        low = self.like(at - self.lookback, value)
        # Clocks went back, so rows that are written now sort before those of an hour ago.
        return low - timedelta(hours=1) if self._comes_twice(low) else low

    def is_settled(self, value: Any, high: datetime) -> bool:  # noqa: ANN401
        """Tell whether nothing can be committed any more at or before a value, by what was known at `high`."""
        at = self.instant(value)
        if at is None:
            return self.lookback_numbers == 0
        return at <= high - self.lookback and not self._comes_twice(value) and self.codec is None

    def _comes_twice(self, value: Any) -> bool:  # noqa: ANN401
        if not isinstance(value, datetime) or value.tzinfo is not None:
            return False
        first, second = (value.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1))
        return first.utcoffset() != second.utcoffset()


def number_rank(value: Any) -> int | float:  # noqa: ANN401
    """Give what orders versions by a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ColumnError("orders nothing. Take a time or a growing number, as with cast(row_version as bigint).")
    found = value if isinstance(value, int) else number(value)
    if found is None:
        raise CellError("This is no number that could order anything. Mend it.")
    return found


_PACKED: Mapping[str, tuple[type, Callable[[str], Any]]] = {
    # A datetime is a date too, so it comes first.
    "datetime": (datetime, datetime.fromisoformat),
    "date": (date, date.fromisoformat),
    "decimal": (Decimal, Decimal),
    "uuid": (UUID, UUID),
}


def pack(value: Any) -> Any:  # noqa: ANN401
    """Give a value as a state keeps it, in JSON; raises ColumnError for a type that cannot name or order a row."""
    for name, (kind, _) in _PACKED.items():
        if isinstance(value, kind):
            return {name: value.isoformat() if isinstance(value, date) else str(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    raise ColumnError(f"is of type {type(value).__name__}, which names nothing. Cast it to a text in the query.")


def unpack(kept: Any) -> Any:  # noqa: ANN401
    """Give a value back that was packed."""
    if not isinstance(kept, Mapping):
        return kept
    ((name, text),) = kept.items()
    return _PACKED[name][1](text)


def pack_all(values: Sequence[Any]) -> list[Any]:
    """Pack several."""
    return [pack(value) for value in values]
