"""How many requests we may still make: by what the document says, corrected by what the answers say.

One object lives as long as one pull. A wait that it asks for is the caller's to make, or to hand on when it is long.
"""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from connectors.documents import StrictSchema, Text, say
from connectors.sources.durations import Length

_RESETS = ("seconds", "unix", "unix_ms", "iso")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document says of a vendor's limits."""

    requests: int | None = None
    per: timedelta = timedelta(minutes=1)
    remaining: str | None = None
    """Header with the requests that are left."""
    reset: str | None = None
    """Header with the time when there are more again."""
    reset_as: str = "seconds"
    reserve: int = 1
    """So many are left to others who use the same account."""
    used: str | None = None
    """Header with what is used and what there is, as Salesforce's `api-usage=18/5000`."""
    used_as: str | None = None
    """The name before the figures, where the header has several."""
    up_to: float = 0.8
    """The share that may be used in all, by us and by others."""


@dataclass(slots=True)
class Quota:
    """The requests of one pull."""

    limits: Limits
    _made: deque[datetime] = field(default_factory=deque)
    _not_before: datetime | None = None

    def wait_seconds(self, now: datetime) -> float:
        """Give how long to wait before the next request."""
        return max(0.0, *(((at or now) - now).total_seconds() for at in (self._not_before, self._room_at(now))))

    def _room_at(self, now: datetime) -> datetime | None:
        if self.limits.requests is None:
            return None
        while self._made and self._made[0] <= now - self.limits.per:
            self._made.popleft()
        return self._made[0] + self.limits.per if len(self._made) >= self.limits.requests else None

    def note(self, now: datetime) -> None:
        """Count a request that is sent now."""
        if self.limits.requests is not None:
            self._made.append(now)

    def learn(self, headers: Mapping[str, str], now: datetime) -> None:
        """Take in what an answer says is left."""
        left = headers.get(self.limits.remaining or "", "").strip()
        if left.isdigit() and int(left) <= self.limits.reserve:
            seconds = self.reset_seconds(headers, now)
            # Without a word on when: as long as the declared window, which is the longest that it can take.
            self._not_before = now + (self.limits.per if seconds is None else timedelta(seconds=seconds))
        elif self._share_used(headers) >= self.limits.up_to:
            self._not_before = now + self.limits.per

    def _share_used(self, headers: Mapping[str, str]) -> float:
        """Give the share that an answer says is used, 0 when it says nothing."""
        name = rf"(?<![\w-]){re.escape(self.limits.used_as)}\s*=\s*" if self.limits.used_as else ""
        found = re.search(rf"{name}(\d+)\s*/\s*(\d+)", headers.get(self.limits.used or "", ""))
        return int(found[1]) / int(found[2]) if found and int(found[2]) else 0.0

    def reset_seconds(self, headers: Mapping[str, str], now: datetime) -> float | None:
        """Give in how many seconds there are more requests again, None when unsaid."""
        said = headers.get(self.limits.reset or "", "").strip()
        try:
            match self.limits.reset_as:
                case "seconds":
                    return max(0.0, float(said))
                case "iso":
                    at = datetime.fromisoformat(said)
                case units:
                    at = datetime.fromtimestamp(float(said) / (1000 if units == "unix_ms" else 1), UTC)
            return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())
        except (ValueError, OverflowError, OSError):
            return None


class QuotaSchema(StrictSchema):
    """`{requests: 100, per: 1m, remaining: X-RateLimit-Remaining, reset: X-RateLimit-Reset, reset_as: unix}`."""

    requests = fields.Integer(
        strict=True,
        load_default=None,
        validate=validate.Range(min=1, error=say("This is no number of requests.", "Write 1 or more.")),
        error_messages={"invalid": say("This is not a whole number.", "Write 1 or more.")},
    )
    per = Length(load_default=timedelta(minutes=1))
    remaining = Text(load_default=None)
    reset = Text(load_default=None)
    reset_as = Text(
        load_default="seconds",
        validate=validate.OneOf(_RESETS, error=say("This is no way to say when.", f"Write {', '.join(_RESETS)}.")),
    )
    reserve = fields.Integer(
        strict=True,
        load_default=1,
        validate=validate.Range(min=0, error=say("This is no number of requests.", "Write 0 or more.")),
        error_messages={"invalid": say("This is not a whole number.", "Write 0 or more.")},
    )
    used = Text(load_default=None)
    used_as = Text(load_default=None)
    up_to = fields.Float(
        load_default=0.8,
        validate=validate.Range(min=0, max=1, min_inclusive=False, error=say("This is no share.", "Write 0.01 to 1.")),
        error_messages={"invalid": say("This is no share.", "Write 0.01 to 1.")},
    )

    @validates_schema
    def check_it_says_something(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a length of time without a number of requests."""
        if all(data[key] is None for key in ("requests", "remaining", "reset", "used")):
            what = "This limits nothing."
            raise ValidationError(
                say(what, "Name `requests` and `per`, or the headers `remaining`, `reset` or `used`.")
            )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Limits:
        """Make it."""
        return Limits(**data)
