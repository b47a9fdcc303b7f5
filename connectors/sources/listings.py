"""Files that hold a list of records and are read as a whole: what all kinds of them share.

Memory stays flat whatever the size of the file, but for one thing: without a cursor, a key may occur once in a file,
and to know that, a 16-byte hash of each key is kept while the file is read (100 to 200 bytes a key in Python's set).

Of a folder or a pattern, each file is read once, in the order of their names, or the last one only. What was read
stands in the state with its size, its version (the time of its change, or the ETag) and its SHA-256.
"""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields, post_load, validates_schema

from connectors.documents import Document, SourceSchema, StrictSchema, Text, TextList, nearest, say
from connectors.errors import SourceBroken, SourceUnavailable
from connectors.reach import Reach
from connectors.secrets import Secrets
from connectors.sources import files, places
from connectors.sources.choices import Choice
from connectors.sources.columns import Column, ColumnsField
from connectors.sources.files import Entry, Store, still_written
from connectors.sources.layouts import canonical
from connectors.sources.notes import Notes
from connectors.sources.places import Place
from connectors.sources.rows import PAGE_SIZE, Page, Row, RowProblem, State, Sweep
from connectors.sources.sweeps import Share, Sweeping

MAX_FILES = 10_000
"""What is read stands in the state, which is written with every file: so many are a megabyte."""


class _NoneSchema(StrictSchema):
    """`{type: none}`: what is gone stays as it was last seen."""

    type = Text(required=True)

    @post_load
    def make(self, _data: object, **_: object) -> None:
        """Make nothing."""


class _SweepSchema(StrictSchema):
    """`{type: sweep, at_most: 0.25}`: a file lists all records there are."""

    type = Text(required=True)
    at_most = Share(load_default=0.25)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Sweeping:
        """Make it; each file is a pass over all."""
        return Sweeping(timedelta(0), data["at_most"])


