"""Tables in files, CSV or Parquet, as the columns of a panel; and periods as numbers, with what they are called."""

import csv
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from bridge.errors import BridgeError, SettingsError

MISSING = {"", "na", "n/a", "nan", "null", "none", ".", "nat"}
"""How programs write that there is no value."""
NEVER = MISSING | {"0", "0.0", "inf", "+inf", "infinity", "-inf", "never"}
"""How programs write that somebody was never trained."""
_ZEROS = {"0", "0.0", "-0", "-0.0"}
FIRST_YEAR, LAST_YEAR = 1900, 2100
DAYS_A_WEEK = 7

_DELIMITERS = ",;\t|"
_WEEK = re.compile(r"(\d{4})-?W(\d{2})")
_QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])", re.IGNORECASE)
_MONTH = re.compile(r"(\d{4})-(\d{2})")


class TableError(BridgeError):
    """A file that is no table, or a cell that is not what its column holds."""


@dataclass(frozen=True)
class Table:
    """Columns by name, in the order of the file; values as they stand in it, None where there is none."""

    path: Path
    columns: Mapping[str, Sequence[Any]]
    header_lines: int
    """Lines before the first row, to tell the line of a row; 0 if the file has no lines."""

    def column(self, name: str) -> Sequence[Any]:
        """Give a column; raises SettingsError with the nearest name."""
        if name in self.columns:
            return self.columns[name]
        near = difflib.get_close_matches(name, self.columns, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self.columns)}."
        raise SettingsError(f"{self.path} has no column {name!r}. {hint}")

    def place(self, row: int) -> str:
        return f"row {row:,}" + (f" (line {row + self.header_lines:,})" if self.header_lines else "")


