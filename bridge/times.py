"""Times as text: always UTC, as ISO 8601 writes them; and read back."""

from datetime import UTC, datetime


def utc_text(moment: datetime | None) -> str | None:
    """Give `2026-11-20T09:00:00Z`; None stays None."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def exact_text(moment: datetime) -> str:
    """Give `2026-11-20T09:00:00Z`, with the microseconds where there are some."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def instant(text: str) -> datetime:
    """Read an ISO 8601 text, UTC where it names no zone; raises ValueError with words for a person."""
    try:
        found = datetime.fromisoformat(text.upper())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} is no time as ISO 8601 has it, like 2026-10-05T08:00:00Z.") from None
