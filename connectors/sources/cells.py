"""How the text of a cell becomes a JSON value, and how what cannot become one is shown.

Pure. A time is given out in UTC as `YYYY-MM-DDTHH:MM:SSZ`, with six decimals where it has a fraction of a second.
Local times are read by the zone's own rules: of the hour that comes twice when clocks go back, the first is meant; an
hour that the clocks skipped never was, so a cell that names it is refused: either it or the declared zone is wrong.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache

Json = str | int | float | bool | None
Convert = Callable[[str], Json]

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
MAX_INTEGER = 2**63 - 1
"""What databases and CEL hold as a whole number."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
REMEMBERED_CELLS = 8192
"""Converted times kept per column: strptime costs 5 us, and the same minute comes again and again."""


class CellError(ValueError):
    """A cell that is not what its column is declared to be; the message says what to do."""


def quoted(text: str, limit: int = 60) -> str:
    """Give a text as it can stand in a message: shortened, in quotes, with nothing invisible."""
    return repr(printable(text, limit))


def printable(text: str, limit: int) -> str:
    """Shorten a text, and show what no database takes: NUL as U+2400, undecodable bytes as \\xNN."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return _UNSTORABLE.sub(_shown, short)


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
