"""Timestamps: xAPI 1.0.3, Data 4.5."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrs.xapi import times


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("2026-01-31T13:45:00Z", "2026-01-31T13:45:00Z"),
        ("2026-01-31t13:45:00z", "2026-01-31T13:45:00Z"),
        ("2026-01-31 13:45:00.5Z", "2026-01-31T13:45:00.5Z"),
        ("2026-01-31 13:45:00+01:00", "2026-01-31T12:45:00Z"),
        ("2026-01-31T13:45:00.123456789+00:00", "2026-01-31T13:45:00.123456789Z"),
        ("2026-01-01T00:15:00.5+00:30", "2025-12-31T23:45:00.5Z"),
        ("2026-01-31T13:45:00-11:00", "2026-02-01T00:45:00Z"),
        ("0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00+01:00"),  # before the calendar begins: left as it is
    ],
)
def test_timestamp_is_written_in_utc_with_its_own_precision(sent: str, written: str) -> None:
    assert times.to_utc(sent) == written


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_number_text_and_instant_are_one_moment(instant: datetime) -> None:
    number = times.to_number(times.to_text(instant))

    assert times.from_number(number) == instant


def test_number_cuts_off_what_is_finer_than_a_microsecond() -> None:
    assert times.to_number("1970-01-01T00:00:01.0000019Z") == 1_000_001
