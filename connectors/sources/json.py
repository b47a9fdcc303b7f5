"""A source that is one JSON file or address with a list of records; README.md shows the document that declares it.

The list is read entry by entry, so memory stays flat. What stands around it is read too: a file that lacks its end is
taken for one that is still being written.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from connectors.documents import Document, Text, validate
from connectors.errors import SourceBroken
from connectors.reach import Reach
from connectors.sources import files, jsontexts, listing_checks, listings, texts
from connectors.sources.cells import CellError, quoted
from connectors.sources.columns import Column
from connectors.sources.layouts import Naming
from connectors.sources.listings import Listing, ListingSchema
from connectors.sources.rows import Finding, Page, Row, RowProblem, State
from connectors.sources.tables import MAX_RECORD_CHARS, Record, problem

READING = 1
"""Version of the reading below: raise it when the same file would give other rows, so that files are read again."""
_CHUNK_CHARS = 1 << 16
_DIGITS = "0123456789+-.eE"
_WORDS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")


class JsonSchema(ListingSchema):
    """The keys of a `type: json` document."""

    records = Text(load_default=None)


@dataclass(frozen=True, slots=True)
class JsonSource:
    """The file, and how its records are read."""

    name: str
    title: str
    every_seconds: int
    listing: Listing
    records: tuple[str, ...]
    """The keys that lead to the list; none where the file is itself the list."""
    key: tuple[str, ...]
    cursor: tuple[str, ...]
    columns: Mapping[str, Column]

    def reaching(self, reach: Reach) -> "JsonSource":
        """Give it with secrets and a clock of the caller's."""
        return replace(self, listing=replace(self.listing, reach=reach))

    def pull(self, state: State | None) -> Iterator[Page]:
        """Give every record of what has not been read, with a state at each file's end; nothing when unchanged."""
        yield from self.listing.pull(state, self._texts)

    def check(self) -> Iterator[Finding]:
        """Try the first page."""
        yield from listing_checks.check(self, self.key, self.cursor, self.columns)

    def sample(self, limit: int) -> Page:
        """Give the first rows."""
        return listing_checks.sample(self, limit)

    def _texts(self, reading: files.Reading, packed: bool) -> Iterator[Row | RowProblem]:  # noqa: FBT001 - one caller
        with texts.decoded(reading, packed=packed, encoding="utf-8") as text:
            yield from self._items(reading, text)

    def _items(self, reading: files.Reading, text: TextIO) -> Iterator[Row | RowProblem]:
        naming = Naming(self.key, self.cursor, self.columns)
        try:
            for place, (entry, raw) in enumerate(_Listing(text, reading.name, self.records), 1):
                yield from self._read(naming, Record(place, [], raw), entry)
        except _EndsEarlyError as err:
            raise files.still_written(reading.name, "it ends before its JSON does") from err

    def _read(self, naming: Naming, record: Record, entry: object) -> Iterator[Row | RowProblem]:
        """Give the row, or all that is wrong with it."""
        if not isinstance(entry, dict):
            yield problem(record, None, "This entry of the list is no map of fields. Check `records`.")
            return
        if field := next((name for name, value in entry.items() if jsontexts.is_unstorable([name, value])), None):
            yield problem(record, field, "It holds a NUL or half a character, which cannot be stored. Mend it.")
            return
        problems = list(self._convert(record, entry))
        yield from problems or naming.name(record, entry)

    def _convert(self, record: Record, entry: dict[str, Any]) -> Iterator[RowProblem]:
        """Put the values of typed columns in the place of what stands there."""
        for name, column in self.columns.items():
            value = entry.get(name)
            if column.convert is None or value is None:
                continue
            written = value if isinstance(value, str) else json.dumps(value)
            try:
                entry[name] = column.convert(written.strip()) if written.strip() else None
            except CellError as err:
                yield problem(record, name, str(err))


def load(document: Document, *, base: Path) -> JsonSource:
    """Give the source that a document declares; its relative path starts at `base`. Raises ConfigError."""
    data = validate(JsonSchema(), document)
    return JsonSource(
        name=data["name"],
        title=data["title"],
        every_seconds=data["every_seconds"],
        listing=listings.listing(data, document, READING, base=base),
        records=tuple(data["records"].split(".")) if data["records"] else (),
        key=tuple(data["key"]),
        cursor=tuple(data["cursor"] or ()),
        columns=data["columns"],
    )


# --- a list of any length, entry by entry ---------------------------------------------------------------------------


class _EndsEarlyError(Exception):
    """The text stops where JSON goes on."""


