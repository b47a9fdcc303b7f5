"""Delimited text as numbered records: tolerant of broken rows, strict about what a row says.

RFC 4180, with any single delimiter and any line end. What is not proper CSV, such as a quote left open, is a problem
of the row where it begins, and reading goes on with the line after it, so that one bad quote does not swallow the rest.
"""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from connectors.sources.cells import printable
from connectors.sources.rows import RowProblem

MAX_RECORD_CHARS = 1 << 20
"""A longer record is a mistake, such as a quote left open; also what is held in memory at most."""
MAX_CELL_CHARS = 131_072
"""The csv module's own limit, which is global to the process: not for us to change."""
RAW_CHARS = 500
"""How much of a row a problem shows."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row of cells."""

    row: int
    """The line it begins on, from 1, as an editor counts."""
    cells: list[str]
    raw: str
    """The lines it was read from."""


def problem(record: Record, column: str | None, message: str) -> RowProblem:
    """Tell what is wrong with a record, so that it can be stored and shown."""
    return RowProblem(record.row, column, printable(message, 1000), printable(record.raw.rstrip("\r\n"), RAW_CHARS))


class Table:
    """The records of a text, in order."""

    def __init__(self, text: TextIO, *, delimiter: str) -> None:
        self._lines = _Lines(text)
        self._reader = csv.reader(self._lines, delimiter=delimiter, strict=True)

    @property
    def row(self) -> int:
        """The line that the current record begins on."""
        return self._lines.first

    @property
    def ends_open(self) -> bool:
        """Whether the last line read has no line end."""
        return self._lines.last[-1:] not in ("\n", "\r", "")

    def __iter__(self) -> Iterator[Record | RowProblem]:
        """Give each record that has anything in it: lines of nothing but spaces and delimiters are passed over."""
        while True:
            self._lines.begin()
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except (csv.Error, _TooLongError) as err:
                yield problem(Record(self.row, [], self._lines.taken[0]), None, self._why(err))
                self._lines.return_all_but_first()
                continue
            if any(map(str.strip, cells)):
                yield Record(self.row, cells, "".join(self._lines.taken))

    def _why(self, err: Exception) -> str:
        if isinstance(err, _TooLongError) or ("field larger" in str(err) and len(self._lines.taken) == 1):
            return (
                f"A cell is longer than {MAX_CELL_CHARS:,} characters, or its row than {MAX_RECORD_CHARS:,}. "
                "Shorten it, or leave its column out of the export."
            )
        return 'A quote is left open, or stands inside a quoted cell. Close it, or write it twice ("").'


class _TooLongError(Exception):
    """A record that would not fit into the memory we allow it."""


class _Lines:
    """The lines of a text for csv.reader, which can be taken back and are bounded in length."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._returned: deque[str] = deque()
        self.first = 1
        """Number of the first line in `taken`."""
        self.taken: list[str] = []
        """The lines of the current record."""
        self._chars = 0
        self.last = ""
        """The line furthest on in the text."""

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else self._fresh()
        if not line:
            raise StopIteration
        self.taken.append(line)
        self._chars += len(line)
        if self._chars > MAX_RECORD_CHARS:
            raise _TooLongError
        return line

    def _fresh(self) -> str:
        """Give the next line, cut at just over the limit; "" at the end."""
        line = rest = self._text.readline(MAX_RECORD_CHARS + 1)
        while len(rest) > MAX_RECORD_CHARS and rest[-1] not in "\r\n":
            rest = self._text.readline(MAX_RECORD_CHARS + 1)
        self.last = rest or line or self.last
        return line

    def begin(self) -> None:
        """Begin the next record."""
        self.first += len(self.taken)
        self.taken = []
        self._chars = 0

    def return_all_but_first(self) -> None:
        """Let the current record be its first line only, and the others be read again."""
        self._returned.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]
