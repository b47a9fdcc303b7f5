"""Timestamps (xAPI 1.0.3, Data 4.5) and the numbers that statements are stored under.

Functions here take timestamps that have been validated.
"""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECONDS_LENGTH = len("2026-01-31T13:45:00")


def from_number(number: int) -> datetime:
    """Give the instant that is so many microseconds after 1970."""
    return EPOCH + number * _MICROSECOND


def to_number(timestamp: str) -> int:
    """Give a timestamp in whole microseconds since 1970; what is finer is cut off."""
    return (datetime.fromisoformat(timestamp.upper()) - EPOCH) // _MICROSECOND


def to_text(instant: datetime) -> str:
    """Write an aware instant as a timestamp in UTC, with microseconds."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def to_utc(timestamp: str) -> str:
    """Write a timestamp in UTC, with a T; the fraction of the second stays as it was sent, however fine."""
    timestamp = timestamp.upper().replace(" ", "T")
    if timestamp.endswith("Z"):
        return timestamp
    seconds, rest = timestamp[:_SECONDS_LENGTH], timestamp[_SECONDS_LENGTH:]
    fraction, zone = rest[:-6], rest[-6:]
    try:
        instant = datetime.fromisoformat(seconds + zone).astimezone(UTC)
    except OverflowError:  # the first or last day of the calendar
        return timestamp
    return f"{instant.replace(tzinfo=None).isoformat()}{fraction}Z"
