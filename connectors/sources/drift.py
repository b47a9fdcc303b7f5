"""Which fields the records of a stream have had, and of what types, so that a change is noticed.

Two levels are looked at: what vendors change is a field of a record, or of its block of fields or properties.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.sources.notes import Notes
from connectors.sources.rows import RowProblem

log = logging.getLogger(__name__)

MAX_FIELDS = 1000
"""A stream with more is one whose names are data; nobody could follow notices about those."""

_TYPES = {str: "text", bool: "true or false", int: "number", float: "number", list: "list", dict: "block"}


@dataclass(slots=True)
class Drift:
    """What one pull notices."""

    kept: dict[str, list[str]]
    """Types by the name of the field; JSON, a part of the stream's state."""
    notes: Notes
    source: str
    """Its name."""
    _young: set[str] = field(default_factory=set)
    """Blocks that came with this pull: they are told, so what is in them is not."""

    def notice(self, record: Mapping[str, Any], now: datetime, *, learning: bool) -> Iterator[RowProblem]:
        """Take a record's fields in; gives a notice of each that had not been seen, but while `learning`."""
        for block, name, value in _fields(record):
            told = self._changed(name, _TYPES.get(type(value)))
            if told is None or learning or block in self._young:
                continue
            if isinstance(value, dict):
                self._young.add(name)
            log.warning("%s: %r: %s", self.source, name, told)
            problem = RowProblem(None, name, told, "")
            self.notes.add(f"field {name}", problem, now)
            yield problem

    def _changed(self, name: str, kind: str | None) -> str | None:
        """Take one field in; gives what is new about it, None when that is nothing."""
        types = self.kept.get(name)
        if kind is None or (types is not None and kind in types) or (types is None and len(self.kept) >= MAX_FIELDS):
            return None
        if types is None:
            self.kept[name] = [kind]
            return f"There is a new field of type {kind}. If it says something of performance, use it in a mapping."
        told = f"The field was {' or '.join(types)}, now it is {kind} as well. Check the mappings that read it."
        types.append(kind)
        return told


def _fields(record: Mapping[str, Any]) -> Iterator[tuple[str | None, str, Any]]:
    """Give each field: the block that it is in, its name, its value."""
    for name, value in record.items():
        yield None, name, value
        if isinstance(value, dict):
            for inner, deeper in value.items():
                yield name, f"{name}.{inner}", deeper
