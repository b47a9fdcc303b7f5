"""Business hours are what one counts minute by minute with a look at the clock on the wall."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.mapping.business import Calendar

WORKDAYS = (0, 1, 2, 3, 4)
NINE_TO_FIVE = ((540, 1020),)


def counted(calendar: Calendar, start: datetime, end: datetime) -> float:
    """Count the minutes of working time, each by the wall's date and time alone."""
    zone = ZoneInfo(calendar.timezone)
    holidays = {date.fromisoformat(day) for day in calendar.holidays}

    def works(day: date) -> bool:
        return day.weekday() in calendar.days and day not in holidays

    def is_working_time(wall: datetime) -> bool:
        minute, today = wall.hour * 60 + wall.minute, wall.date()
        yesterday = today - timedelta(days=1)
        for begin, finish in calendar.hours:
            if finish > begin and works(today) and begin <= minute < finish:
                return True
            if finish <= begin and ((works(today) and minute >= begin) or (works(yesterday) and minute < finish)):
                return True
        return False

    minutes = int((end - start).total_seconds()) // 60
    return sum(is_working_time((start + timedelta(minutes=n)).astimezone(zone)) for n in range(minutes)) / 60


def windows(cuts: list[int], *, over_midnight: bool) -> tuple[tuple[int, int], ...]:
    """Make windows of an even number of minutes of the day."""
    if over_midnight:
        return (*zip(cuts[1:-1:2], cuts[2:-1:2], strict=True), (cuts[-1], cuts[0]))
    return tuple(zip(cuts[::2], cuts[1::2], strict=True))


CALENDARS = st.builds(
    Calendar,
    # Clocks go forward and back at 1:00 to 3:00, in Lord Howe by half an hour, in Cairo and Santiago at midnight; Apia
    # left a day out; Kathmandu's offset is no whole hour.
    timezone=st.sampled_from(
        ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago",
         "Africa/Casablanca", "Pacific/Apia", "Asia/Kathmandu"]
    ),
    days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    hours=st.builds(
        windows,
        st.integers(1, 3).flatmap(
            lambda n: st.lists(st.integers(0, 1439), min_size=2 * n, max_size=2 * n, unique=True).map(sorted)
        ),
        over_midnight=st.booleans(),
    ),
    holidays=st.sets(st.integers(0, 20)).map(
        lambda days: tuple(sorted((date(2026, 3, 20) + timedelta(days=day)).isoformat() for day in days))
    ),
)  # fmt: skip
STARTS = [
    datetime(2026, 3, 20, tzinfo=UTC), datetime(2026, 3, 7, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC),
    datetime(2026, 4, 3, tzinfo=UTC), datetime(2026, 9, 4, tzinfo=UTC), datetime(2011, 12, 28, tzinfo=UTC),
]  # fmt: skip


@given(CALENDARS, st.sampled_from(STARTS), st.integers(0, 4 * 1440), st.integers(0, 9 * 1440))
@settings(max_examples=300, deadline=None)
def test_it_is_what_is_counted_minute_by_minute(calendar, first, after, minutes):
    start = first + timedelta(minutes=after)
    end = start + timedelta(minutes=minutes)

    assert calendar.hours_between(end, start) == pytest.approx(counted(calendar, start, end), abs=1e-9)


@given(CALENDARS, st.lists(st.datetimes(datetime(2000, 1, 1), datetime(2035, 1, 1)), min_size=3, max_size=3))  # noqa: DTZ001
@settings(max_examples=100, deadline=None)
def test_hours_add_up_over_any_time_between(calendar, times):
    first, middle, last = sorted(at.replace(tzinfo=UTC) for at in times)

    whole = calendar.hours_between(last, first)

    assert whole == pytest.approx(calendar.hours_between(last, middle) + calendar.hours_between(middle, first))


