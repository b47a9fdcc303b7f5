"""Merging what statements say of an activity (xAPI 1.0.3, Communication 2.5; Data 2.4.4.1)."""

from collections.abc import Iterable
from typing import Any

import msgspec

_MAPS = {"name", "description", "extensions"}
"""Merged key by key; of all else the later stands, for half of one list of choices and half of another is neither."""


def activity(activity_id: str, definitions: Iterable[str]) -> dict[str, Any]:
    """Give an Activity with the definitions, JSON texts from the oldest on, merged into one."""
    merged: dict[str, Any] = {}
    for text in definitions:
        for name, value in msgspec.json.decode(text).items():
            merged[name] = merged.get(name, {}) | value if name in _MAPS else value
    found: dict[str, Any] = {"objectType": "Activity", "id": activity_id}
    return found | {"definition": merged} if merged else found
