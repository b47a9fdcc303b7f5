"""JSON as others write it: decoded into what databases and mappings can hold."""

import json
import math
from typing import Any

from connectors.sources.cells import MAX_INTEGER, unstorable


def real(text: str) -> float | None:
    """Read a number; one that no float can hold counts as missing."""
    value = float(text)
    return value if math.isfinite(value) else None


def integer(text: str) -> float | int | None:
    """Read a whole number; beyond 64 bits it is a float."""
    return int(text) if len(text) <= 20 and abs(int(text)) <= MAX_INTEGER else real(text)


decoder = json.JSONDecoder(parse_float=real, parse_int=integer, parse_constant=lambda _: None)
"""Decodes so; what is not JSON but JavaScript, such as NaN, counts as missing."""


def is_unstorable(value: Any) -> bool:  # noqa: ANN401
    """Tell whether a text anywhere in a value is one that databases refuse."""
    match value:
        case str():
            return unstorable(value)
        case list():
            return any(map(is_unstorable, value))
        case dict():
            return any(is_unstorable(name) or is_unstorable(inner) for name, inner in value.items())
    return False