def read(path: Path) -> Table:
    """Read a whole file; Parquet by its ending, everything else as CSV with a header."""
    if path.suffix.lower() in {".parquet", ".pq"}:
        return _read_parquet(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(_DELIMITERS, key=first.count)
            rows = list(csv.reader(file, delimiter=delimiter))
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    if not rows:
        raise TableError(f"{path} is empty: a header and rows are needed")
    header, *body = rows
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise TableError(f"{path} has two columns {twice!r}")
    body = [row for row in body if row]
    for number, row in enumerate(body, 1):
        if len(row) != len(header):
            raise TableError(f"{path}, row {number:,}: {len(row)} values, where the header has {len(header)}")
    columns = zip(*body, strict=True) if body else ((),) * len(header)
    return Table(path, dict(zip(header, map(_without_missing, columns), strict=True)), 1)


def _read_parquet(path: Path) -> Table:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ModuleNotFoundError as error:
        raise TableError("Parquet needs pyarrow: pip install 'lrs-bridge[parquet]'") from error
    try:
        table = parquet.read_table(path)
    except (ArrowInvalid, OSError) as error:
        raise TableError(f"{path} cannot be read as Parquet: {error}") from error
    return Table(path, {name: table.column(name).to_pylist() for name in table.column_names}, 0)


def _without_missing(column: Sequence[str]) -> list[str | None]:
    return [None if value.strip().casefold() in MISSING else value.strip() for value in column]


def numbers(table: Table, name: str) -> list[float | None]:
    """Read a column of numbers, None where there is none."""
    found: list[float | None] = []
    for row, value in enumerate(table.column(name), 1):
        try:
            found.append(None if value is None else float(value))
        except (TypeError, ValueError):
            raise TableError(f"{table.path}: column {name!r}, {table.place(row)}: {value!r} is no number") from None
    return found


@dataclass(frozen=True)
class Calendar:
    """What the numbers of periods stand for. `unit` is week, month, quarter, year, day or period."""

    unit: str
    origin: int = 0
    """For weeks: the day, as its ordinal, with which week 0 begins."""

    def name(self, period: int) -> str:
        match self.unit:
            case "week" if self.origin:
                return date.fromordinal(self.origin + DAYS_A_WEEK * period).isoformat()
            case "month":
                return f"{period // 12:04d}-{period % 12 + 1:02d}"
            case "quarter":
                return f"{period // 4:04d}-Q{period % 4 + 1}"
            case "day":
                return date.fromordinal(period).isoformat()
            case _:
                return str(period)

    def number(self, moment: date) -> int:
        match self.unit:
            case "week":
                return (moment.toordinal() - self.origin) // DAYS_A_WEEK
            case "month":
                return moment.year * 12 + moment.month - 1
            case "quarter":
                return moment.year * 4 + (moment.month - 1) // 3
            case "year":
                return moment.year
            case _:
                return moment.toordinal()


def periods(table: Table, name: str) -> tuple[list[int], Calendar]:
    """Read a column of periods: whole numbers, or dates (2024, 2024-05, 2024-Q2, 2024-W19, 2024-05-06).

    Dates of one weekday are weeks, first days of months are months, of quarters quarters, of years years.
    """
    values = []
    for row, value in enumerate(table.column(name), 1):
        if value is None:
            raise TableError(f"{table.path}: column {name!r}, {table.place(row)} is empty")
        values.append(_moment(table, name, row, value))
    if all(isinstance(value, int) for value in values):
        whole = [value for value in values if isinstance(value, int)]
        years = bool(whole) and all(FIRST_YEAR <= value <= LAST_YEAR for value in whole)
        return whole, Calendar("year" if years else "period")
    for row, value in enumerate(values, 1):
        if isinstance(value, int):
            raise TableError(f"{table.path}: column {name!r}, {table.place(row)}: {value} is no date, as others are")
    dates = [value for value in values if isinstance(value, date)]
    calendar = _calendar(set(dates))
    return [calendar.number(value) for value in dates], calendar


def trainings(table: Table, name: str, calendar: Calendar, earliest: int = 1) -> list[float]:
    """Read a column of periods of training; infinity where it is empty, NaN, 0 or infinite: never.

    Where the `earliest` of the numbered periods is 0 or before, a 0 may be either: raises TableError.
    """
    found: list[float] = []
    has_zero = calendar.unit == "period" and earliest <= 0
    for row, value in enumerate(table.column(name), 1):
        if has_zero and value is not None and str(value).strip() in _ZEROS:
            place = f"{table.path}: column {name!r}, {table.place(row)}"
            raise TableError(
                f"{place}: {value} may be period {value} of these data, or mean never. Leave it empty for who was never"
                " trained, and number the periods from 1 if somebody was trained in period 0"
            )
        if value is None or str(value).strip().casefold() in NEVER:
            found.append(float("inf"))
            continue
        moment = _moment(table, name, row, value)
        if isinstance(moment, int):
            if calendar.unit not in {"period", "year"}:
                place = f"{table.path}: column {name!r}, {table.place(row)}"
                raise TableError(f"{place}: {value!r} is no date, as the periods are")
            found.append(moment)
        elif calendar.unit == "period":
            place = f"{table.path}: column {name!r}, {table.place(row)}"
            raise TableError(f"{place}: {value!r} is a date, and the periods are numbers")
        else:
            found.append(calendar.number(moment))
    return found


def _moment(table: Table, name: str, row: int, value: object) -> int | date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        if not number.is_integer():
            raise TableError(f"{table.path}: column {name!r}, {table.place(row)}: {text} is no whole number")
        return int(number)
    try:
        if found := _WEEK.fullmatch(text):
            return date.fromisocalendar(int(found[1]), int(found[2]), 1)
        if found := _QUARTER.fullmatch(text):
            return date(int(found[1]), 3 * int(found[2]) - 2, 1)
        if found := _MONTH.fullmatch(text):
            return date(int(found[1]), int(found[2]), 1)
        return datetime.fromisoformat(text).date()
    except ValueError:
        place = f"{table.path}: column {name!r}, {table.place(row)}"
        raise TableError(f"{place}: {text!r} is neither a whole number nor a date like 2024-05-06") from None


def _calendar(dates: set[date]) -> Calendar:
    if all(one.day == 1 for one in dates):
        months = {one.month for one in dates}
        if months == {1}:
            return Calendar("year")
        return Calendar("quarter" if months <= {1, 4, 7, 10} else "month")
    if len({one.weekday() for one in dates}) == 1:
        return Calendar("week", min(dates).toordinal())
    return Calendar("day")
