"""What can be seen of a file on its first page: whether it can be read, and whether its rows are what is declared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from connectors.errors import SourceBroken, SourceError
from connectors.sources.cells import quoted
from connectors.sources.columns import Column, moment_rank
from connectors.sources.rows import Finding, Page, Row, RowProblem, Source

NAMES = ("file", "columns", "rows", "keys", "cursor", "timezone")
"""What is looked at, in this order."""
AHEAD = timedelta(minutes=5)
"""Times further in the future are no matter of clocks that differ."""


def sample(source: Source, limit: int) -> Page:
    """Give the first rows and problems of a file: which are the newest is not known before its end."""
    pages = source.pull(None)
    page = next(pages, Page((), (), None))
    _close(pages)
    items: list[Row | RowProblem] = [*page.rows, *page.problems]
    first = {id(one) for one in sorted(items, key=lambda one: one.row or 0)[:limit]}
    rows = tuple(row for row in page.rows if id(row) in first)
    return Page(rows, tuple(one for one in page.problems if id(one) in first), None)


def check(
    source: Source, key: Sequence[str], cursor: Sequence[str], columns: Mapping[str, Column]
) -> Iterator[Finding]:
    """Try the first page of a file."""
    pages = source.pull(None)
    try:
        page = next(pages, Page((), (), None))
    except SourceError as err:
        yield from _unreadable(err)
        return
    finally:
        _close(pages)
    yield Finding("file", "ok", f"It can be read, and so can its first {_number(page)} rows.", "")
    declared = ", ".join(map(repr, dict.fromkeys([*key, *cursor, *columns])))
    yield Finding("columns", "ok", f"All that are declared are there: {declared}.", "")
    if not page.rows and not page.problems:
        yield from _skipped(NAMES[2:], "There is no row yet.")
        return
    yield from _Rows(page, tuple(key), tuple(cursor), columns).findings()


@dataclass(frozen=True, slots=True)
class _Rows:
    page: Page
    key: tuple[str, ...]
    cursor: tuple[str, ...]
    columns: Mapping[str, Column]

    def findings(self) -> Iterator[Finding]:
        yield self._usable()
        yield self._keys()
        yield self._cursor()
        yield self._timezone()

    def _usable(self) -> Finding:
        count, bad = _number(self.page), _bad(self.page)
        if not bad:
            return Finding("rows", "ok", f"All of the first {count} can be used.", "")
        first = self.page.problems[0]
        where = f"row {first.row}" + (f", column {first.column!r}" if first.column else "")
        what, remedy = split(first.message)
        state: Literal["failed", "warning"] = "warning" if self.page.rows else "failed"
        return Finding("rows", state, f"{bad} of the first {count} cannot be used. First, {where}: {what}", remedy)

    def _keys(self) -> Finding:
        repeated = [one for one in self.page.problems if one.column == self.key[0] and "further up" in one.message]
        if repeated:
            what, remedy = split(repeated[0].message)
            text = f"{len(repeated)} of the first {_number(self.page)} rows have a key of another row: {what}"
            return Finding("keys", "failed", text, remedy)
        records = len({row.key for row in self.page.rows})
        if self.cursor and len({(row.key, row.cursor) for row in self.page.rows}) < len(self.page.rows):
            text = f"Two rows have the same {_names(self.key)} and the same {_names(self.cursor)}."
            return Finding("keys", "warning", text, "Add a column to `cursor` that tells which of the two is newer.")
        if records < len(self.page.rows):
            text = f"{len(self.page.rows)} rows are versions of {records} records, put in order by the cursor."
            return Finding("keys", "ok", text, "")
        return Finding("keys", "ok", f"{_names(self.key)} names each of the first {records} records.", "")

    def _cursor(self) -> Finding:
        if not self.cursor:
            text = "There is none, so a record has changed when its content has."
            return Finding("cursor", "ok", text, "")
        wrong = [one for one in self.page.problems if one.column in self.cursor]
        if wrong:
            return _told("cursor", wrong)
        return Finding("cursor", "ok", f"{_names(self.cursor)} can be read in all {len(self.page.rows)} rows.", "")

    def _timezone(self) -> Finding:
        times = [name for name, column in self.columns.items() if column.rank is moment_rank]
        if not times:
            return Finding("timezone", "skipped", "No column is declared as a time.", "")
        unzoned = [one for one in self.page.problems if one.column in times and "offset" in one.message]
        if unzoned:
            return _told("timezone", unzoned)
        written = ((str(row.data[name]), name) for row in self.page.rows for name in times if row.data.get(name))
        newest, name = max(written, default=("", ""), key=lambda pair: moment_rank(pair[0]))
        if newest and datetime.fromisoformat(newest) > datetime.now(UTC) + AHEAD:
            text = f"{name!r} is at {newest} in the newest row, which has not been yet."
            remedy = f"If that is no date to come, correct `timezone` or the order of day and month in {name!r}."
            return Finding("timezone", "warning", text, remedy)
        return Finding("timezone", "ok", f"The times in {_names(times)} say which they are; none is yet to come.", "")


def split(message: str) -> tuple[str, str]:
    """Give what is wrong and the remedy, which is the last sentence of our messages."""
    what, point, remedy = message.rstrip().rpartition(". ")
    return (what + ".", remedy) if point else (message, "Mend it there.")


def _told(name: str, problems: Sequence[RowProblem]) -> Finding:
    what, remedy = split(problems[0].message)
    return Finding(name, "failed", f"{len(problems)} rows cannot be read. First, row {problems[0].row}: {what}", remedy)


def _unreadable(err: SourceError) -> Iterator[Finding]:
    what, remedy = split(str(err))
    is_column = isinstance(err, SourceBroken) and err.column is not None
    if is_column:
        yield Finding("file", "ok", "It can be read.", "")
    yield Finding("columns" if is_column else "file", "failed", what, remedy)
    yield from _skipped(NAMES[2 if is_column else 1 :], "This was not tried, since what is above it failed.")


def _skipped(names: Sequence[str], why: str) -> Iterator[Finding]:
    for name in names:
        yield Finding(name, "skipped", why, "")


def _number(page: Page) -> int:
    return len(page.rows) + _bad(page)


def _bad(page: Page) -> int:
    """Count the rows that cannot be used; one may have several problems."""
    return len({problem.row for problem in page.problems})


def _names(names: Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _close(pages: Iterator[Page]) -> None:
    """Close the file, which is open while pages may still be asked for."""
    close = getattr(pages, "close", None)
    if close:
        close()
