"""Lengths of time in documents: 0s, 90s, 10m, 7d."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from connectors.documents import say

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
