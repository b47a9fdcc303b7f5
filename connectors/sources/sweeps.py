"""`deleted: {type: sweep}`: what a pass over all records does not find any more is gone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from marshmallow import ValidationError, post_load

from connectors.documents import Key, StrictSchema, Text, say
from connectors.sources.durations import Length


@dataclass(frozen=True, slots=True)
class Sweeping:
    """When all records are listed, and how much may be gone then."""

    every: timedelta
    at_most: float
    """The share of all records, 0 to 1, beyond which a pass is not believed."""
    readings: int = 1
    """So often all are listed in one pass; only what every list misses is gone."""
    apart: timedelta = timedelta(0)
    """So long after one list the next one begins."""
    timed: bool = True
    """Versions of records are put in order by times."""


class Share(Key):
    """A share from 0 to 1."""

    json_schema: ClassVar[Mapping[str, Any]] = {"type": "number", "minimum": 0, "maximum": 1}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> float:  # noqa: ANN401
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValidationError(say(f"{value!r} is no share.", "Write a number from 0 to 1, such as 0.25."))
        return float(value)


class SweepSchema(StrictSchema):
    """`{type: sweep, every: 1d, at_most: 0.25}`."""

    type = Text(required=True)
    every = Length(load_default=timedelta(days=1))
    at_most = Share(load_default=0.25)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Sweeping:
        """Make it."""
        return Sweeping(data["every"], data["at_most"])
