"""How the rows below a header are read: which cell is which column, what names the record, what orders its versions."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.documents import nearest
from connectors.errors import SourceBroken
from connectors.sources.cells import CellError, Json, quoted, unstorable
from connectors.sources.columns import Column
from connectors.sources.rows import Row, RowProblem
from connectors.sources.tables import Record, problem

MAX_KEY_CHARS = 500
"""Keys are indexed, and an index entry of PostgreSQL holds 2.7 kB."""
canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode
"""Writes JSON in one way only: equal values, equal text."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a document says about the rows of its file."""

    encoding: str
    delimiter: str
    nulls: frozenset[str]
    """Texts of cells that mean "no value"."""
    key: tuple[str, ...]
    cursor: tuple[str, ...]
    columns: Mapping[str, Column]


class Layout:
    """How the rows below one header are read."""

    def __init__(self, shape: Shape, file: str, header: Record) -> None:
        names = [name.strip() for name in header.cells]
        _check_header(shape, file, header, names)
        self._shape = shape
        self._names = names
        self._unnamed = "" in names
        self._typed = [(name, column.convert) for name, column in shape.columns.items() if column.convert]
        self._naming = Naming(shape.key, shape.cursor, shape.columns)

    def read(self, record: Record) -> Iterator[Row | RowProblem]:
        """Give the row, or all that is wrong with it."""
        if len(record.cells) != len(self._names):
            yield problem(record, None, self._uneven(record))
        elif unstorable(record.raw):
            yield from self._undecodable(record)
        else:
            data = self._texts(record.cells)
            problems = list(self._convert(record, data))
            yield from problems or self._naming.name(record, data)

    def _texts(self, cells: list[str]) -> dict[str, Json]:
        nulls = self._shape.nulls
        data: dict[str, Json] = {
            name: None if cell in nulls else cell for name, cell in zip(self._names, cells, strict=True)
        }
        if self._unnamed:
            del data[""]  # nobody could ask for it
        return data

    def _convert(self, record: Record, data: dict[str, Json]) -> Iterator[RowProblem]:
        """Put the values of typed columns in the place of their texts; spaces around them do not count."""
        for name, convert in self._typed:
            cell = data[name]
            if not isinstance(cell, str):
                continue
            cell = cell.strip()
            try:
                data[name] = None if cell in self._shape.nulls else convert(cell)
            except CellError as err:
                yield problem(record, name, str(err))

    def _undecodable(self, record: Record) -> Iterator[RowProblem]:
        for name, cell in zip(self._names, record.cells, strict=True):
            if unstorable(cell):
                message = f"{quoted(cell)} has bytes that are no {self._shape.encoding} text."
                yield problem(record, name or None, f"{message} Correct `encoding`, or mend the cell.")

    def _uneven(self, record: Record) -> str:
        return (
            f"The row has {len(record.cells)} cells, the header has {len(self._names)}. "
            f"Put cells that contain {self._shape.delimiter!r} in quotes, or fill up the row."
        )


class Naming:
    """What names a record, and what orders its versions; knows the keys that it has seen."""

    def __init__(self, key: Sequence[str], cursor: Sequence[str], columns: Mapping[str, Column]) -> None:
        self._key = key
        self._cursor = [(name, columns[name].rank) for name in cursor]
        self._seen: set[bytes] | None = None if cursor else set()

    def name(self, record: Record, data: dict[str, Any]) -> Iterator[Row | RowProblem]:
        """Give the row of a record's data, or why it has no name."""
        problems = list(self._unnameable(record, data))
        yield from problems or self._row(record, data)

    def _unnameable(self, record: Record, data: dict[str, Any]) -> Iterator[RowProblem]:
        for name in self._key:
            if data.get(name) is None or not str(data[name]).strip():
                yield problem(record, name, "The key is empty, so the record has no name. Fill it in.")
            elif isinstance(data[name], dict | list):
                yield problem(record, name, "The key is no text or number. Name another field in `key`.")
        for name, _ in self._cursor:
            if data.get(name) is None:
                message = "The cursor is empty, so it is unknown which version of the record is newer. Fill it in."
                yield problem(record, name, message)

    def _row(self, record: Record, data: dict[str, Any]) -> Iterator[Row | RowProblem]:
        key = key_text([data[name] for name in self._key])
        if len(key) > MAX_KEY_CHARS:
            yield problem(record, self._key[0], f"The key is longer than {MAX_KEY_CHARS} characters. Shorten it.")
        elif self._is_repeated(key):
            yield problem(
                record,
                self._key[0],
                f"The key {quoted(key)} stands further up already. Take one of "
                "the rows out, add a column to `key`, or declare a `cursor` that orders versions.",
            )
        else:
            cursor = tuple(rank(data[name]) for name, rank in self._cursor if rank) or None
            yield Row(key, data, hashlib.sha256(canonical(data).encode()).digest(), cursor, record.row)

    def _is_repeated(self, key: str) -> bool:
        if self._seen is None:
            return False
        digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
        before = len(self._seen)
        self._seen.add(digest)
        return len(self._seen) == before


def key_text(values: list[Json]) -> str:
    """Join the values that name a record into one text, different for different values: a\\|b|c is ("a|b", "c")."""
    parts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    if len(parts) == 1:
        return parts[0]
    return "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts)


def _check_header(shape: Shape, file: str, header: Record, names: list[str]) -> None:
    if unstorable(header.raw):
        what = f"The header of {file} is not written in {shape.encoding}: {quoted(header.raw.strip(), 200)}."
        raise SourceBroken(f"{what} Correct `encoding`.", row=header.row)
    for place, name in enumerate(names):
        if name and name in names[:place]:
            what = f"{file} has two columns {name!r}, {names.index(name) + 1} and {place + 1}."
            raise SourceBroken(f"{what} Rename one in the export.", row=header.row, column=name)
    for name in (*shape.key, *shape.cursor, *shape.columns):
        if name not in names:
            remedy = _other_delimiter(shape, names) or nearest(name, filter(None, names))
            raise SourceBroken(f"{file} has no column {name!r}. {remedy}", row=header.row, column=name)


def _other_delimiter(shape: Shape, names: list[str]) -> str | None:
    if len(names) > 1:
        return None
    found = next((other for other in (",", ";", "\t", "|") if other != shape.delimiter and other in names[0]), None)
    return found and f"Its header is {quoted(names[0])}: is the `delimiter` {found!r}?"
