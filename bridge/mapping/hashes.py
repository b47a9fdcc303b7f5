"""What documents say, as text that is the same whenever they say the same; and its hash."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from bridge.mapping.expressions import Expression


def content_hash(value: object) -> str:
    """Give the SHA-256, in hexadecimal digits, of a value of `kinds`."""
    return hashlib.sha256(canonical(plain(value)).encode()).hexdigest()


def canonical(value: object) -> str:
    """Write JSON types."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def plain(value: Any, without: frozenset[str] = frozenset()) -> Any:  # noqa: ANN401 - any part of a document
    """Give a value of `kinds` as JSON types."""
    if isinstance(value, Expression):
        return value.source
    if dataclasses.is_dataclass(value):
        names = [part.name for part in dataclasses.fields(value) if part.name not in without]
        return {name: plain(getattr(value, name), without) for name in names}
    if isinstance(value, Mapping):
        return {key: plain(inner, without) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, without) for inner in value]
    return value
