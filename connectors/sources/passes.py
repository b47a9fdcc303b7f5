"""Passes over all records of a stream, which tell what is gone: `deleted: {type: sweep}` of a REST source.

A pass is one or more readings of the whole list. What any of them shows is there; only what all of them miss is gone.
One is not enough where pages are numbered, or may be: a record that is deleted while the list is read lets all later
ones move up by one, so that the first of the next page is never shown. Nor is it where a list shows a new record only
after a while. So the next reading begins a while after the last one ended, in a pull of its own. A record that two
readings missed by chance comes back with the next pass: who keeps records sees to that.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.sources.columns import stamp_text
from connectors.sources.rows import PAGE_SIZE, State, Sweep
from connectors.sources.sweeps import Sweeping

log = logging.getLogger(__name__)

LATER = timedelta(seconds=2)
"""A version of just before the pass may have a stamp of just after it by our clock."""


@dataclass(slots=True)
class Passes:
    """The passes of a stream, one after the other; `kept` is JSON, a part of the stream's state."""

    rules: Sweeping
    kept: State
    name: str

    def begin(self, now: datetime, source_now: datetime) -> bool:
        """Begin a reading, or begin it anew; False when none is due, and what is read then counts for nothing."""
        kept = self.kept
        kept["reads"] = self._is_due(now)
        if not kept["reads"]:
            return False
        if "number" not in kept:
            kept |= {"number": stamp_text(now), "began": stamp_text(source_now + LATER), "reading": 1}
        elif kept.pop("ended", None):
            kept["reading"] += 1
        kept["spoiled"] = False
        return True

    def _is_due(self, now: datetime) -> bool:
        kept = self.kept
        if "number" in kept:
            return not kept.get("ended") or now >= datetime.fromisoformat(kept["ended"]) + self.rules.apart
        last = kept.setdefault("last", stamp_text(now))
        return now >= datetime.fromisoformat(last) + self.rules.every

    def pieces(self, keys: Sequence[str], *, all_named: bool, is_last: bool, now: datetime) -> list[Sweep]:
        """Take in what one answer shows, the last of its reading or not; gives it for one page each."""
        kept = self.kept
        if not kept.get("reads"):
            return []
        number, cursor = kept["number"], (kept["began"],) if self.rules.timed else None
        kept["spoiled"] = kept["spoiled"] or not all_named
        complete = is_last and self._end(now)
        parts = list(_parts(keys)) or [()]
        return [
            Sweep(number, part, complete and place == len(parts), cursor, self.rules.at_most)
            for place, part in enumerate(parts, 1)
        ]

    def _end(self, now: datetime) -> bool:
        """End a reading; True when the pass is complete by it."""
        kept = self.kept
        kept["reads"] = False
        if kept["spoiled"]:
            log.warning("%s lists records that have no usable key, so it cannot be said what is gone.", self.name)
        elif kept["reading"] < self.rules.readings:
            kept["ended"] = stamp_text(now)
            return False
        kept["last"] = kept.pop("number")
        return not kept["spoiled"]


def _parts(keys: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for begin in range(0, len(keys), PAGE_SIZE):
        yield tuple(keys[begin : begin + PAGE_SIZE])
