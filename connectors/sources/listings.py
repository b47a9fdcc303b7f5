"""Files that hold a list of records and are read as a whole: what all kinds of them share.

Memory stays flat whatever the size of the file, but for one thing: without a cursor, a key may occur once in a file,
and to know that, a 16-byte hash of each key is kept while the file is read (100 to 200 bytes a key in Python's set).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, post_load, validates_schema

from connectors import http
from connectors.documents import Document, SourceSchema, Text, TextList, nearest, say
from connectors.errors import SourceBroken
from connectors.sources import files
from connectors.sources.columns import Column, ColumnsField
from connectors.sources.layouts import canonical
from connectors.sources.rows import PAGE_SIZE, Page, Row, RowProblem


class ListingSchema(SourceSchema):
    """The keys that documents of all these kinds have."""

    path = Text(required=True)
    compression = Text()
    key = TextList(required=True)
    cursor = TextList(load_default=None)
    columns = ColumnsField(load_default={})

    @validates_schema
    def check_path(self, data: dict[str, Any], **_: object) -> None:
        """Refuse an address that could not be fetched, and a compression that we do not have."""
        if "://" in data["path"] and (fault := http.url_fault(data["path"])):
            raise ValidationError(say(*fault), "path")
        if data.get("compression", "none") not in ("none", "gzip"):
            what = f"There is no compression {data['compression']!r}."
            raise ValidationError(say(what, nearest(data["compression"], ("none", "gzip"))), "compression")

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


def place(path: str, base: Path) -> Path | str:
    """Give where the file is: a web address, or a path that starts at `base`."""
    return path if "://" in path else base / path


def pages(reading: files.Reading, items: Iterable[Row | RowProblem], config: str) -> Iterator[Page]:
    """Give rows and problems by the page, with the state on the last one."""
    rows: list[Row] = []
    problems: list[RowProblem] = []
    any_good = False
    for item in items:
        if len(rows) + len(problems) == PAGE_SIZE:
            any_good = any_good or bool(rows)
            if not any_good:
                raise _hopeless(reading.name, problems[-1].row, problems[0])
            reading.check_unchanged()
            yield Page(tuple(rows), tuple(problems), state=None)
            rows, problems = [], []
        if isinstance(item, Row):
            rows.append(item)
        else:
            problems.append(item)
    yield Page(tuple(rows), tuple(problems), state=reading.finish() | {"config": config})


def config_hash(document: Document, version: int) -> str:
    """Hash what decides the rows: everything but what it is called and how often it is pulled."""
    decisive = {key: value for key, value in document.items() if key not in ("name", "title", "every")}
    return hashlib.sha256(canonical([version, _with_text_keys(decisive)]).encode()).hexdigest()


def _with_text_keys(value: object) -> object:
    """Let YAML's bare `true:` be sorted among texts."""
    if isinstance(value, Mapping):
        return {
            str(key).lower() if isinstance(key, bool) else key: _with_text_keys(inner) for key, inner in value.items()
        }
    return value


def _hopeless(file: str, row: int | None, first: RowProblem) -> SourceBroken:
    """Make the error for a file of which nothing can be used: rather the document is wrong than every row."""
    where = f"column {first.column!r} of row {first.row}" if first.column else f"row {first.row}"
    what = f"Of {file} not one row down to row {row} can be used; first, {where}: {first.message}"
    return SourceBroken(what, row=first.row, column=first.column)
