"""What can be seen of a query on a page of its newest rows."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from connectors.errors import SourceBroken
from connectors.sources.databases import DIALECTS, clock
from connectors.sources.results import Reading, Wanted
from connectors.sources.rows import Finding, Row, RowProblem

EVEN_SECONDS = 60
"""Clocks that differ by less agree well enough for lookback and settle."""

State = Literal["ok", "warning", "failed", "skipped"]


def findings(wanted: Wanted, connection: Any, *, newest: Any, empty: Any, now: datetime) -> Iterator[Finding]:  # noqa: ANN401
    """Tell how the rows look; what the database refuses is raised.

    `newest` is the statement for a page of rows, `empty` for a row whose cursor is empty, None without a cursor.
    """
    yield from _connection(connection, now)
    try:
        found = connection.execute(newest)
        reading = Reading(wanted, list(found.keys()))
        read = [reading.read(row, number) for number, row in enumerate(found, 1)]
    except SourceBroken as err:
        yield Finding("query", "failed", str(err), "Correct the document or the query.")
        return
    bad = [one for one in read if isinstance(one, RowProblem)]
    rows = [one for one in read if isinstance(one, Row)]
    remedy = "" if read else "If there should be some, ask for the permission to read them."
    state: State = "ok" if read else "warning"
    yield Finding("query", state, f"It gives {len(read)} rows with {', '.join(reading.names)}.", remedy)
    if bad:
        what = f"Of {len(read)} rows {len(bad)} cannot be used; the first: {bad[0].message}"
        yield Finding("rows", "failed", what, "Mend the rows, or the query.")
    yield _keys(wanted, rows)
    if empty is None:
        yield Finding("cursor", "skipped", "There is none: all is read at each pull.", "")
    elif connection.execute(empty).first() is not None:
        first = wanted.cursor[0]
        yield Finding("cursor", "failed", f"{first} is empty in some rows.", f"Write coalesce({first}, ...).")
    else:
        yield Finding("cursor", "ok", f"{wanted.cursor[0]} is never empty.", "")
    yield from _timezone(wanted, rows, clock(connection))


def _connection(connection: Any, now: datetime) -> Iterator[Finding]:  # noqa: ANN401
    name = connection.dialect.name
    yield Finding("login", "ok", f"Connected to {name}.", "")
    if DIALECTS[name].guarded:
        yield Finding("read_only", "ok", "The transaction cannot write.", "")
    else:
        what = f"{name} has no transaction that cannot write."
        yield Finding("read_only", "warning", what, "Ask for a user that may only read.")
    skew = (clock(connection) - now).total_seconds()
    what = f"The database's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours."
    if abs(skew) < EVEN_SECONDS:
        yield Finding("clock", "ok", what, "")
    else:
        yield Finding("clock", "warning", what, "Let both machines take their time from the network.")


def _keys(wanted: Wanted, rows: Sequence[Row]) -> Finding:
    seen: set[str] = set()
    twice = next((row.key for row in rows if row.key in seen or seen.add(row.key)), None)  # type: ignore[func-returns-value]
    names = " and ".join(wanted.key)
    if twice is None:
        return Finding("keys", "ok", f"{len(rows)} rows have {len(rows)} different {names}.", "")
    what = f"{twice!r} is there twice among the newest {len(rows)} rows."
    return Finding("keys", "failed", what, f"Join less, or add a column to `key`, which is {names}.")


def _timezone(wanted: Wanted, rows: Sequence[Row], present: datetime) -> Iterator[Finding]:
    times = [row.cursor[0] for row in rows if row.cursor and isinstance(row.cursor[0], str)]
    if not times:
        return
    ahead = datetime.fromisoformat(max(times)) - present
    if ahead > timedelta(seconds=EVEN_SECONDS):
        what = f"The newest row changed {ahead.total_seconds() / 3600:.1f} h in the database's future."
        yield Finding("timezone", "failed", what, f"Say the zone that {wanted.cursor[0]} is in: `timezone`.")
    else:
        yield Finding("timezone", "ok", f"The newest row changed at {max(times)}, not in the future.", "")
