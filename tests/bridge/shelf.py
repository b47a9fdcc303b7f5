"""A destination that takes rows, as stateful as a real one: what it holds lies in a folder, whichever process asks.

`orders.json` beside its rows says how it misbehaves, and counts down while it does:

    {"down": 2}                 so many calls fail; {"retry_after": 90} goes with it
    {"poison": [KEY]}           every call with this key in it fails
    {"refuse": [KEY]}           it refuses these rows
    {"silent": [KEY]}           it stores them and says nothing
    {"nobody": [NAME]}          it knows nobody of this name
    {"left_out": [KEY]}         it has no place for these
    {"die_before": 3}           at the third call the process is killed before anything is stored ...
    {"die_after": 3}            ... or when all is stored and nothing is answered
"""

import fcntl
import json
import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.destinations.rows import Answer, Held, Outcome, Row, RowDestinationSchema
from connectors.documents import Document, Text, validate
from connectors.errors import DestinationRefused, DestinationUnavailable


class ShelfSchema(RowDestinationSchema):
    path = Text(required=True)
    site = Text(load_default=None)


@dataclass(frozen=True)
class Shelf:
    name: str
    title: str
    feeds: Sequence[str]
    programs: Sequence[str] | None
    site: str | None
    path: Path
    batch: int = 5

    def send(self, rows: Sequence[Row]) -> Iterable[Answer]:
        assert 0 < len(rows) <= self.batch
        assert len({row.feed for row in rows}) == 1
        with self._open() as state:
            orders = state["orders"]
            state["calls"] = state.get("calls", 0) + 1
            self._fail(orders, rows)
            if _falls_due(orders, "die_before"):
                state["save"]()
                os.kill(os.getpid(), signal.SIGKILL)
            answers = [_answer(state, row) for row in rows]
            state["save"]()
            if _falls_due(orders, "die_after"):
                state["save"]()
                os.kill(os.getpid(), signal.SIGKILL)
        return [answer for answer in answers if answer.key not in orders.get("silent", ())]

    def held(self, feed: str) -> Iterator[Held]:
        with self._open() as state:
            found = sorted((key, row) for key, row in state["rows"].get(feed, {}).items() if not row["deleted"])
        for key, row in found:
            yield Held(key, row["version"], row["checksum"] if row["body"] == row["sent"] else "changed")

    def rows(self, feed: str) -> dict[str, dict[str, Any]]:
        """Give what it holds and shows, by key."""
        with self._open() as state:
            return {key: row for key, row in state["rows"].get(feed, {}).items() if not row["deleted"]}

    def effects(self) -> list[list[Any]]:
        """Give (feed, key, version) of all that it has stored, in order."""
        with self._open() as state:
            return state["effects"]

    @property
    def calls(self) -> int:
        with self._open() as state:
            return int(state.get("calls", 0))

    def order(self, **orders: Any) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "orders.json").write_text(json.dumps(orders))

    def change(self, feed: str, key: str, **changes: Any) -> None:
        """Let somebody there change a row; `body=None` takes it away, without a trace."""
        with self._open() as state:
            if changes.get("body", 0) is None:
                state["rows"][feed].pop(key)
            else:
                state["rows"].setdefault(feed, {}).setdefault(key, dict(_NEW)).update(changes)

    @contextmanager
    def _open(self) -> Iterator[dict[str, Any]]:
        """Give what is kept, to be changed; saved in one go, so that a killed process leaves all or nothing."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept, orders = self.path / "rows.json", self.path / "orders.json"
            state = json.loads(kept.read_text()) if kept.exists() else {"rows": {}, "effects": []}
            state["orders"] = json.loads(orders.read_text()) if orders.exists() else {}
            state["save"] = lambda: _save(self.path, state)
            try:
                yield state
            finally:
                state["save"]()

    def _fail(self, orders: dict[str, Any], rows: Sequence[Row]) -> None:
        if orders.get("refuse_all"):
            raise DestinationRefused("The key was withdrawn. Make a new one.")
        if orders.get("down", 0) > 0:
            orders["down"] -= 1
            raise DestinationUnavailable("It is down.", retry_after=orders.get("retry_after"))
        if any(row.key in orders.get("poison", ()) for row in rows):
            raise DestinationUnavailable("It answered 500.")


_NEW = {"version": 0, "checksum": "", "deleted": False, "user": None, "body": {"made": "there"}, "sent": {}}


def _answer(state: dict[str, Any], row: Row) -> Answer:
    orders, held = state["orders"], state["rows"].setdefault(row.feed, {})
    if row.key in orders.get("refuse", ()):
        return Answer(row.key, Outcome.REFUSED, "The title is too long.")
    if row.key in orders.get("left_out", ()):
        return Answer(row.key, Outcome.LEFT_OUT, "No course is for this.")
    if row.key in held and held[row.key]["version"] >= row.version:
        return Answer(row.key, Outcome.UNCHANGED)
    held[row.key] = {
        "version": row.version,
        "checksum": row.checksum,
        "deleted": row.deleted,
        "user": row.user,
        "body": dict(row.body),
        "sent": dict(row.body),
    }
    state["effects"].append([row.feed, row.key, row.version])
    if row.deleted:
        return Answer(row.key, Outcome.DELETED)
    if row.user and row.user["name"] in orders.get("nobody", ()):
        return Answer(row.key, Outcome.UNMATCHED, "Nobody here has this address.")
    return Answer(row.key, Outcome.STORED)


def _falls_due(orders: dict[str, Any], what: str) -> bool:
    if what not in orders:
        return False
    orders[what] -= 1
    return bool(orders[what] == 0)


def _save(path: Path, state: Mapping[str, Any]) -> None:
    content = {name: state[name] for name in ("rows", "effects", "calls") if name in state}
    for name, part in (("rows", content), ("orders", state["orders"])):
        draft = path / f".{name}.{os.getpid()}"
        draft.write_text(json.dumps(part))
        draft.replace(path / f"{name}.json")


def load(document: Document, *, base: Path) -> Shelf:
    data = validate(ShelfSchema(), document)
    return Shelf(
        name=data["name"],
        title=data["title"],
        feeds=tuple(data["feeds"]),
        programs=data["programs"],
        site=data["site"],
        path=base / data["path"],
    )
