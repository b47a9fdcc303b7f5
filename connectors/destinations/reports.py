"""What a destination takes, and what it gives back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class ColumnType(StrEnum):
    """What the values of a column are, where they are not missing; files with types keep to it."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    TIME = "time"
    """A text, ISO 8601 with an offset."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a report."""

    name: str
    """The key in each row."""
    title: str
    """What people call it."""
    unit: str | None = None
    type: ColumnType = ColumnType.TEXT


@dataclass(frozen=True, slots=True)
class Report:
    """A table for one audience, on its way out."""

    name: str
    """Small letters, digits and hyphens: destinations name files and addresses by it."""
    title: str
    note: str
    """One line that is printed with it, such as what it does not claim."""
    columns: tuple[Column, ...]
    rows: Iterable[Mapping[str, Any]]
    """JSON-able values by column name, read once; of what is not a declared column, nothing leaves the house."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able: what it was made from. No clock times: equal content must stay equal."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a destination did with a report."""

    location: str
    """Where it can be looked at."""
    rows: int
    changed: bool
    """False when the destination had it already."""


class Destination(Protocol):
    """A system that takes reports."""

    @property
    def name(self) -> str:
        """Unique among destinations."""

    @property
    def title(self) -> str:
        """What people call it."""

    def push(self, report: Report) -> Receipt:
        """Hand over a report in place of the one of the same name; doing so twice changes nothing.

        It is taken whole or not at all. Raises DestinationError.
        """
