"""The rows of a query's result as records: what names them, what orders their versions, what is wrong with them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.documents import nearest
from connectors.errors import SourceBroken
from connectors.sources.cells import CellError, printable
from connectors.sources.columns import stamp_text
from connectors.sources.layouts import MAX_KEY_CHARS, canonical, key_text
from connectors.sources.rows import Row, RowProblem
from connectors.sources.streams import Mark
from connectors.sources.sweeps import Sweeping
from connectors.sources.tables import RAW_CHARS
from connectors.sources.values import ColumnError, Order, Values, number_rank, pack


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a document says of the rows."""

    source: str
    """Its name, for messages."""
    key: tuple[str, ...]
    cursor: tuple[str, ...]
    order: Order | None
    """How the first of the cursor's columns is read; None where there is none: all of it is read at each pull."""
    values: Values
    deleted: Mark | Sweeping | None


@dataclass(slots=True)
class Reading:
    """How the rows of one result become records."""

    wanted: Wanted
    names: list[str]

    def __post_init__(self) -> None:
        """Refuse a result in which a column could not be told from another, or is not there."""
        for name in self.names:
            if self.names.count(name) > 1:
                what = f"The query of {self.wanted.source} gives two columns {name!r}."
                raise SourceBroken(f"{what} Rename one with `as`.", column=name)
        flag = (self.wanted.deleted.path[0],) if isinstance(self.wanted.deleted, Mark) else ()
        for name in (*self.wanted.key, *self.wanted.cursor, *flag):
            if name not in self.names:
                what = f"The query of {self.wanted.source} gives no column {name!r}."
                raise SourceBroken(f"{what} {nearest(str(name), self.names)}", column=str(name))

    def read(self, row: Sequence[Any], number: int) -> Row | RowProblem:
        """Give the row's record, or what is wrong with it; raises SourceBroken when that is wrong with all of them."""
        name = None
        data: dict[str, Any] = {}
        try:
            for name, value in zip(self.names, row, strict=True):
                data[name] = self.wanted.values.json(value)
            name = self.wanted.key[0]
            key = key_of([data[name] for name in self.wanted.key])
            name = self.wanted.cursor[0] if self.wanted.cursor else None
            return Row(key, data, _hash(data), self._rank(row, data), number, deleted=self._is_deleted(data))
        except CellError as err:
            shown = json.dumps(data, ensure_ascii=False)
            return RowProblem(number, name, printable(str(err), 1000), printable(shown, RAW_CHARS))
        except ColumnError as err:
            raise SourceBroken(f"The column {name!r} of {self.wanted.source} {err}", row=number, column=name) from err

    def name(self, row: Sequence[Any]) -> str:
        """Give what a row is called while it cannot be used: by its key where it has one, else by its content."""
        try:
            parts = [row[self.names.index(name)] for name in self.wanted.key]
            return key_of([self.wanted.values.json(part) for part in parts])
        except (CellError, ColumnError):
            return hashlib.sha256(repr(tuple(row)).encode("utf-8", "replace")).hexdigest()

    def _rank(self, row: Sequence[Any], data: Mapping[str, Any]) -> tuple[Any, ...] | None:
        if self.wanted.order is None:
            return None
        first, *others = self.wanted.cursor
        for name in self.wanted.cursor:
            if data[name] is None:
                raise CellError(f"The cursor {name!r} is empty, so versions have no order. Fill it in.")
        rank = self.wanted.order.rank(row[self.names.index(first)])
        return (rank, *[_rank_of(row[self.names.index(name)]) for name in others])

    def _is_deleted(self, data: Mapping[str, Any]) -> bool:
        mark = self.wanted.deleted
        if not isinstance(mark, Mark):
            return False
        value = data[str(mark.path[0])]
        return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in mark.values)


def key_of(parts: list[Any]) -> str:
    """Give the text that names a record."""
    if any(part is None or isinstance(part, bool | list | dict) for part in parts):
        raise CellError("The key is empty or no text, so the record has no name. Correct `key`.")
    key = key_text(parts)
    if not key.strip() or len(key) > MAX_KEY_CHARS:
        raise CellError(f"A key has 1 to {MAX_KEY_CHARS} characters. Correct `key`.")
    return key


def _rank_of(value: Any) -> Any:  # noqa: ANN401
    """Give what orders versions by a further cursor column: times as texts of one width, numbers as they are."""
    if isinstance(value, datetime):
        return stamp_text(value if value.tzinfo else value.replace(tzinfo=UTC))
    return pack(value) if isinstance(value, str) else number_rank(value)


def _hash(data: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(canonical(data).encode()).digest()