class ListingSchema(SourceSchema):
    """The keys that documents of all these kinds have."""

    path = Text(required=True)
    access = fields.Raw(load_default=None, metadata={"type": "object"})
    allow_private = TextList(load_default=[])
    read = Text(load_default="each")
    done = Text(load_default=None)
    compression = Text()
    key = TextList(required=True)
    cursor = TextList(load_default=None)
    columns = ColumnsField(load_default={})
    deleted = Choice({"none": _NoneSchema, "sweep": _SweepSchema}, load_default=None)

    @validates_schema
    def check_path(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a place that could not be read, and a compression that we do not have."""
        places.place(data["path"], data["access"], Path(), data["allow_private"])
        if data.get("compression", "none") not in ("none", "gzip"):
            what = f"There is no compression {data['compression']!r}."
            raise ValidationError(say(what, nearest(data["compression"], ("none", "gzip"))), "compression")
        if data["read"] not in ("each", "newest"):
            what = f"{data['read']!r} is no way to read files."
            raise ValidationError(say(what, "Write `each` or `newest`."), "read")
        if data["done"] is not None and ("{path}" not in data["done"] or "://" in data["done"]):
            what = "This names no file beside each file."
            raise ValidationError(say(what, 'Write it with {path} in it: "{path}.done".'), "done")
        if data["done"] is not None and data["path"].startswith(("http://", "https://")):
            what = "On the web nobody lists what is there."
            raise ValidationError(say(what, "Take it out: an answer is whole or it fails."), "done")

    @validates_schema
    def check_sweep(self, data: dict[str, Any], **_: object) -> None:
        """Refuse to take for all records what is only some of them."""
        if not isinstance(data["deleted"], Sweeping):
            return
        if places.is_many(data["path"]) and data["read"] != "newest":
            what = "Only a file with all records tells what is gone."
            raise ValidationError(say(what, "Write `read: newest` if each file holds all of them."), "deleted")
        if data["cursor"]:
            what = "A file with all records has each of them once, as it is now."
            raise ValidationError(say(what, "Take `cursor` out; what changed is seen by its content."), "cursor")

    @validates_schema
    def check_cursor(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a cursor whose order is a guess: as texts, 9 comes after 10 and 2/1/2026 before 31/12/2025."""
        faults = {}
        for number, name in enumerate(data["cursor"] or []):
            column: Column | None = data["columns"].get(name)
            if column is None:
                what, remedy = f"{name!r} orders versions, but has no type.", "Declare it under `columns`."
                faults[number] = [say(what, f"{remedy} Use `type: text` only if it sorts rightly as a text.")]
            elif column.rank is None:
                faults[number] = [say(f"{name!r} is boolean, which orders nothing.", "Name a time or a number.")]
        if faults:
            raise ValidationError({"cursor": faults})


Items = Callable[[files.Reading, bool], Iterable[Row | RowProblem]]
"""Reads an open file, which may be packed with gzip."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a document, and what was read of them before."""

    place: Place
    read: str
    """each | newest: of several files."""
    done: str | None
    """The name of the file that says that `{path}` is whole."""
    compression: str | None
    """gzip | none; None: by the ending of each file."""
    sweeping: Sweeping | None
    config: str
    """Hash of all that decides what rows a file gives."""
    reach: Reach = field(default_factory=lambda: Reach(Secrets({})))

    def pull(self, state: State | None, items: Items) -> Iterator[Page]:
        """Give every row of what has not been read; nothing when files and document are unchanged."""
        known = state if state and state.get("config") == self.config else None
        with self.place.store(self.reach) as store:
            if places.is_many(self.place.path):
                yield from _Folder(self, store, known or {}, items).pages()
            else:
                yield from self._single(store, known, items)

    def _single(self, store: Store, known: State | None, items: Items) -> Iterator[Page]:
        path = self.place.path
        if self.done and (entry := store.look(path)) and (known or {}).get("version") != entry.version:
            self.check_done(store, entry)
        with store.read(path, known) as reading:
            if reading is None:
                return
            if self.sweeping or isinstance(self.place, places.Sftp):
                self.check_still(reading)
            yield from self.pages(reading, items)

    def pages(self, reading: files.Reading, items: Items) -> Iterator[Page]:
        """Give a file's rows and problems by the page, with the state on the last one."""
        ends = self.compression == "gzip" or (self.compression is None and places.ending(reading.name).endswith(".gz"))
        return pages(reading, items(reading, ends or reading.packed), self.config, self.sweeping)

    def check_still(self, reading: files.Reading) -> None:
        """Raise SourceUnavailable for a file that may not be whole yet, and that nothing says to be."""
        if not self.done:
            reading.check_still()

    def check_done(self, store: Store, entry: Entry) -> None:
        """Raise SourceUnavailable while the file that says that another is whole is not there, or older than that."""
        if self.done is None:
            return
        name = self.done.replace("{path}", entry.path)
        marker = store.look(name)
        if marker is None:
            raise still_written(store.shown(entry.path), f"{store.shown(name)} is not there yet")
        if (marker.changed_at or 0) < (entry.changed_at or 0):
            raise still_written(store.shown(entry.path), f"{store.shown(name)} is older than it")


@dataclass(slots=True)
class _Folder:
    """One pull of several files; `state` is what the last one left."""

    listing: Listing
    store: Store
    state: State
    items: Items
    _notes: Notes = field(init=False)
    _ledger: dict[str, files.Fingerprint] = field(init=False)

    def __post_init__(self) -> None:
        """Take apart what is known."""
        self._notes = Notes(dict(self.state.get("notes", {})))
        self._ledger = dict(self.state.get("files", {}))

    def pages(self) -> Iterator[Page]:
        """Give what is new, file by file; the state moves with the last page of each."""
        found = self._entries()
        self._ledger = {path: read for path, read in self._ledger.items() if path in found}
        touched = False
        for entry in self._pending(found):
            with self.store.read(entry.path, self._ledger.get(entry.path)) as reading:
                touched = True
                if reading is None:
                    # Written anew with the same bytes: noted, so that it need not be read again to know.
                    self._ledger[entry.path] = {**self._ledger[entry.path], "version": entry.version}
                    continue
                if entry.changed_at is not None:
                    self.listing.check_still(reading)
                yield from self._file(entry, reading)
        if touched:
            yield Page((), tuple(self._notes.again(self._now())), self._state())

    def _entries(self) -> dict[str, Entry]:
        folder, pattern = places.folder_and_pattern(self.listing.place.path)
        found = {one.path: one for one in self.store.entries(folder)}
        if self.listing.done:
            for path in [self.listing.done.replace("{path}", path) for path in found]:
                found.pop(path, None)
        matching = {path: found[path] for path in sorted(found) if pattern.match(path.rpartition("/")[2])}
        shown = self.store.shown(self.listing.place.path)
        if not matching and not self._ledger:
            remedy = "Wait for the export, or correct `path`; it does not look into folders of folders."
            raise SourceUnavailable(f"There is no file {shown}. {remedy}")
        if len(matching) > MAX_FILES:
            what = f"There are {len(matching):,} files {shown}, and at most {MAX_FILES:,} are followed."
            raise SourceBroken(f"{what} Move away what has been read.")
        return matching

    def _pending(self, found: Mapping[str, Entry]) -> Iterator[Entry]:
        """Give what is to be read, in order; raises at the first that may not be whole, for what follows is newer."""
        entries = list(found.values())
        unfinished: SourceUnavailable | None = None
        if self.listing.read == "newest":
            while len(entries) > 1 and (fault := self._unfinished(entries[-1])):
                unfinished = fault
                entries.pop()
            entries = entries[-1:]
        for entry in entries:
            read = self._ledger.get(entry.path, {})
            if (read.get("size"), read.get("version")) != (entry.size, entry.version):
                if fault := self._unfinished(entry):
                    raise fault
                yield entry
        if unfinished:
            raise unfinished

    def _unfinished(self, entry: Entry) -> SourceUnavailable | None:
        try:
            if self.listing.done:
                self.listing.check_done(self.store, entry)
            else:
                reason = "it was changed {age:.0f} s ago"
                files.check_settled(self.store.shown(entry.path), entry.changed_at, reason)
        except SourceUnavailable as err:
            return err
        return None

    def _file(self, entry: Entry, reading: files.Reading) -> Iterator[Page]:
        name = entry.path.rpartition("/")[2]
        for note in [note for note in self._notes.kept if note.startswith(f"{name}\n")]:
            self._notes.mended(note)
        for page in self.listing.pages(reading, self.items):
            problems = tuple(replace(one, message=f"{name}: {one.message}") for one in page.problems)
            if self.listing.read == "each":
                for problem in problems:
                    self._notes.add(f"{name}\n{problem.row} {problem.column}", problem, self._now())
            if page.state is None:
                yield replace(page, problems=problems)
                continue
            read = {key: page.state[key] for key in ("size", "sha256")} | {"version": entry.version}
            self._ledger = {**self._ledger, entry.path: read} if self.listing.read == "each" else {entry.path: read}
            yield replace(page, problems=problems, state=self._state())

    def _state(self) -> State:
        state = {"config": self.listing.config, "files": self._ledger, "notes": self._notes.kept}
        copied: State = json.loads(json.dumps(state))
        return copied

    def _now(self) -> datetime:
        return self.listing.reach.clock.now().astimezone(UTC)


def listing(data: Mapping[str, Any], document: Document, version: int, *, base: Path) -> Listing:
    """Make the listing of checked keys; `version` is that of the reading of such files."""
    many = places.is_many(data["path"])
    default = None if many else "gzip" if places.ending(data["path"]).endswith(".gz") else "none"
    return Listing(
        place=places.place(data["path"], data["access"], base, data["allow_private"]),
        read=data["read"],
        done=data["done"],
        compression=data.get("compression", default),
        sweeping=data["deleted"],
        config=config_hash(document, version),
    )


def pages(
    reading: files.Reading, items: Iterable[Row | RowProblem], config: str, sweeping: Sweeping | None = None
) -> Iterator[Page]:
    """Give rows and problems by the page, with the state on the last one; a sweep is complete when all was in order."""
    rows: list[Row] = []
    problems: list[RowProblem] = []
    any_good, any_bad = False, False
    number = uuid.uuid4().hex

    def sweep(*, complete: bool) -> Sweep | None:
        keys = tuple(row.key for row in rows)
        return Sweep(number, keys, complete=complete, cursor=None, at_most=sweeping.at_most) if sweeping else None

    for item in items:
        if len(rows) + len(problems) == PAGE_SIZE:
            any_good, any_bad = any_good or bool(rows), any_bad or bool(problems)
            if not any_good:
                raise _hopeless(reading.name, problems[-1].row, problems[0])
            reading.check_unchanged()
            yield Page(tuple(rows), tuple(problems), state=None, sweep=sweep(complete=False))
            rows, problems = [], []
        if isinstance(item, Row):
            rows.append(item)
        else:
            problems.append(item)
    state = reading.finish() | {"config": config}
    yield Page(tuple(rows), tuple(problems), state=state, sweep=sweep(complete=not any_bad and not problems))


def config_hash(document: Document, version: int) -> str:
    """Hash what decides the rows: everything but what it is called, how often it is pulled and how we get in."""
    left_out = ("name", "title", "every", "access", "allow_private", "done")
    decisive = {key: value for key, value in document.items() if key not in left_out}
    if isinstance(access := document.get("access"), Mapping) and "endpoint" in access:
        decisive["endpoint"] = access["endpoint"]
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
