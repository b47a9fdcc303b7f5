"""Times as text: always UTC, to the second, as ISO 8601 writes them."""

from datetime import UTC, datetime


def utc_text(moment: datetime | None) -> str | None:
    """Give `2026-11-20T09:00:00Z`; None stays None."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
