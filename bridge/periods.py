"""Periods of a panel as numbers that follow each other, whatever they are written as; and what they are called.

What was understood is said with every answer (`Calendar.read`): 202312 and 202401 are months next to each other, or
89 apart, and only their owner knows for sure.
"""

import re
from calendar import monthrange
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise

from bridge.panel_files import MISSING, Table

NEVER = MISSING | {"0", "0.0", "inf", "+inf", "infinity", "-inf", "never"}
"""How programs write that somebody was never trained."""
_ZEROS = {"0", "0.0", "-0", "-0.0"}
FIRST_YEAR, LAST_YEAR = 1900, 2100
DAYS_A_WEEK = 7
MONTHS_A_QUARTER = 3

_WEEK = re.compile(r"(\d{4})-?W(\d{1,2})", re.IGNORECASE)
_QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])", re.IGNORECASE)
_QUARTER_FIRST = re.compile(r"Q([1-4])[- ]?(\d{4})", re.IGNORECASE)
_MONTH = re.compile(r"(\d{4})[-/ ]?M?(\d{1,2})", re.IGNORECASE)
_DAY = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})")
_GERMAN_DAY = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")

_CODES: Mapping[str, re.Pattern[str]] = {
    "YYYYMMDD": re.compile(r"(\d{4})(\d{2})(\d{2})"),
    "YYYYMM": re.compile(r"(\d{4})(\d{2})"),
    "YYYYWW": re.compile(r"(\d{4})(\d{2})"),
    "YYYYQ": re.compile(r"(\d{4})([1-4])"),
}
"""Dates that look like whole numbers. Months before ISO weeks: 202401 is taken for a week where others are 202413."""

_GAPS = {"year": (350, 380), "quarter": (80, 100), "month": (25, 36)}
"""Days between dates of which there is one a year, a quarter or a month, whatever the day."""
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Calendar:
    """What the numbers of periods stand for. `unit` is week, month, quarter, year, day or period."""

    unit: str
    read: str = "whole numbers"
    """What the column was taken for, as it is said to people."""
    origin: int = 0
    """For weeks: the day, as its ordinal, with which week 0 begins."""
    starts: tuple[int, int] = (1, 1)
    """For years: the month and the day that they begin with."""
    by_end: bool = False
    """Whether such a year is called by the calendar year in which it ends."""
    code: str = ""
    """How dates are written, where they look like whole numbers."""

    def name(self, period: int) -> str:
        match self.unit:
            case "week":
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
        """Give the period that a day lies in."""
        match self.unit:
            case "week":
                return (moment.toordinal() - self.origin) // DAYS_A_WEEK
            case "month":
                return moment.year * 12 + moment.month - 1
            case "quarter":
                return moment.year * 4 + (moment.month - 1) // MONTHS_A_QUARTER
            case "year":
                begun = (moment.month, moment.day) >= self.starts
                return moment.year + (begun if self.by_end else begun - 1)
            case _:
                return moment.toordinal()


def periods(table: Table, name: str) -> tuple[list[int], Calendar]:
    """Read a column of periods: whole numbers, years, or dates in any of the forms of `bridge/impact/README.md`.

    Raises TableError where a value is neither, or where numbers and dates are mixed.
    """
    values = []
    for row, value in enumerate(table.column(name), 1):
        if value is None:
            raise table.error(name, row, " is empty")
        values.append(_moment(table, name, row, value))
    whole = [value for value in values if isinstance(value, int)]
    if len(whole) == len(values):
        return _numbered(whole)
    for row, value in enumerate(values, 1):
        if isinstance(value, int):
            raise table.error(name, row, f": {value} is no date, as others are")
    dates = [value for value in values if isinstance(value, date)]
    calendar = _calendar(set(dates))
    return [calendar.number(value) for value in dates], calendar


def trainings(table: Table, name: str, calendar: Calendar, earliest: int = 1) -> list[float]:
    """Read a column of periods of training; infinity where it is empty, NaN, 0 or infinite: never.

    Where the `earliest` of the numbered periods is 0 or before, a 0 may be either: raises TableError, as where a value
    is not written as the periods are.
    """
    found: list[float] = []
    has_zero = calendar.unit == "period" and earliest <= 0
    for row, value in enumerate(table.column(name), 1):
        if has_zero and value is not None and str(value).strip() in _ZEROS:
            text = (
                f": {value} may be period {value} of these data, or mean never. Leave it empty for who was never"
                " trained, and number the periods from 1 if somebody was trained in period 0"
            )
            raise table.error(name, row, text)
        if value is None or str(value).strip().casefold() in NEVER:
            found.append(float("inf"))
            continue
        moment = _moment(table, name, row, value)
        try:
            found.append(_training(moment, calendar))
        except ValueError as error:
            shown = repr(value) if isinstance(value, str) else str(value)
            raise table.error(name, row, f": {shown} {error}") from None
    return found


