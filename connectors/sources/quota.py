"""How many requests we may still make: by what the document says, corrected by what the answers say.

One object lives as long as one pull. A wait that it asks for is the caller's to make, or to hand on when it is long.
Where there are `Buckets`, requests are counted over all workers that use the account, else by pull.
"""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from connectors.documents import StrictSchema, Text, say
from connectors.reach import Buckets
from connectors.sources.columns import stamp_text
from connectors.sources.durations import Length
from connectors.sources.rows import State

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
    busy: str | None = None
    """What a refusal says that is none but only means: too much, as Salesforce's 403 REQUEST_LIMIT_EXCEEDED."""


@dataclass(slots=True)
class Quota:
    """The requests of one pull."""

    limits: Limits
    account: str
    """Names those whose requests are counted together; no secret."""
    share: float = 1.0
    """So much of it is for us, 0 to 1."""
    buckets: Buckets | None = None
    left: State | None = None
    """What the system last said, as `rows.State` shows it under `quota`; None: nothing."""
    _made: deque[datetime] = field(default_factory=deque)
    _not_before: datetime | None = None

    def take(self, now: datetime) -> float:
        """Count a request that is sent now, and give 0.0; or else the seconds to wait before asking again."""
        if self._not_before and self._not_before > now:
            return (self._not_before - now).total_seconds()
        if self.buckets is None:
            return self._take(now)
        if self.limits.requests is None:
            return self.buckets.held(self.account)
        per = self.limits.per.total_seconds()
        return self.buckets.take(self.account, requests=self.limits.requests, per_seconds=per, share=self.share)

    def _take(self, now: datetime) -> float:
        if self.limits.requests is None:
            return 0.0
        while self._made and self._made[0] <= now - self.limits.per:
            self._made.popleft()
        if len(self._made) >= max(1, int(self.limits.requests * self.share)):
            return (self._made[0] + self.limits.per - now).total_seconds()
        self._made.append(now)
        return 0.0

    def learn(self, headers: Mapping[str, str], now: datetime) -> None:
        """Take in what an answer says is left."""
        if (room := self._room(headers)) is None:
            return
        left, of_others, of_other_lanes = room
        seconds = self.reset_seconds(headers, now)
        resets_at = None if seconds is None else stamp_text(now + timedelta(seconds=seconds))
        self.left = {"left": left, "resets_at": resets_at, "seen_at": stamp_text(now)}
        # Without a word on when: as long as the declared window, which is the longest that it can take.
        wait = self.limits.per if seconds is None else timedelta(seconds=seconds)
        if left <= max(of_others, of_other_lanes):
            self._not_before = now + wait
        if left <= of_others:
            self.hold(wait.total_seconds())

    def _room(self, headers: Mapping[str, str]) -> tuple[int, float, float] | None:
        """Give what is left, down to where it is for others, and where for our other lanes; None when unsaid."""
        limits = self.limits
        text = headers.get(limits.remaining or "", "").strip()
        if text.isdigit():
            return int(text), limits.reserve, int((limits.requests or 0) * (1 - self.share))
        name = rf"(?<![\w-]){re.escape(limits.used_as)}\s*=\s*" if limits.used_as else ""
        found = re.search(rf"{name}(\d+)\s*/\s*(\d+)", headers.get(limits.used or "", ""))
        if found is None or not int(found[2]):
            return None
        used, there_are = int(found[1]), int(found[2])
        ours = there_are * limits.up_to
        return there_are - used, there_are - ours, there_are - ours * self.share

    def hold(self, seconds: float) -> None:
        """Let all who use the account wait, as the system asks."""
        if self.buckets is not None and seconds > 0:
            self.buckets.hold(self.account, seconds)

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
    busy = Text(load_default=None)
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
