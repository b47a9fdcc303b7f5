"""Every change of every record of a stream, page by page: the contract that README.md states line by line.

Pure towards time and storage: the clock is handed in, and so is the state, which comes out again with every page. What
a page gave and its state are to be stored together; then a pull that breaks off anywhere goes on where it was.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import requests

from connectors.errors import SourceBroken, SourceRefused
from connectors.sources import details, items
from connectors.sources.asking import Ask
from connectors.sources.calls import Caller, source_time
from connectors.sources.columns import stamp_text
from connectors.sources.drift import Drift
from connectors.sources.lateness import Lateness
from connectors.sources.layouts import canonical
from connectors.sources.notes import Notes
from connectors.sources.paginators import Answer, Keyset, Position
from connectors.sources.passes import Passes
from connectors.sources.paths import find, shown
from connectors.sources.rows import PAGE_SIZE, Page, Row, RowProblem, State, Sweep
from connectors.sources.streams import Cursor, Stream

log = logging.getLogger(__name__)

FORGOTTEN = frozenset({400, 404, 410, 422})
"""What systems answer to a position that they no longer know."""
BAD_ROWS = 20
BAD_SHARE = 0.1
"""More unusable rows than both: then the document is wrong, or a permission was lost, and nothing moves on."""
SAME_PAGES = 2
"""So often the same page may come again: a slip of the system is no reason to stop, one that heeds no number is."""
EMPTY_PAGES = 100
"""So many may come in a row: some systems filter by what we may see only after they cut the page."""
TIE_READINGS = 6
"""So often records of one time that fill more than a page are read, until two readings agree."""
EVEN_SECONDS = 2.0
"""Clocks that differ by less agree: a Date header has whole seconds."""


@dataclass(slots=True)
class Read:
    """What one answer gave."""

    count: int
    """Records in the answer, usable or not."""
    rows: list[Row] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    last_at: datetime | None = None
    """Time of change of the last row that has both, usable or not: there a keyset goes on."""
    last_id: Any = None
    last_named: Any = None
    """Id of the last row that has one."""
    newest: datetime | None = None
    keys: list[str] = field(default_factory=list)
    """Of all records that have one, usable or not, where a sweep names them."""
    all_named: bool = True
    beyond: bool = False
    """A row changed after this pull began: what comes now would have no end on a busy system."""
    disorder: bool = False

    @property
    def content(self) -> tuple[object, ...]:
        """What tells one page from another."""
        bad = [(problem.column, problem.raw) for problem in self.problems]
        return self.count, [(row.key, row.content_hash) for row in self.rows], bad, self.keys


@dataclass(slots=True)
class Runner:
    """One pull of one stream. `state` is changed while it goes on; what is given out are copies."""

    stream: Stream
    caller: Caller
    state: State
    name: str
    bounds: tuple[datetime, datetime] | None = None
    """The slice of the past that is read; None: what changed since the state."""
    skips_past: bool = False
    """What changed before the first pull is left to slices."""
    _number: int = 0
    _bad: int = 0
    _notes: Notes = field(init=False)
    _drift: Drift = field(init=False)
    _passes: Passes | None = field(init=False)
    _lateness: Lateness | None = field(init=False)
    _stored_position: bool = False
    """The next request goes to a position that an earlier pull left."""

    def __post_init__(self) -> None:
        """Take the notes out of the state, where they stay."""
        self._notes = Notes(self.state.setdefault("notes", {}))
        self._drift = Drift(self.state.setdefault("fields", {}), self._notes, self.name)
        stream, judged = self.stream, self.stream.is_windowed and not self.bounds
        self._passes = Passes(stream.sweep, self.state.setdefault("pass", {}), self.name) if stream.sweep else None
        lookback = _the(stream.cursor).lookback if judged else timedelta(0)
        self._lateness = Lateness(self.state.setdefault("late", {}), lookback) if judged else None

    def pages(self) -> Iterator[Page]:
        """Give every page; a window that an earlier pull left unfinished first, and then what changed since."""
        if self.skips_past and not self.state.keys() & {"begun", "watermark", "window", "kept"}:
            self.state["begun"] = self.state["from"] = stamp_text(self._beginning(self._source_now()))
            yield Page((), (), self._copy())  # stored before the first request, so that this is never forgotten
        if self._has_unfinished():
            self._stored_position = True
            yield from self._window()
        else:
            self.state.pop("window", None)
        is_new = not self.state.get("pass", True)
        if self._begin():
            yield from self._window()
        elif is_new:
            yield Page((), (), self._copy())  # stored, so that the time until the first pass is counted from now on
        # What was found earlier in a slice is stored, and nothing replaces it.
        if not self.bounds and (again := tuple(self._notes.again(self._now()))):
            yield Page((), again, self._copy())

    def _has_unfinished(self) -> bool:
        """Tell whether there is a window to go on with, whose position has not grown too old."""
        window: State | None = self.state.get("window")
        return window is not None and not (window["position"] and self._is_expired(window["issued_at"]))

    def _is_expired(self, issued_at: str) -> bool:
        return self._now() - _time(issued_at) > self.stream.page.common.expires

    def _begin(self, *, forget: bool = False) -> bool:
        """Begin a window [low, high); False when there is none to be had yet, or the slice was read."""
        source_now = self._source_now()
        is_pass = self._passes and self._passes.begin(self._now(), source_now)
        if self.state.get("done") or (self.stream.lists_only and not is_pass):
            return False
        if not forget and "read_at" in self.state and self._now() - _time(self.state["read_at"]) < self.stream.every:
            return False
        kept = self.state.get("kept")
        if kept and (forget or self._is_expired(kept["issued_at"])):
            del self.state["kept"]
            kept = None
        window: State = {"position": {}, "issued_at": stamp_text(self._now()), "pages": 0, "from_id": None}
        if kept:
            window |= {"position": kept["position"], "issued_at": kept["issued_at"]}
        if self.stream.is_windowed:
            low, high = self._bounds(_the(self.stream.cursor), source_now)
            if low >= high and not kept:
                return False
            window |= {"low": stamp_text(low), "high": stamp_text(high)}
            if self._lateness and not kept:
                self._lateness.begin(low, self.state.get("watermark"))
        self._stored_position = bool(kept)
        self.state["window"] = window
        return True

    def _bounds(self, cursor: Cursor, source_now: datetime) -> tuple[datetime, datetime]:
        if self.bounds:
            return self.bounds
        watermark, begun = self.state.get("watermark"), self.state.get("from")
        low = max(cursor.start, _time(watermark) - cursor.lookback) if watermark else cursor.start
        if begun and not watermark:
            # Our clock may have been ahead when the stream began, and been set right since.
            low = min(_time(begun), self._beginning(source_now))
            self.state["from"] = stamp_text(low)
        return low, source_now - cursor.settle

    def _beginning(self, now: datetime) -> datetime:
        """Give where the first window begins that skips the past: what may still be on its way is not past."""
        cursor = _the(self.stream.cursor)
        return max(cursor.start, now - cursor.settle - cursor.lookback)

    def _window(self) -> Iterator[Page]:
        been: set[str] = set()
        shown: tuple[object, ...] | None = None
        times = empty = 0
        while True:
            window = self.state["window"]
            readings = window.get("tie", {}).get("readings", 0)
            place = canonical([window.get("low"), window.get("from_id"), window["position"], readings])
            if place in been:
                raise SourceBroken(self._goes_in_circles())
            been.add(place)
            answer = self._answer(window)
            if answer is None:
                been.clear()
                continue
            if self._learn_clock(window, answer):
                been.clear()
                continue
            got = self._read(window, self._detailed(items.listed(self.stream, answer, self.caller.told)))
            before, shown = shown, (window.get("low"), window.get("from_id"), *got.content)
            times = times + 1 if got.count and shown == before else 0
            if times >= SAME_PAGES:
                raise SourceBroken(self._goes_in_circles())
            goes_on = self._advance(window, answer, got)
            yield from self._chunks(got, self._swept(got, is_last=not goes_on))
            if not goes_on:
                return
            empty = 0 if got.count else empty + 1
            if empty >= EMPTY_PAGES:
                raise SourceBroken(self._goes_nowhere())

    def _goes_in_circles(self) -> str:
        what = f"{self.name} is given the same page again and again, so there is no end to it."
        if isinstance(self.stream.page, Keyset):
            return f"{what} The cursor is sent less finely than records have it: correct `send`, as to iso_ms."
        return f"{what} Correct `page`."

    def _goes_nowhere(self) -> str:
        return (
            f"{self.name} was given {EMPTY_PAGES} empty pages in a row, each with a next one, so there may be no end. "
            "Correct `page`, such as by `more`: where the system says that more comes. If there are so many, the next "
            "pull goes on from here."
        )

    def _answer(self, window: State) -> Answer | None:
        """Give the answer; None when the window was changed instead, and the request is to be made anew."""
        stored, self._stored_position = self._stored_position, False
        try:
            return self.caller.answer(self._ask(window))
        except SourceRefused as err:
            if stored and window["position"] and err.status in FORGOTTEN:
                if not self._begin(forget=True):
                    raise
                log.info("%s no longer knows where we were, so the window is read again.", self.name)
                return None
            if err.status in self.stream.page.common.roll_on and window["pages"]:
                self._roll_on_refusal(window, err)
                return None
            if err.status == requests.codes.forbidden:
                raise SourceRefused(f"We may not read the stream {self.name}. {err}", status=err.status) from err
            raise

    def _ask(self, window: State) -> Ask:
        within = (_time(window["low"]), _time(window["high"])) if self.stream.is_windowed else None
        return self.stream.ask(self.caller.system.base_url, window["position"], within, window["from_id"])

    def _roll_on_refusal(self, window: State, err: SourceRefused) -> None:
        if not self._roll(window, window.get("newest")):
            raise SourceBroken(
                f"{self.name} has more records that changed at one time ({window['low']}) than the system lets anyone "
                f"page through. Ask for fewer, or page by `keyset`. {err}"
            ) from err

    def _detailed(self, records: list[Any]) -> list[Any]:
        base_url = self.caller.system.base_url
        return details.added(self.stream.details, records, self.stream.key[0], base_url, self.caller.answer)

    def _learn_clock(self, window: State, answer: Answer) -> bool:
        """Let the end of the window be before the source's own present, whatever our clock says.

        True when it is seen by this that the window is to begin earlier, and the request is to be made anew.
        """
        theirs = source_time(answer.headers)
        if theirs is None:
            return False
        skew, is_first = (theirs - self._now()).total_seconds(), "skew" not in self.state
        self.state["skew"] = skew if abs(skew) >= EVEN_SECONDS else 0
        if not self.state["skew"] or "high" not in window or self.bounds:
            return False
        window["high"] = min(window["high"], stamp_text(theirs - _the(self.stream.cursor).settle))
        if not is_first or skew > 0 or window["low"] != self.state.get("from") or "watermark" in self.state:
            return False
        # It may have begun in an earlier pull that got no answer, so that the source's present is no measure of it.
        begun = max(_the(self.stream.cursor).start, _time(window["low"]) + timedelta(seconds=skew))
        window["low"] = self.state["from"] = stamp_text(begun)
        return True

    def _read(self, window: State, records: list[Any]) -> Read:
        got = Read(len(records))
        present = self._present(window)
        newest = _time(window["newest"]) if window.get("newest") else None
        seen: set[tuple[Any, ...]] = set()
        for record in records:
            self._number += 1
            self._note_place(record, got)
            if self._passes:
                is_named = self._name(record, got)
                if is_named and self.stream.lists_only:
                    continue
            read = items.read(self.stream, record, self._number)
            if isinstance(read, RowProblem):
                self._bad += 1
                self._notes.add(_row_note(items.name(self.stream, record)), read, self._now())
                got.problems.append(read)
                continue
            row, at = read
            if at is not None:
                got.beyond = got.beyond or (present is not None and at >= present)
                got.disorder = got.disorder or (newest is not None and at < newest)
                newest = at if newest is None else max(at, newest)
                if self._lateness and self._lateness.is_on:
                    self._lateness.see(row.key, at, self._now())
            self._notes.mended(_row_note(row.key))
            if not row.deleted:  # often a stub of the record
                got.problems += self._drift.notice(row.data, self._now(), learning=not self.state.get("learned"))
            mark = (row.key, row.content_hash, row.cursor)
            if mark not in seen:
                seen.add(mark)
                got.rows.append(row)
        got.newest = newest
        self._check_share(got)
        return got

    def _name(self, record: object, got: Read) -> bool:
        """Note that a record is there, usable or not; False where it has no name."""
        key = items.key(self.stream, record)
        if key is None:
            got.all_named = False
            return False
        got.keys.append(key)
        return True

    def _swept(self, got: Read, *, is_last: bool) -> list[Sweep]:
        if self._passes is None:
            return []
        return self._passes.pieces(got.keys, all_named=got.all_named, is_last=is_last, now=self._now())

    def _present(self, window: State) -> datetime | None:
        """Give the time that an ordered stream is read up to: that when the window began, or the slice's end."""
        if "high" not in window:
            return None
        return _time(window["high"]) + (timedelta(0) if self.bounds else _the(self.stream.cursor).settle)

    def _note_place(self, record: object, got: Read) -> None:
        """Note where a keyset would go on after a record, whether it can be used or not."""
        named = find(record, self.stream.key[0]) if isinstance(self.stream.page, Keyset) else None
        if named is None or isinstance(named, (dict, list, bool)):
            return
        got.last_named = named
        if (at := items.changed_at(self.stream, record)) is not None:
            got.last_at, got.last_id = at, named

    def _check_share(self, got: Read) -> None:
        if self._bad >= BAD_ROWS and self._bad > self._number * BAD_SHARE:
            first = got.problems[0]
            where = f" first, {first.column!r} of record {first.row}:" if first.column else ""
            raise SourceBroken(
                f"Of {self._number} records of {self.name} {self._bad} cannot be used;{where} {first.message}",
                row=first.row,
                column=first.column,
            )

    def _advance(self, window: State, answer: Answer, got: Read) -> bool:
        """Move the state on to the next page, or to the end of the window; gives whether there is a next page."""
        self._check_order(got)
        if got.newest is not None:
            window["newest"] = stamp_text(got.newest)
        ordered = self.stream.is_windowed and _the(self.stream.cursor).ordered
        if ordered:
            self._move_watermark(window)
        position = self.stream.page.next(window["position"], answer, got.count)
        is_end = position is None or (ordered and got.beyond)
        if self._is_to_be_read_again(window, got, is_end=is_end):
            return True
        if position is None or is_end:
            self._end(window, answer)
            return False
        self._go_on(window, position, got)
        return True

    def _is_to_be_read_again(self, window: State, got: Read, *, is_end: bool) -> bool:
        """Begin a tie anew unless two readings of it agreed: more records of one time than a page holds.

        They can only be paged by number or token, and when one of them changes meanwhile it leaves them, and those
        after it move up past us. What two readings in a row show alike lost nobody.
        """
        if not self.stream.can_roll or not self.stream.rolls_after or isinstance(self.stream.page, Keyset):
            return False
        text = _the(self.stream.cursor).sent.write
        low, is_first = text(_time(window["low"])), not window["pages"]
        if is_first and (is_end or not got.rows or text(_time(window.get("newest") or window["low"])) != low):
            window.pop("tie", None)
            return False
        if not is_first and "tie" not in window:
            return False
        tie = window.setdefault("tie", {"sum": 0, "before": None, "readings": 0})
        if is_first:
            tie["sum"] = 0
        tied = [row for row in got.rows if row.cursor and text(_time(row.cursor[0])) == low]
        # Order does not matter, and a row that comes twice does.
        tie["sum"] = (tie["sum"] + sum(int.from_bytes(row.content_hash[:15]) for row in tied)) % (1 << 120)
        if not is_end and len(tied) == len(got.rows):
            return False
        tie["readings"] += 1
        if tie["sum"] == tie["before"]:
            window.pop("tie")
            return False
        if tie["readings"] >= TIE_READINGS:
            window.pop("tie")
            got.problems.append(RowProblem(None, shown(_the(self.stream.cursor).path), _restless(low), ""))
            return False
        tie["before"] = tie["sum"]
        window |= {"position": {}, "pages": 0, "issued_at": stamp_text(self._now()), "newest": window["low"]}
        return True

    def _check_order(self, got: Read) -> None:
        if got.disorder and self.stream.cursor and self.stream.cursor.ordered:
            raise SourceBroken(
                f"{self.name} does not come in the order of {shown(self.stream.cursor.path)!r}, so going on from the "
                "last row would leave some out. Have the answers sorted, or take `ordered: true` out."
            )

    def _move_watermark(self, window: State) -> None:
        """Let the watermark follow the newest row, but not past the window's end.

        Newer rows are given out all the same, and again next time: a record that changes all the while would else never
        come (https://github.com/constructorfabric/insight/issues/3447).
        """
        if window.get("newest"):
            reached = min(window["newest"], window["high"])
            self.state["watermark"] = max(self.state.get("watermark", ""), reached)
        if self._lateness and self._lateness.is_on:
            self._lateness.tidy(self.state.get("watermark"))

    def _go_on(self, window: State, position: Position, got: Read) -> None:
        window["pages"] += 1
        window["position"], window["issued_at"] = position, stamp_text(self._now())
        if isinstance(self.stream.page, Keyset):
            if self.stream.page.by_id:
                window["from_id"] = got.last_named
            elif got.last_at is None:
                raise SourceBroken(f"Not one record of a page of {self.name} can be used: {got.problems[0].message}")
            else:
                window["low"], window["from_id"] = stamp_text(got.last_at), got.last_id
            window["position"] = {}
        elif self.stream.rolls_after and window["pages"] >= self.stream.rolls_after:
            # Where all of a page has one time there is nothing to roll to, so the next page is asked for.
            self._roll(window, window.get("newest"))

    def _roll(self, window: State, newest: str | None) -> bool:
        """Begin the window anew at the last row seen; False where that is where it begins already."""
        cursor = _the(self.stream.cursor)
        if newest is None or cursor.sent.write(_time(newest)) == cursor.sent.write(_time(window["low"])):
            return False
        window |= {"low": newest, "position": {}, "pages": 0}
        window.pop("tie", None)
        return True

    def _end(self, window: State, answer: Answer) -> None:
        """Close the window; the watermark is the last change seen, not the window's end: silence proves nothing."""
        if self.stream.is_windowed:
            self._move_watermark(window)
        if self._lateness and self._lateness.is_on:
            self._lateness.end(self.state.get("watermark"))
        self.state.pop("window")
        self.state.pop("kept", None)
        if kept := self.stream.page.kept(answer):
            self.state["kept"] = {"position": kept, "issued_at": stamp_text(self._now())}
        self.state["learned"] = bool(self.state.get("fields"))
        if self.bounds:
            self.state["done"] = True
        if self.stream.every:
            self.state["read_at"] = stamp_text(self._now())

    def _chunks(self, got: Read, sweeps: list[Sweep]) -> Iterator[Page]:
        """Give the page in pieces of PAGE_SIZE at most; the state moves with the last one."""
        rows, problems = got.rows, got.problems
        while len(rows) + len(problems) > PAGE_SIZE or len(sweeps) > 1:
            taken = problems[:PAGE_SIZE]
            room = PAGE_SIZE - len(taken)
            sweep = sweeps.pop(0) if len(sweeps) > 1 else None
            yield Page(tuple(rows[:room]), tuple(taken), None, sweep)
            rows, problems = rows[room:], problems[len(taken) :]
        yield Page(tuple(rows), tuple(problems), self._copy(), sweeps[0] if sweeps else None)

    @property
    def lateness(self) -> Lateness | None:
        """What is known of records that come late; None where nothing can be."""
        return self._lateness

    def _copy(self) -> State:
        copied: State = json.loads(json.dumps(self.state))
        return copied

    def _now(self) -> datetime:
        return self.caller.clock.now()

    def _source_now(self) -> datetime:
        """Give the time by the source's clock, as far as we know it."""
        return self._now() + timedelta(seconds=self.state.get("skew", 0))


def _restless(low: object) -> str:
    return (
        f"More records than a page holds changed at one time ({low}), and they went on changing while they were read "
        f"{TIE_READINGS} times, so some may be missing. Ask for larger pages, or page by `keyset`."
    )


def _row_note(name: str) -> str:
    return f"row {name}"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _the(cursor: Cursor | None) -> Cursor:
    """Give the cursor that the schema sees to."""
    if cursor is None:
        raise AssertionError("a window needs a cursor")
    return cursor


def config_hash(*decisive: object) -> str:
    """Hash what decides which rows come: when it changes, all of the stream is read again."""
    return hashlib.sha256(canonical(json.loads(json.dumps(decisive, default=str, sort_keys=True))).encode()).hexdigest()