def _training(moment: int | date, calendar: Calendar) -> int:
    """Give the period of a training; raises ValueError with what is wrong with it."""
    if isinstance(moment, date):
        if calendar.unit == "period":
            raise ValueError("is a date, and the periods are numbers")
        return calendar.number(moment)
    if calendar.unit == "period":
        return moment
    for code in (calendar.code, "YYYYMMDD"):
        if (day := _decoded(moment, code)) is not None:
            return calendar.number(day)
    if calendar.unit != "year":
        raise ValueError(f"is no date, as the periods are ({calendar.read}); leave it empty for never")
    # 9999 is a common way to say that it lies after all that was seen.
    if not FIRST_YEAR <= moment <= 9_999:
        raise ValueError(f"is no year, as the periods are ({calendar.read}); leave it empty for never")
    return moment


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
            raise table.error(name, row, f": {text} is no whole number")
        return int(number)
    try:
        return _day(text)
    except ValueError:
        raise table.error(name, row, f": {text!r} is neither a whole number nor a date like 2024-05-06") from None


def _day(text: str) -> date:
    if found := _WEEK.fullmatch(text):
        return date.fromisocalendar(int(found[1]), int(found[2]), 1)
    if found := _QUARTER.fullmatch(text):
        return date(int(found[1]), MONTHS_A_QUARTER * int(found[2]) - 2, 1)
    if found := _QUARTER_FIRST.fullmatch(text):
        return date(int(found[2]), MONTHS_A_QUARTER * int(found[1]) - 2, 1)
    if found := _MONTH.fullmatch(text):
        return date(int(found[1]), int(found[2]), 1)
    if found := _DAY.fullmatch(text):
        return date(int(found[1]), int(found[2]), int(found[3]))
    if found := _GERMAN_DAY.fullmatch(text):
        return date(int(found[3]), int(found[2]), int(found[1]))
    return datetime.fromisoformat(text).date()


def _numbered(whole: Sequence[int]) -> tuple[list[int], Calendar]:
    """Tell years, months, quarters, weeks and days that are written as whole numbers from periods that are counted."""
    distinct = set(whole)
    if distinct and all(FIRST_YEAR <= value <= LAST_YEAR for value in distinct):
        return list(whole), Calendar("year", "years")
    for code in _CODES:
        days = {value: day for value in distinct if (day := _decoded(value, code)) is not None}
        if distinct and len(days) == len(distinct):
            calendar = replace(_by_code(code, days.values()), code=code)
            return [calendar.number(days[value]) for value in whole], calendar
    return list(whole), Calendar("period")


def _by_code(code: str, days: Collection[date]) -> Calendar:
    match code:
        case "YYYYMM":
            return Calendar("month", "months written YYYYMM")
        case "YYYYQ":
            return Calendar("quarter", "quarters written YYYYQ")
        case "YYYYWW":
            return Calendar("week", "ISO weeks written YYYYWW", min(days).toordinal())
        case _:
            found = _calendar(set(days))
            return replace(found, read=f"{found.read}, written YYYYMMDD")


def _decoded(value: int, code: str) -> date | None:
    """Give the first day of what a number stands for; None where it is none of that code."""
    found = _CODES[code].fullmatch(str(value)) if code else None
    if found is None or not FIRST_YEAR <= int(found[1]) <= LAST_YEAR:
        return None
    year, part = int(found[1]), int(found[2])
    try:
        match code:
            case "YYYYMM":
                return date(year, part, 1)
            case "YYYYQ":
                return date(year, MONTHS_A_QUARTER * part - 2, 1)
            case "YYYYWW":
                return date.fromisocalendar(year, part, 1)
            case _:
                return date(year, part, int(found[3]))
    except ValueError:
        return None


def _calendar(dates: Collection[date]) -> Calendar:
    """Tell what dates stand for: first or last days, one weekday, one in each month or so; else days."""
    days = sorted(dates)
    if all(day.day == 1 for day in days):
        return _whole_months(days, "first")
    if all(day.day == monthrange(day.year, day.month)[1] for day in days):
        return _whole_months(days, "last")
    weekdays = {day.weekday() for day in days}
    if len(weekdays) == 1:
        begins = _WEEKDAYS[weekdays.pop()]
        read = "Mondays, which begin weeks" if begins == "Monday" else f"{begins}s, each taken to begin a week"
        return Calendar("week", read, days[0].toordinal())
    gaps = [(later - day).days for day, later in pairwise(days)]
    for unit, (least, most) in _GAPS.items():
        calendar = Calendar(unit, f"dates, one in each {unit}")
        # Of a gap in the data the next date lies some such units later.
        if least <= min(gaps) <= most and len({calendar.number(day) for day in days}) == len(days):
            return calendar
    return Calendar("day", "days")


def _whole_months(days: Sequence[date], which: str) -> Calendar:
    months = {day.month for day in days}
    if len(months) == 1:
        starts = days[0] if which == "first" else days[0] + timedelta(days=1)
        of = "of years" if starts.month == 1 else f"of years that begin in month {starts.month}"
        by_end = which == "last" and starts.month != 1
        # A year that begins on 1 January is called by the year in which it begins and ends.
        return Calendar("year", f"{which} days {of}", starts=(starts.month, 1), by_end=by_end)
    if len({month % MONTHS_A_QUARTER for month in months}) == 1:
        return Calendar("quarter", f"{which} days of quarters")
    return Calendar("month", f"{which} days of months")