@pytest.mark.parametrize(
    ("later", "earlier", "hours"),
    [
        ("2026-11-20T16:00:00Z", "2026-11-20T08:00:00Z", 8.0),  # Friday, 9:00 to 17:00 in Berlin
        ("2026-11-23T08:30:00Z", "2026-11-20T15:00:00Z", 1.5),  # over a weekend
        ("2026-11-20T15:00:00.25Z", "2026-11-20T15:00:00Z", 0.25 / 3600),  # parts of a second
        ("2026-11-20T15:00:00Z", "2026-11-23T08:30:00Z", -1.5),  # later and earlier the wrong way round
        ("2026-11-22T12:00:00Z", "2026-11-21T12:00:00Z", 0.0),  # nobody works
        ("2026-11-20T17:00:00+01:00", "2026-11-20", 8.0),  # a date is 0:00 UTC
    ],
)
def test_times_are_read_as_hours_reads_them(later, earlier, hours):
    calendar = Calendar("Europe/Berlin", WORKDAYS, NINE_TO_FIVE)

    assert calendar.hours_between(later, earlier) == pytest.approx(hours)


def test_the_same_hours_count_in_winter_and_in_summer():
    calendar = Calendar("America/New_York", WORKDAYS, NINE_TO_FIVE)

    assert calendar.hours_between("2026-03-09T21:00:00Z", "2026-03-09T13:00:00Z") == 8.0  # the day after the change
    assert calendar.hours_between("2026-03-06T22:00:00Z", "2026-03-06T14:00:00Z") == 8.0


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23.0), ("2026-10-25", 25.0), ("2026-06-07", 24.0)])
def test_who_works_round_the_clock_works_as_long_as_the_day_is(day, hours):
    calendar = Calendar("Europe/Berlin", (6,), ((0, 1440),))
    sunday = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin"))

    assert calendar.hours_between(sunday + timedelta(days=1), sunday) == hours


def test_a_night_belongs_to_the_day_on_which_it_begins():
    calendar = Calendar("UTC", (4,), ((22 * 60, 6 * 60),), holidays=("2026-11-27",))

    assert calendar.hours_between("2026-11-21T12:00:00Z", "2026-11-20T12:00:00Z") == 8.0  # from Friday into Saturday
    assert calendar.hours_between("2026-11-20T12:00:00Z", "2026-11-19T12:00:00Z") == 0.0  # not from Thursday
    assert calendar.hours_between("2026-11-28T12:00:00Z", "2026-11-27T12:00:00Z") == 0.0  # not from a holiday


def test_holidays_on_days_off_change_nothing():
    with_them = Calendar("UTC", WORKDAYS, NINE_TO_FIVE, holidays=("2026-11-21", "2026-11-22", "2026-11-23"))

    assert with_them.hours_between("2026-11-25T00:00:00Z", "2026-11-20T00:00:00Z") == 16.0  # Friday and Tuesday


def test_nothing_is_between_nothing():
    calendar = Calendar("UTC", WORKDAYS, NINE_TO_FIVE)

    assert calendar.hours_between(None, "2026-11-20T12:00:00Z") is None
    assert calendar.hours_between("2026-11-20T12:00:00Z", None) is None


@pytest.mark.parametrize("year", ["0001", "1970", "2199", "9999"])
def test_a_year_that_cannot_be_meant_is_refused(year):
    calendar = Calendar("America/New_York", WORKDAYS, NINE_TO_FIVE)

    with pytest.raises(ValueError, match="is not between 1971 and 2198"):
        calendar.hours_between(f"{year}-06-01T00:00:00Z", "2026-11-20T12:00:00Z")


def test_years_apart_are_counted_as_exactly_as_days():
    holidays = tuple(date(year, 12, 25).isoformat() for year in range(1971, 2199))
    calendar = Calendar("Europe/Berlin", WORKDAYS, NINE_TO_FIVE, holidays)

    hours = calendar.hours_between("2025-01-01T00:00:00Z", "2005-01-01T00:00:00Z")

    on_weekdays = sum(date(year, 12, 25).weekday() < 5 for year in range(2005, 2025))
    weekdays = sum((date(2005, 1, 1) + timedelta(days=n)).weekday() < 5 for n in range(7305))
    assert hours == (weekdays - on_weekdays) * 8
