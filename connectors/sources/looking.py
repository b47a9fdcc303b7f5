"""Single looks at a stream, for what is to be found out about it: asked as the runner asks, remembered nowhere."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from connectors.sources import details, items
from connectors.sources.calls import Caller, source_time
from connectors.sources.paginators import Answer, Counted, Position
from connectors.sources.rows import Row, RowProblem
from connectors.sources.streams import Cursor, Stream

IN_CURSOR = ("cursor", "timezone")
"""Where a document says in what zone times are that say no offset: the block and its key; None: nowhere."""
FAR = timedelta(days=2)
"""A window's end that no time zone brings before a record of now."""


@dataclass(slots=True)
class Seen:
    """One answer."""

    answer: Answer
    records: list[Any]
    next: Position | None
    """Where the page after it is."""
    low: datetime | None
    """From when on was asked."""
    rows: list[Row] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    """Times of change of `rows`, in their order; empty where there is no cursor."""
    problems: list[RowProblem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Looker:
    """Looks at one stream."""

    stream: Stream
    caller: Caller
    name: str
    zone_key: tuple[str, str] | None = IN_CURSOR

    @property
    def cursor(self) -> Cursor | None:
        """What a window of the stream goes by; None where it is read whole."""
        return self.stream.cursor if self.stream.is_windowed else None

    def recent(self, *lengths: timedelta, least: int = 1) -> Seen:
        """Give the first page of the shortest of these lengths of time that has so many records, else of all."""
        cursor = self.cursor
        if cursor is None:
            return self.page()
        for length in lengths:
            low = self.caller.clock.now() - length
            if low > cursor.start and len((seen := self.page(low)).records) >= least:
                return seen
        return self.page(cursor.start)

    def page(self, low: datetime | None = None, high: datetime | None = None, position: Position | None = None) -> Seen:
        """Give the page at a position of a window, by default one that ends in days to come; raises SourceError."""
        far = self.caller.clock.now() + FAR
        window = (low or self.cursor.start, high or far) if self.cursor else None
        ask = self.stream.ask(self.caller.system.base_url, position or {}, window)
        return self._read(self.caller.answer(ask), position or {}, low)

    def detailed(self, records: list[Any]) -> list[Any]:
        """Give the records with what is asked for by their ids."""
        base_url = self.caller.system.base_url
        return details.added(self.stream.details, records, self.stream.key[0], base_url, self.caller.answer)

    def present(self, seen: Seen) -> datetime:
        """Give the time on the system's clock, or on ours where it does not say."""
        return source_time(seen.answer.headers) or self.caller.clock.now()

    def reading(self, records: list[Any]) -> Iterator[tuple[Row, datetime | None] | RowProblem]:
        """Read records as the runner does."""
        for number, record in enumerate(records, 1):
            yield items.read(self.stream, record, number)

    def _read(self, answer: Answer, position: Position, low: datetime | None) -> Seen:
        records = items.listed(self.stream, answer, self.caller.told)
        seen = Seen(answer, records, self._next(position, answer, len(records)), low)
        for read in self.reading(records):
            if isinstance(read, RowProblem):
                seen.problems.append(read)
                continue
            seen.rows.append(read[0])
            if read[1] is not None:
                seen.times.append(read[1])
        return seen

    def _next(self, position: Position, answer: Answer, count: int) -> Position | None:
        """Give the next position, also where a short page is taken for the last one: that may be wrong."""
        page = self.stream.page
        if isinstance(page, Counted) and page.short_is_last:
            page = replace(page, short_is_last=None)
        return page.next(position, answer, count)
