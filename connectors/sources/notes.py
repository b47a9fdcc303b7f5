"""What is told at each pull until it is mended: rows that could not be used, fields that changed.

The contract of a source says that the problems of a pull are all there are, but a record that could not be used comes
again only when it changes. So they are kept in the state.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connectors.sources.columns import stamp_text
from connectors.sources.rows import RowProblem, State

MAX_NOTES = 100
"""Beyond that the oldest is forgotten: the state is written with every page."""
NOTED_FOR = timedelta(days=30)


@dataclass(slots=True)
class Notes:
    """The notes of a stream, by what they are about; `kept` is JSON, a part of the stream's state."""

    kept: dict[str, State]
    _told: set[str] = field(default_factory=set)

    def add(self, name: str, problem: RowProblem, now: datetime) -> None:
        """Keep a problem, which the caller tells in this pull."""
        since = self.kept[name]["since"] if name in self.kept else stamp_text(now)
        told = {"column": problem.column, "message": problem.message, "raw": problem.raw, "row": problem.row}
        self.kept[name] = {**told, "since": since}
        self._told.add(name)
        if len(self.kept) > MAX_NOTES:
            del self.kept[min(self.kept, key=lambda other: str(self.kept[other]["since"]))]

    def mended(self, name: str) -> None:
        """Forget what is in order again."""
        self.kept.pop(name, None)

    def again(self, now: datetime) -> Iterator[RowProblem]:
        """Give what earlier pulls found and this one did not tell; what is too old is forgotten."""
        oldest = stamp_text(now - NOTED_FOR)
        for name, note in list(self.kept.items()):
            if note["since"] < oldest:
                del self.kept[name]
            elif name not in self._told:
                yield RowProblem(note["row"], note["column"], note["message"], note["raw"])
