"""Business hours between two times, by a calendar of working days, windows of hours and holidays in one time zone.

What counts is the clock on the wall: a moment is working time when the wall's day is a working day and its time is in a
window. So a night on which clocks go forward is an hour shorter, and one on which they go back an hour longer.

The sum needs no look at single days: working time is linear in wall time but for weeks, which all have the same, and
holidays, which are sorted; and wall time is linear in true time between two changes of the clock.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from bridge.mapping.functions import moment

DAY = 86_400_000_000
"""Microseconds, in which all is counted, so that nothing is rounded."""
MINUTE = 60_000_000

FIRST_YEAR, LAST_YEAR = 1970, 2199
"""Times outside are mistakes; each year's changes of the clock are kept in memory."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Where days are counted from; what the wall shows is counted as if it were UTC."""
_TICK = timedelta(microseconds=1)
_THURSDAY = 3
"""The weekday of day 0."""


@dataclass(frozen=True)
class Calendar:
    """When people work."""

    timezone: str
    """As in the IANA time zone database."""
    days: tuple[int, ...]
    """Weekdays from 0, Monday, to 6."""
    hours: tuple[tuple[int, int], ...]
    """Windows from minute to minute of the day, in order and without overlap. One that ends at or before its beginning
    goes over midnight, and belongs to the day on which it begins; it is the last one."""
    holidays: tuple[str, ...] = ()
    """Dates (ISO 8601) on which no window begins."""

    def hours_between(self, later: object, earlier: object) -> float | None:
        """Give the working hours from the second time to the first; less than 0 if it is before it, None of None.

        Times are as expressions have them. Raises ValueError or TypeError for what is none, or out of range.
        """
        if later is None or earlier is None:
            return None
        start, end = _checked(moment(earlier)), _checked(moment(later))
        if end < start:
            return -self._between(end, start) / (60 * MINUTE)
        return self._between(start, end) / (60 * MINUTE)

    def _between(self, start: datetime, end: datetime) -> int:
        return sum(self._until(until) - self._until(since) for since, until in _on_the_wall(self.timezone, start, end))

    def _until(self, wall: int) -> int:
        """Give the working time from day 0 to a time on the wall."""
        day, time = divmod(wall, DAY)
        found = self._days_before(day) * self._length
        if self._works(day):
            found += sum(min(max(time - begin, 0), end - begin) for begin, end in self._windows)
        if self._works(day - 1):
            found -= max(self._after_midnight - time, 0)
        return found

    def _works(self, day: int) -> bool:
        return (day + _THURSDAY) % 7 in self.days and day not in self._holidays

    def _days_before(self, day: int) -> int:
        """Give the number of working days from the Monday before day 0 to a day, without that one."""
        weeks, weekday = divmod(day + _THURSDAY, 7)
        work = weeks * len(self.days) + sum(one < weekday for one in self.days)
        return work - bisect_left(self._holidays, day)

    @cached_property
    def _windows(self) -> list[tuple[int, int]]:
        """The windows up to midnight."""
        return [(begin * MINUTE, end * MINUTE if end > begin else DAY) for begin, end in self.hours]

    @cached_property
    def _after_midnight(self) -> int:
        """What the last window has of the next day."""
        return sum(end for begin, end in self.hours if end <= begin) * MINUTE

    @cached_property
    def _length(self) -> int:
        """The working time of one day, with what goes over midnight."""
        return sum(end - begin for begin, end in self._windows) + self._after_midnight

    @cached_property
    def _holidays(self) -> list[int]:
        """The holidays that would be working days, counted from day 0, in order."""
        found = sorted({(date.fromisoformat(day) - _EPOCH.date()).days for day in self.holidays})
        return [day for day in found if (day + _THURSDAY) % 7 in self.days]


def _checked(at: datetime) -> datetime:
    if not FIRST_YEAR < at.year < LAST_YEAR:
        raise ValueError(f"{at.isoformat()} is not between {FIRST_YEAR + 1} and {LAST_YEAR - 1}")
    return at


def _on_the_wall(timezone: str, start: datetime, end: datetime) -> Iterator[tuple[int, int]]:
    """Give the times that the wall's clock shows from one time to another, cut where it is put forward or back."""
    changes = [at for year in range(start.year, end.year + 1) for at in _changes(timezone, year) if start < at < end]
    zone = ZoneInfo(timezone)
    for since, until in pairwise([start, *changes, end]):
        offset = since.astimezone(zone).utcoffset() or timedelta(0)
        yield (since + offset - _EPOCH) // _TICK, (until + offset - _EPOCH) // _TICK


@lru_cache(maxsize=10_000)
def _changes(timezone: str, year: int) -> tuple[datetime, ...]:
    """Give when the clocks of a zone were put forward or back in a year (UTC); the database tells only how they stand.

    Of two changes within a day the first would be missed if the second took it back; there are none such.
    """
    zone = ZoneInfo(timezone)
    first = datetime(year, 1, 1, tzinfo=UTC)
    days = [first + timedelta(days=day) for day in range((datetime(year + 1, 1, 1, tzinfo=UTC) - first).days + 1)]
    return tuple(
        _change(zone, since, until)
        for since, until in pairwise(days)
        if since.astimezone(zone).utcoffset() != until.astimezone(zone).utcoffset()
    )


def _change(zone: ZoneInfo, since: datetime, until: datetime) -> datetime:
    """Find the second of a change by halves; it is in force at `until`, and was not at `since`."""
    before = since.astimezone(zone).utcoffset()
    while until - since > timedelta(seconds=1):
        middle = since + timedelta(seconds=int((until - since).total_seconds()) // 2)
        if middle.astimezone(zone).utcoffset() == before:
            since = middle
        else:
            until = middle
    return until
