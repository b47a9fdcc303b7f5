"""One Canvas course's gradebook: our columns in it, and the ledger that says what stands in them.

Canvas keeps nothing beside a cell, so each kind of row has a hidden column of its own, the ledger: for each student the
row's version, its checksum, a hash of the cells that were written, and whose row it is. By it a row that is gone is
found without its body, and a cell that somebody changed is seen. The ledger's title names our columns, so that none is
made twice, and none of a teacher's is ever written to.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.caliper.deeds import LOCAL_DIGITS
from connectors.canvas import Canvas, segment
from connectors.destinations.cells import MOST, Column, digest
from connectors.destinations.students import Students
from connectors.errors import DestinationRefused

log = logging.getLogger(__name__)

STATES = ("active", "invited", "completed", "inactive")
"""Enrolments whose students have a row in the gradebook, shown or not."""
MOST_COLUMNS = 6
"""Of one kind of row: their numbers must fit into the ledger's title."""
CHANGED = "changed"
"""In place of the checksum of a row whose cells are not as they were written."""
_VERSION_DIGITS = 18
"""Of any version: they are numbers of 64 bits."""
_LEDGER = re.compile(r"lrs-bridge (\S+) ([0-9a-f]{12})((?: \S+:\S+)*)")


@dataclass(frozen=True, slots=True)
class Slot:
    """Rows of one kind in one course, and the columns that show them."""

    feed: str
    program: str
    detail: str | None
    """The metric or the skill."""
    columns: tuple[Column, ...]

    @property
    def mark(self) -> str:
        """What its ledger is known by."""
        return hashlib.sha256(json.dumps([self.feed, self.program, self.detail]).encode()).hexdigest()[:12]

    @property
    def _end(self) -> str:
        match self.feed:
            case "records":
                return f"/{self.program}"
            case "measures":
                return f"/{self.program}/{self.detail}"
            case _:
                return f"/{self.detail}"

    def learner(self, key: str) -> str | None:
        """Give whose row it is by its key; None when it is not of this kind."""
        return key[: -len(self._end)] if key.endswith(self._end) and "/" not in key[: -len(self._end)] else None

    def key(self, learner: str) -> str:
        """Give the key of this learner's row."""
        return learner + self._end


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says of one student."""

    version: int
    checksum: str
    cells: str
    learner: str

    def text(self) -> str:
        """Write it."""
        return f"{self.version} {self.checksum} {self.cells} {self.learner}"

    @classmethod
    def read(cls, text: object) -> "Entry | None":
        """Read it; None where somebody wrote something else, such as a version that no row can have."""
        parts = str(text).split(" ", 3)
        if len(parts) != 4 or not parts[0].isdecimal() or len(parts[0]) > _VERSION_DIGITS:
            return None
        return cls(int(parts[0]), *parts[1:])


@dataclass(frozen=True, slots=True)
class Made:
    """The columns of a slot as they are in Canvas."""

    ledger: str
    shown: Mapping[Column, str]
    """The number of each column; one that was deleted and is not to be made again is not there."""
    missing: tuple[Column, ...]
    """Those."""


@dataclass(slots=True)
class Gradebook:
    """A course; what it holds is read once and then kept up by what we write."""

    canvas: Canvas
    course: str
    """Its number, or `sis_course_id:...`."""
    name: str
    """Of the destination."""
    recreate: bool
    marks: Callable[[str], frozenset[str] | None]
    """Gives those of all slots of a course, by its number; None while that is not known."""
    number: str | None = None
    """As Canvas says it; all numbers here are local to its shard."""
    students: Students | None = None
    ledgers: dict[Slot, dict[str, Entry]] = field(default_factory=dict)
    _shards: dict[str, bool] = field(default_factory=dict)

    def find(self) -> None:
        """Find the course."""
        if self.number is None:
            self.number = str(self.canvas.get(f"courses/{segment(self.course)}")["id"])

    def read(self) -> None:
        """Read who is in the course."""
        self.find()
        if self.students is not None:
            return
        asked: dict[str, Any] = {"enrollment_type[]": "student", "enrollment_state[]": list(STATES)}
        listed = self.canvas.pages(f"courses/{self.number}/users", **asked, **{"include[]": "email"})
        self.students = Students.of(listed)

    def forget(self) -> None:
        """Read everything anew the next time."""
        self.students = None
        self.ledgers.clear()

    def is_of_here(self, shard: str) -> bool:
        """Tell whether a shard is this site's, by asking for our course by its global id."""
        if shard not in self._shards:
            number = str(self.number)
            ours = f"{shard}{number.zfill(LOCAL_DIGITS)}" if number.isdecimal() else number
            self._shards[shard] = _is_there(self.canvas, ours, number)
        return self._shards[shard]

    def ready(self, slot: Slot) -> Made:
        """Make what columns of a slot there are not, once, and take away those that the document has no more."""
        there = self._swept()
        ledger = self._ledger(there, slot)
        if ledger is None:
            title = f"lrs-bridge {self.name} {slot.mark}"
            ledger = self._create({"title": title, "hidden": True, "read_only": True})
            self.ledgers.pop(slot, None)
        listed = _listed(ledger)
        ours = {number for column in there for number in _listed(column).values()}
        shown, missing = {}, []
        for column in slot.columns:
            number = listed.get(column.mark)
            if number is not None and number not in {str(one["id"]) for one in there}:
                if not self.recreate:
                    missing.append(column)
                    continue
                log.warning("The column %r of course %s was deleted and is made again.", column.title, self.course)
                number = None
            shown[column] = number or self._adopted(there, column, ours) or str(self._create(_shape(column))["id"])
        names = {column.mark: number for column, number in shown.items()}
        kept = names | {column.mark: listed[column.mark] for column in missing}
        if kept != listed:
            for mark in set(listed) - set(kept):
                self.canvas.delete(f"courses/{self.number}/custom_gradebook_columns/{segment(listed[mark])}")
            title = " ".join(
                [f"lrs-bridge {self.name} {slot.mark}", *(f"{mark}:{number}" for mark, number in kept.items())]
            )
            path = f"courses/{self.number}/custom_gradebook_columns/{segment(ledger['id'])}"
            self.canvas.put(path, {"column": {"title": title}})
        return Made(str(ledger["id"]), shown, tuple(missing))

    def sweep(self) -> None:
        """Take away the columns of kinds of rows that the document has no more, with their ledgers."""
        self.find()
        self._swept()

    def look(self, slot: Slot) -> Made | None:
        """Give the columns of a slot as they are, and make none; None where there is no ledger."""
        there = self._columns()
        ledger = self._ledger(there, slot)
        if ledger is None:
            return None
        numbers, listed = {str(one["id"]) for one in there}, _listed(ledger)
        shown = {column: listed[column.mark] for column in slot.columns if listed.get(column.mark) in numbers}
        gone = tuple(column for column in slot.columns if column not in shown)
        return Made(str(ledger["id"]), shown, gone)

    def is_whole(self, made: Made) -> bool:
        """Tell whether the columns are still there: what is written to one that is not is lost without a word."""
        return {made.ledger, *made.shown.values()} <= {str(one["id"]) for one in self._columns()}

    def ledger(self, slot: Slot, made: Made, *, anew: bool = False) -> dict[str, Entry]:
        """Give what the ledger says, by student."""
        if anew or slot not in self.ledgers:
            read = ((number, Entry.read(text)) for number, text in self.cells(made.ledger))
            self.ledgers[slot] = {number: entry for number, entry in read if entry is not None}
        return self.ledgers[slot]

    def cells(self, column: str) -> Iterator[tuple[str, str]]:
        """Give what stands in a column, by student; hidden columns too."""
        path = f"courses/{self.number}/custom_gradebook_columns/{segment(column)}/data"
        for datum in self.canvas.pages(path, include_hidden="true"):
            yield str(datum["user_id"]), str(datum.get("content") or "")

    def write(self, data: Sequence[Mapping[str, str]]) -> None:
        """Write cells, and wait until that is done; an empty text takes a cell away. Raises JobFailed."""
        path = f"courses/{self.number}/custom_gradebook_column_data"
        self.canvas.finish(self.canvas.put(path, {"column_data": list(data)}))

    def held(self, slot: Slot, made: Made) -> Iterator[tuple[str, int, str]]:
        """Give (learner, version, checksum) of what the columns hold; `CHANGED` where cells are not as written."""
        judged = [column for column in slot.columns if column in made.shown or self.recreate]
        contents = {column: dict(self.cells(number)) for column, number in made.shown.items()}
        for student, entry in self.ledger(slot, made, anew=True).items():
            texts = [contents.get(column, {}).get(student, "") for column in judged]
            yield entry.learner, entry.version, entry.checksum if digest(judged, texts) == entry.cells else CHANGED

    def _swept(self) -> list[dict[str, Any]]:
        """Give our columns and those of others, after taking away what the document has no more."""
        there, wanted = self._columns(), self.marks(str(self.number))
        for column in list(there):
            found = _LEDGER.fullmatch(str(column.get("title")))
            if found is None or found[1] != self.name or wanted is None or found[2] in wanted:
                continue
            gone = (*_listed(column).values(), str(column["id"]))  # the ledger last: by it the others are found
            for number in gone:
                self.canvas.delete(f"courses/{self.number}/custom_gradebook_columns/{segment(number)}")
            there = [one for one in there if str(one["id"]) not in gone]
        return there

    def _columns(self) -> list[dict[str, Any]]:
        return list(self.canvas.pages(f"courses/{self.number}/custom_gradebook_columns", include_hidden="true"))

    def _ledger(self, there: Iterable[Mapping[str, Any]], slot: Slot) -> Mapping[str, Any] | None:
        for column in there:
            found = _LEDGER.fullmatch(str(column.get("title")))
            if found and (found[1], found[2]) == (self.name, slot.mark):
                return column
        return None

    def _adopted(self, there: Iterable[Mapping[str, Any]], column: Column, ours: set[str]) -> str | None:
        """Give a column that we made and could not note: nobody makes a read-only one but by the interface."""
        for one in there:
            if one.get("title") == column.title and one.get("read_only") is True and str(one["id"]) not in ours:
                return str(one["id"])
        return None

    def _create(self, column: Mapping[str, Any]) -> Mapping[str, Any]:
        path = f"courses/{self.number}/custom_gradebook_columns"
        made: Mapping[str, Any] = self.canvas.post(path, {"column": dict(column)})
        return made


def _shape(column: Column) -> dict[str, Any]:
    return {"title": column.title[:MOST], "hidden": column.hidden, "read_only": True}


def _listed(column: Mapping[str, Any]) -> dict[str, str]:
    """Give the columns that a ledger's title names, by mark."""
    found = _LEDGER.fullmatch(str(column.get("title")))
    return dict(pair.split(":", 1) for pair in found[3].split()) if found else {}


def _is_there(canvas: Canvas, number: str, local: str) -> bool:
    try:
        return str(canvas.get(f"courses/{segment(number)}").get("id")) == local
    except DestinationRefused:
        return False
