"""Which fields the records of a stream have had, and of what types, so that a change is noticed.

Two levels are looked at: what vendors change is a field of a record, or of its block of fields or properties.
"""

from collections.abc import Iterator, Mapping
from typing import Any

MAX_FIELDS = 1000
"""A stream with more is one whose names are data; nobody could follow notices about those."""

Fields = dict[str, list[str]]
"""Types by the name of the field; JSON."""

_TYPES = {str: "text", bool: "true or false", int: "number", float: "number", list: "list", dict: "block"}


def notice(seen: Fields, record: Mapping[str, Any], *, learning: bool) -> Iterator[tuple[str, str]]:
    """Take a record's fields in; gives (field, what changed) of what had not been seen, but while `learning`."""
    for name, value in _fields(record):
        kind = _TYPES.get(type(value))
        types = seen.get(name)
        if kind is None or (types is not None and kind in types) or (types is None and len(seen) >= MAX_FIELDS):
            continue
        if types is None:
            seen[name] = [kind]
            told = f"There is a new field of type {kind}. If it says something of performance, use it in a mapping."
        else:
            told = f"The field was {' or '.join(types)}, now it is {kind} as well. Check the mappings that read it."
            types.append(kind)
        if not learning:
            yield name, told


def _fields(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        yield name, value
        if isinstance(value, dict):
            for inner, deeper in value.items():
                yield f"{name}.{inner}", deeper
