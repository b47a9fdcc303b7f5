"""A source that is one delimited text file, read as a whole; README.md shows the document that declares it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, validates_schema

from connectors.documents import Document, Text, TextList, say, validate
from connectors.errors import SourceBroken
from connectors.reach import Reach
from connectors.sources import files, listing_checks, listings, texts
from connectors.sources.layouts import Layout, Shape
from connectors.sources.listings import Listing, ListingSchema
from connectors.sources.rows import Finding, Page, Row, RowProblem, State
from connectors.sources.tables import Record, Table

READING = 1
"""Version of the reading below: raise it when the same file would give other rows, so that files are read again."""


class CsvSchema(ListingSchema):
    """The keys of a `type: csv` document."""

    encoding = Text(load_default="utf-8", validate=texts.check_encoding)
    delimiter = Text(load_default=",")
    nulls = TextList(allow_blank=True, load_default=[""])

    @validates_schema
    def check_values(self, data: dict[str, Any], **_: object) -> None:
        """Refuse what could not be read, or would be read wrongly."""
        if len(data["delimiter"]) != 1 or data["delimiter"] in '"\r\n':
            raise ValidationError(
                say("This is not one character.", 'Write it in quotes: ",", ";", "\\t".'), "delimiter"
            )


@dataclass(frozen=True, slots=True)
class CsvSource:
    """The file, and how its rows are read."""

    name: str
    title: str
    every_seconds: int
    listing: Listing
    shape: Shape

    def reaching(self, reach: Reach) -> "CsvSource":
        """Give it with secrets and a clock of the caller's."""
        return replace(self, listing=replace(self.listing, reach=reach))

    def pull(self, state: State | None) -> Iterator[Page]:
        """Give every row of what has not been read, with a state at each file's end; nothing when all is unchanged."""
        yield from self.listing.pull(state, self._read)

    def check(self) -> Iterator[Finding]:
        """Try the first page."""
        yield from listing_checks.check(self, self.shape.key, self.shape.cursor, self.shape.columns)

    def sample(self, limit: int) -> Page:
        """Give the first rows."""
        return listing_checks.sample(self, limit)

    def _read(self, reading: files.Reading, packed: bool) -> Iterator[Row | RowProblem]:  # noqa: FBT001 - one caller
        with texts.decoded(reading, packed=packed, encoding=self.shape.encoding) as text:
            yield from self._items(reading, Table(text, delimiter=self.shape.delimiter))

    def _items(self, reading: files.Reading, table: Table) -> Iterator[Row | RowProblem]:
        try:
            records = iter(table)
            layout = Layout(self.shape, reading.name, _header(reading, records))
            for record in records:
                if isinstance(record, RowProblem):
                    yield record
                else:
                    yield from layout.read(record)
            if table.ends_open:
                reading.check_settled()
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
        listing=listings.listing(data, document, READING, base=base),
        shape=Shape(
            encoding=data["encoding"],
            delimiter=data["delimiter"],
            nulls=frozenset(data["nulls"]),
            key=tuple(data["key"]),
            cursor=tuple(data["cursor"] or ()),
            columns=data["columns"],
        ),
    )


def _header(reading: files.Reading, records: Iterator[Record | RowProblem]) -> Record:
    header = next(records, None)
    if header is None:
        raise files.still_written(reading.name, "it is empty, without even a header")
    if isinstance(header, RowProblem):
        raise SourceBroken(f"The header of {reading.name} cannot be read. {header.message}", row=header.row)
    header.cells[0] = header.cells[0].removeprefix("\ufeff")  # encodings such as utf-16-le keep the mark
    return header
