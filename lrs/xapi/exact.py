"""JSON that keeps what it does not understand: numbers by their digits, properties in their order."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Number:
    """A number by its digits: no float holds them all."""

    text: str

    def __float__(self) -> float:
        return float(self.text)


def read(text: bytes) -> Any:  # noqa: ANN401  JSON is anything
    """Read JSON; raises ValueError, also for a key that comes twice, and RecursionError."""
    return json.loads(
        text.decode(), object_pairs_hook=_unique, parse_int=Number, parse_float=Number, parse_constant=_refuse
    )


def write(data: Any) -> str:  # noqa: ANN401  JSON is anything
    """Write JSON."""
    match data:
        case dict():
            return "{" + ",".join(f"{write(key)}:{write(value)}" for key, value in data.items()) + "}"
        case list():
            return "[" + ",".join(map(write, data)) + "]"
        case Number():
            return data.text
        case _:
            return json.dumps(data, ensure_ascii=False)


def plain(data: Any) -> Any:  # noqa: ANN401  JSON is anything
    """Give what the standard library would have read."""
    return json.loads(write(data))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise ValueError("a key comes twice")
    return data


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")
