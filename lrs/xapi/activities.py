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
        for name, value in _untagged(msgspec.json.decode(text)).items():
            merged[name] = merged.get(name, {}) | value if name in _MAPS else value
    found: dict[str, Any] = {"objectType": "Activity", "id": activity_id}
    return found | {"definition": merged} if merged else found


def _untagged(definition: dict[str, Any]) -> dict[str, Any]:
    """Drop the objectType that `lrs.xapi.structs` writes into definitions and interaction components."""
    return {
        name: [_untagged(one) if isinstance(one, dict) else one for one in value] if isinstance(value, list) else value
        for name, value in definition.items()
        if name != "objectType"
    }
