"""A source that is one delimited text file, read as a whole; README.md shows the document that declares it.

Memory stays flat whatever the size of the file, but for one thing: without a cursor, a key may occur once in a file,
and to know that, a 16-byte hash of each key is kept while the file is read (100 to 200 bytes a key in Python's set).
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, post_load, validates_schema

from connectors import http
from connectors.documents import Document, SourceSchema, Text, TextList, nearest, say, validate
from connectors.errors import SourceBroken
from connectors.sources import files, texts
from connectors.sources.columns import Column, ColumnsField
from connectors.sources.layouts import Layout, Shape, canonical
from connectors.sources.rows import PAGE_SIZE, Page, Row, RowProblem, State
from connectors.sources.tables import Record, Table

READING = 1
"""Version of the reading below: raise it when the same file would give other rows, so that files are read again."""


class CsvSchema(SourceSchema):
    """The keys of a `type: csv` document."""

    path = Text(required=True)
    compression = Text()
    encoding = Text(load_default="utf-8", validate=texts.check_encoding)
    delimiter = Text(load_default=",")
    nulls = TextList(allow_blank=True, load_default=[""])
    key = TextList(required=True)
    cursor = TextList(load_default=None)
    columns = ColumnsField(load_default={})

    @validates_schema
    def check_values(self, data: dict[str, Any], **_: object) -> None:
        """Refuse what could not be read, or would be read wrongly."""
        if "://" in data["path"] and (fault := http.url_fault(data["path"])):
            raise ValidationError(say(*fault), "path")
        if data.get("compression", "none") not in ("none", "gzip"):
            what = f"There is no compression {data['compression']!r}."
            raise ValidationError(say(what, nearest(data["compression"], ("none", "gzip"))), "compression")
        if len(data["delimiter"]) != 1 or data["delimiter"] in '"\r\n':
            raise ValidationError(
                say("This is not one character.", 'Write it in quotes: ",", ";", "\\t".'), "delimiter"
            )

    @validates_schema
    def check_cursor(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a cursor whose order is a guess: as texts, 9 comes after 10 and 2/1/2026 before 31/12/2025."""
        faults = {}
        for place, name in enumerate(data["cursor"] or []):
            column: Column | None = data["columns"].get(name)
            if column is None:
                what, remedy = f"{name!r} orders versions, but has no type.", "Declare it under `columns`."
                faults[place] = [say(what, f"{remedy} Use `type: text` only if it sorts rightly as a text.")]
            elif column.rank is None:
                faults[place] = [say(f"{name!r} is boolean, which orders nothing.", "Name a time or a number.")]
        if faults:
            raise ValidationError({"cursor": faults})

    @post_load
    def default_compression(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Go by the file's ending where nothing is said."""
        ending = urlsplit(data["path"]).path.endswith(".gz")
        return {"compression": "gzip" if ending else "none", **data}


@dataclass(frozen=True, slots=True)
class CsvSource:
    """The file, and how its rows are read."""

    name: str
    title: str
    every_seconds: int
    place: Path | str
    """A path on this machine, or a web address."""
    compression: str
    shape: Shape
    config: str
    """Hash of all that decides what rows a file gives."""

    def pull(self, state: State | None) -> Iterator[Page]:
        """Give every row of the file, with the state on the last page; nothing when file and document are unchanged."""
        known = state if state and state.get("config") == self.config else None
        with files.opened(self.place, known) as reading:
            if reading is None:
                return
            packed = self.compression == "gzip" or reading.packed
            with texts.decoded(reading, packed=packed, encoding=self.shape.encoding) as text:
                yield from self._pages(reading, Table(text, delimiter=self.shape.delimiter))

    def _pages(self, reading: files.Reading, table: Table) -> Iterator[Page]:
        rows: list[Row] = []
        problems: list[RowProblem] = []
        any_good = False
        for item in self._items(reading, table):
            if len(rows) + len(problems) == PAGE_SIZE:
                any_good = any_good or bool(rows)
                if not any_good:
                    raise _hopeless(reading.name, table.row, problems[0])
                reading.check_unchanged()
                yield Page(tuple(rows), tuple(problems), state=None)
                rows, problems = [], []
            if isinstance(item, Row):
                rows.append(item)
            else:
                problems.append(item)
        if table.ends_open:
            reading.check_settled()
        yield Page(tuple(rows), tuple(problems), state=reading.finish() | {"config": self.config})

    def _items(self, reading: files.Reading, table: Table) -> Iterator[Row | RowProblem]:
        try:
            records = iter(table)
            layout = Layout(self.shape, reading.name, _header(reading, records))
            for record in records:
                if isinstance(record, RowProblem):
                    yield record
                else:
                    yield from layout.read(record)
        except UnicodeDecodeError as err:
            reading.check_unchanged()
            if err.reason == "truncated data":
                raise files.still_written(reading.name, "it stops in the middle of a character") from err
            # Text is decoded some thousand bytes ahead of the row.
            where = f"row {table.row} or one soon after"
            what = f"{reading.name} is not written in {self.shape.encoding}: {where} ({err.reason})."
            raise SourceBroken(f"{what} Correct `encoding`.", row=table.row) from err


def load(document: Document, *, base: Path) -> CsvSource:
    """Give the source that a document declares; its relative path starts at `base`. Raises ConfigError."""
    data = validate(CsvSchema(), document)
    return CsvSource(
        name=data["name"],
        title=data["title"],
        every_seconds=data["every_seconds"],
        place=data["path"] if "://" in data["path"] else base / data["path"],
        compression=data["compression"],
        shape=Shape(
            encoding=data["encoding"],
            delimiter=data["delimiter"],
            nulls=frozenset(data["nulls"]),
            key=tuple(data["key"]),
            cursor=tuple(data["cursor"] or ()),
            columns=data["columns"],
        ),
        config=_config_hash(document),
    )


def _config_hash(document: Document) -> str:
    """Hash what decides the rows: everything but what it is called and how often it is pulled."""
    decisive = {key: value for key, value in document.items() if key not in ("name", "title", "every")}
    return hashlib.sha256(canonical([READING, _with_text_keys(decisive)]).encode()).hexdigest()


def _with_text_keys(value: object) -> object:
    """Let YAML's bare `true:` be sorted among texts."""
    if isinstance(value, Mapping):
        return {
            str(key).lower() if isinstance(key, bool) else key: _with_text_keys(inner) for key, inner in value.items()
        }
    return value


def _header(reading: files.Reading, records: Iterator[Record | RowProblem]) -> Record:
    header = next(records, None)
    if header is None:
        raise files.still_written(reading.name, "it is empty, without even a header")
    if isinstance(header, RowProblem):
        raise SourceBroken(f"The header of {reading.name} cannot be read. {header.message}", row=header.row)
    header.cells[0] = header.cells[0].removeprefix("\ufeff")  # encodings such as utf-16-le keep the mark
    return header


def _hopeless(file: str, row: int, first: RowProblem) -> SourceBroken:
    """Make the error for a file of which nothing can be used: rather the document is wrong than every row."""
    where = f"column {first.column!r} of row {first.row}" if first.column else f"row {first.row}"
    what = f"Of {file} not one row down to row {row} can be used; first, {where}: {first.message}"
    return SourceBroken(what, row=first.row, column=first.column)
