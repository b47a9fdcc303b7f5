"""The past of a stream, in slices that are read beside its present."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from connectors.documents import StrictSchema, say
from connectors.sources.durations import Length

LENGTH = timedelta(days=30)
SHARE = 0.5
SHORTEST = timedelta(hours=1)
"""Shorter ones would be more requests than rows."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """How the past is read."""

    slice: timedelta = LENGTH
    share: float = SHARE
    """So much of the quota, 0 to 1, is for the past at most."""
    declared: bool = False
    """The document leaves the past to slices; else they are read only when somebody asks for it."""

    def cut(self, since: datetime, until: datetime) -> Sequence[tuple[datetime, datetime]]:
        """Cut [since, until), newest first: of all days the last ones are waited for most."""
        made = []
        while since < until:
            low = max(since, until - self.slice)
            made.append((low, until))
            until = low
        return made


class BackfillSchema(StrictSchema):
    """`{slice: 30d, share: 0.5}`."""

    slice = Length(load_default=LENGTH)
    share = fields.Float(
        load_default=SHARE,
        validate=validate.Range(min=0.01, max=1, error=say("This is no share.", "Write 0.01 to 1.")),
        error_messages={"invalid": say("This is no share.", "Write 0.01 to 1.")},
    )

    @validates_schema
    def check_length(self, data: dict[str, Any], **_: object) -> None:
        """Refuse crumbs."""
        if data["slice"] < SHORTEST:
            raise ValidationError(say("So short a slice is more requests than rows.", "Write 1h or more."), "slice")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Backfill:
        """Make it."""
        return Backfill(**data, declared=True)