class _Listing:
    """The entries of a list in a JSON text, each with the text that it was read from."""

    def __init__(self, text: TextIO, file: str, path: tuple[str, ...]) -> None:
        self._text, self._file, self._path = text, file, path
        self._buffer, self._ended = "", False

    def __iter__(self) -> Iterator[tuple[object, str]]:
        """Give them in order. A list at the top is taken too where a path was declared."""
        first = self._peek()
        if first == "[":
            yield from self._entries()
        elif first == "{":
            yield from self._inside(self._path)
        else:
            raise self._broken("It holds neither a list nor a map.", "Check what the address or export gives.")
        if self._more():
            raise self._broken("Something stands after its end.", "Export it again as one JSON document.")

    def _inside(self, path: tuple[str, ...]) -> Iterator[tuple[object, str]]:
        """Look through a map for the list; what else stands in it is read and left."""
        seen: dict[str, object] = {}
        found = False
        for name in self._names():
            if path and name == path[0] and not found:
                found, first = True, self._peek()
                if first == "{" and len(path) > 1:
                    yield from self._inside(path[1:])
                elif first == "[" and len(path) == 1:
                    yield from self._entries()
                else:
                    raise self._broken(f"{name!r} is not what `records` says.", "It must lead to a list.")
            else:
                value, _ = self._value()
                seen[name] = value
        if not found:
            raise self._broken(*_lacking(path, seen))

    def _names(self) -> Iterator[str]:
        """Give the keys of a map; whoever takes one reads its value before the next."""
        self._take("{")
        more = self._peek() != "}"
        while more:
            name, _ = self._value()
            if not isinstance(name, str):
                raise self._broken("A key of a map is no text.", "Export it again.")
            self._take(":")
            yield name
            more = self._goes_on("}")
        self._take("}")

    def _entries(self) -> Iterator[tuple[object, str]]:
        self._take("[")
        more = self._peek() != "]"
        while more:
            yield self._value()
            more = self._goes_on("]")
        self._take("]")

    def _goes_on(self, end: str) -> bool:
        """Pass over a comma, after which another one must come."""
        if self._peek() == end:
            return False
        self._take(",")
        return True

    def _value(self) -> tuple[Any, str]:
        """Read one value; more of the text is fetched until it is whole."""
        self._peek()
        while True:
            try:
                value, end = jsontexts.decoder.raw_decode(self._buffer)
            except json.JSONDecodeError as err:
                if self._ended and self._is_cut(err):
                    raise _EndsEarlyError from err
                if self._ended or (len(self._buffer) > MAX_RECORD_CHARS and not self._is_cut(err)):
                    raise self._malformed(err) from err
            except RecursionError as err:
                raise self._broken("It is nested too deeply.", "Leave the field out of the export.") from err
            else:
                # A number might go on with what is not there yet.
                whole = isinstance(value, str | list | dict) or self._buffer[end:].lstrip(_DIGITS) or self._ended
                if whole and end <= MAX_RECORD_CHARS:
                    raw, self._buffer = self._buffer[:end], self._buffer[end:]
                    return value, raw
            if len(self._buffer) > MAX_RECORD_CHARS:
                raise self._broken(
                    f"An entry is longer than {MAX_RECORD_CHARS:,} characters.",
                    "Name the list in `records`, or leave a field out of the export.",
                )
            self._fetch()

    def _is_cut(self, err: json.JSONDecodeError) -> bool:
        """Tell whether what is wrong is that the text stops."""
        rest = self._buffer[err.pos :]
        return err.msg.startswith("Unterminated") or any(word.startswith(rest) for word in _WORDS)

    def _malformed(self, err: json.JSONDecodeError) -> SourceBroken:
        near = quoted(self._buffer[max(err.pos - 20, 0) : err.pos + 20])
        return self._broken(f"It is no JSON near {near} ({err.msg}).", "Export it again.")

    def _peek(self) -> str:
        """Give the next character that is no space."""
        if not self._more():
            raise _EndsEarlyError
        return self._buffer[0]

    def _more(self) -> bool:
        while True:
            self._buffer = self._buffer.lstrip(" \t\r\n\ufeff")
            if self._buffer or self._ended:
                return bool(self._buffer)
            self._fetch()

    def _take(self, expected: str) -> None:
        if self._peek() != expected:
            raise self._broken(f"{expected!r} is missing before {quoted(self._buffer[:20])}.", "Export it again.")
        self._buffer = self._buffer[1:]

    def _fetch(self) -> None:
        # Twice as much each time, so that a long value is not decoded over and over.
        chunk = self._text.read(max(_CHUNK_CHARS, len(self._buffer)))
        self._ended = not chunk
        self._buffer += chunk

    def _broken(self, what: str, remedy: str) -> SourceBroken:
        return SourceBroken(f"{self._file} cannot be read. {what} {remedy}")


def _lacking(path: tuple[str, ...], seen: Mapping[str, object]) -> tuple[str, str]:
    """Say that there is no list; many services answer with what went wrong in a map, and some with status 200."""
    wanted = f"{path[0]!r} is missing." if path else "It is a map, not a list."
    for name in ("message", "error", "detail", "exception"):
        if isinstance(said := seen.get(name), str):
            return wanted, f"It says {quoted(said, 200)}. Check the address and the permission."
    keys = ", ".join(repr(name) for name in list(seen)[:20]) or "nothing"
    return f"{wanted} It holds {keys}.", "Name the list in `records`, with dots between keys."
