"""By how much records come later than their time of change says: whether `lookback` is long enough.

A window begins `lookback` before the watermark. A record in between that the window before did not show was committed
late, or indexed late, and was found by `lookback` alone. To tell it from those that come again, what was seen there is
remembered by a short hash: of all where there are few, else of those with the smallest hashes, which is a fair sample.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.sources.columns import stamp_text
from connectors.sources.rows import State

MARKS = 100
"""So many are remembered at least: the state is written with every page."""
KEPT_FOR = timedelta(days=30)


@dataclass(slots=True)
class Lateness:
    """What was seen of a stream's lateness; `kept` is JSON, a part of the stream's state."""

    kept: State
    lookback: timedelta

    @property
    def is_on(self) -> bool:
        """Whether a window is under way that began at a time, so that it shows what came late."""
        return "before" in self.kept

    def begin(self, low: datetime, watermark: str | None) -> None:
        """Begin a window at `low`, or begin it anew; what was there before the watermark is known from the last one."""
        kept = self.kept
        if not self.is_on:
            kept["known"], kept["known_below"] = kept.get("marks", {}), kept.get("below")
            kept["known_from"], kept["before"] = kept.get("from"), watermark
        kept["marks"], kept["below"], kept["from"] = {}, None, stamp_text(low)

    def see(self, key: str, at: datetime, now: datetime) -> None:
        """Take in a record."""
        kept, stamp = self.kept, stamp_text(at)
        mark = hashlib.blake2b(f"{key} {stamp}".encode(), digest_size=5).hexdigest()
        if self._is_new(mark, stamp):
            seconds = (datetime.fromisoformat(kept["before"]) - at).total_seconds()
            if seconds >= self.seconds(now):
                kept["most"] = [seconds, stamp_text(now)]
        if kept["below"] is None or mark < kept["below"]:
            kept["marks"][mark] = int(at.timestamp())

    def _is_new(self, mark: str, stamp: str) -> bool:
        """Tell whether it should have been seen before, and was not."""
        kept = self.kept
        if not kept["before"] or not kept["known_from"] or not kept["known_from"] <= stamp < kept["before"]:
            return False
        return mark not in kept["known"] and (kept["known_below"] is None or mark < kept["known_below"])

    def tidy(self, watermark: str | None) -> None:
        """Forget what the next window will not show, and the largest hashes where there are too many."""
        kept = self.kept
        if watermark:
            low = datetime.fromisoformat(watermark) - self.lookback
            kept["from"] = max(kept["from"], stamp_text(low))
            kept["marks"] = {mark: at for mark, at in kept["marks"].items() if at >= int(low.timestamp())}
        if len(kept["marks"]) > 2 * MARKS:
            smallest = sorted(kept["marks"])
            kept["below"] = smallest[MARKS]
            kept["marks"] = {mark: kept["marks"][mark] for mark in smallest[:MARKS]}

    def end(self, watermark: str | None) -> None:
        """End the window."""
        self.tidy(watermark)
        for name in ("known", "known_below", "known_from", "before"):
            self.kept.pop(name, None)

    def seconds(self, now: datetime) -> float:
        """Give the most of the last 30 days, 0.0 when nothing came late."""
        most = self.kept.get("most")
        return float(most[0]) if most and datetime.fromisoformat(most[1]) > now - KEPT_FOR else 0.0
