"""Lengths of time in documents, 0s, 90s, 10m, 7d, and points in time."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from connectors.documents import say
from connectors.sources.cells import CellError, moment

_LENGTH = re.compile(r"([0-9]{1,6})([smhd])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Length(fields.Field[timedelta]):
    """A length of time; unlike `every` it may be nothing, and may be long."""

    json_schema: ClassVar[Mapping[str, Any]] = {"type": "string", "pattern": f"^{_LENGTH.pattern}$"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> timedelta:  # noqa: ANN401
        found = _LENGTH.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            what = f"{value!r} is no length of time."
            raise ValidationError(say(what, "Write a whole number and s, m, h or d: 0s, 90s, 10m, 7d."))
        return timedelta(seconds=int(found[1]) * _UNIT_SECONDS[found[2]])


class Moment(fields.Field[datetime]):
    """A point in time, of UTC where it says no offset; YAML reads one without quotes, and a date, as such."""

    json_schema: ClassVar[Mapping[str, Any]] = {"type": "string"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:  # noqa: ANN401
        text = value.isoformat() if hasattr(value, "isoformat") else value
        try:
            return datetime.fromisoformat(str(moment(None, UTC)(text)))
        except (CellError, TypeError, AttributeError) as err:
            raise ValidationError(say(f"{value!r} is no time.", "Write it like 2025-01-31T00:00:00Z.")) from err
