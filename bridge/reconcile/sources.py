"""Sources: what a system lists as changed on a day against what is stored of that day; what differs is stored anew.

The rules guarded here:

- Only what a good pull must have read already is compared: what changed later is no difference.
- A record that the system has and we have not, or have otherwise, is stored as it was listed: that is the repair.
- A record that we have and the system does not list on its day may have changed since, or be gone. It is asked for by
  its key where the document says how; otherwise a person must see to it, for nothing is deleted on a guess.
- A record that is called deleted here is not missed there; one that is listed there is not deleted.
- Each record counts once, however often it is listed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge import erased, sources
from bridge.models import SourceState
from bridge.reconcile.kept import Found, Page, State
from connectors import Backfillable, Fetchable, Row, Source
from connectors import Page as Pulled

DAYS = 7
"""How many days back are compared when nobody says otherwise."""
MARGIN = timedelta(minutes=15)
"""What changed so shortly before the last good pull may still be on its way."""
ASKED_AT_ONCE = 100

# The newest version says on which day a record is. Times are compared as texts here, a day too wide on either side for
# their zones; `_is_within` looks closely.
_OURS = text("""
    select record.key, newest.cursor ->> 0 as time from source_record record
    cross join lateral (
        select version.cursor, version.deleted, version.pulled_at from source_record_version version
        where version.record_id = record.id order by version.cursor desc nulls last, version.id desc limit 1
    ) newest
    where record.source = :source and not newest.deleted and newest.pulled_at < :before
    and (cast(:low_day as text) is null or (
        jsonb_typeof(newest.cursor -> 0) = 'string'
        and newest.cursor ->> 0 >= :low_day and newest.cursor ->> 0 < :high_day
    ))
    order by record.key
""")


@dataclass(frozen=True, slots=True)
class Span:
    """What is compared at once: [low, high); None where the source is read whole."""

    low: datetime | None
    high: datetime | None

    def __str__(self) -> str:
        return "all records" if self.low is None else f"{self.low:%Y-%m-%d}"


def spans(session: Session, source: Source, *, days: int) -> Sequence[Span]:
    """Cut what can be compared into days of UTC, the latest first; nothing before there was a good pull."""
    state = session.get(SourceState, source.name)
    if state is None or state.succeeded_at is None:
        return ()
    if not isinstance(source, Backfillable) or not source.slices(datetime(1970, 1, 2, tzinfo=UTC), None):
        return (Span(None, None),)
    lookback = float((state.state or {}).get("lookback_seconds") or 0)
    high = state.succeeded_at - max(MARGIN, timedelta(seconds=lookback))
    cuts = [high]
    while len(cuts) <= days:
        cuts.append((cuts[-1] - timedelta(microseconds=1)).replace(hour=0, minute=0, second=0, microsecond=0))
    return [Span(low, upper) for upper, low in pairwise(cuts)]


def compare(session: Session, source: Source, span: Span, *, now: datetime) -> Iterator[Page]:
    """Compare one span, page by page, and store what differs; the caller commits after each. Raises SourceError."""
    seen: set[str] = set()
    told: set[str] = set()
    for pulled in _listed(source, span):
        rows = [row for row in pulled.rows if _is_of(span, row)]
        differ = {row.key: _repaired(row, span, is_new=new) for row, new in sources.unknown(session, source.name, rows)}
        sources.store_fetched(session, source.name, Pulled(tuple(rows), (), None), seen_at=now)
        later = _otherwise(session, source, {row.key: row for row in rows if not row.deleted}, now=now)
        for row in _stored_over(session, source, [row for row, held in later if held.deleted], now=now):
            differ[row.key] = ("deleted here alone", f"Listed there, deleted here; stored again. ({span})")
        # What is here in a later version is looked at on the day of that: the list alone may be behind.
        left = {row.key for row, held in later if not held.deleted}
        keys = {row.key for row in rows} - left
        # A list that changes while it is read names a record twice, on two pages maybe.
        found = [
            Found(kind, key, words, State.REPAIRED)
            for key, (kind, words) in differ.items()
            if key in keys and key not in told
        ]
        yield Page(agreed=len(keys - seen) - len(found), found=tuple(found))
        seen |= keys
        told |= {one.subject for one in found}
    yield from _unlisted(session, source, span, seen, now=now)


def _otherwise(
    session: Session, source: Source, there: Mapping[str, Row], *, now: datetime
) -> list[tuple[Row, sources.Newest]]:
    """Give the rows that are not what is newest here, with that; what came shortly before may be newer than they."""
    # Of whoever was erased nothing is stored, and of others' records what is left of them.
    there = {row.key: row for row in erased.sift(session, source.name, list(there.values()))}
    newest = sources.newest(session, source.name, there)
    return [
        (there[key], held)
        for key, held in newest.items()
        if not held.says(there[key]) and held.pulled_at < now - MARGIN
    ]


def _stored_over(session: Session, source: Source, rows: Sequence[Row], *, now: datetime) -> Sequence[Row]:
    """Let records be here what they are there, over later versions that say otherwise; gives the rows."""
    again = tuple(replace(row, cursor=None) for row in rows)
    sources.store_fetched(session, source.name, Pulled(again, (), None), seen_at=now)
    return rows


def _listed(source: Source, span: Span) -> Iterator[Pulled]:
    if span.low is None or span.high is None or not isinstance(source, Backfillable):
        return source.pull(None)
    return source.backfill(span.low, span.high, None)


def _is_of(span: Span, row: Row) -> bool:
    """Tell whether a row is to be compared: what changed after the span is for the next pull to bring."""
    time = _time(row)
    return span.high is None or time is None or time < span.high


def _unlisted(session: Session, source: Source, span: Span, seen: set[str], *, now: datetime) -> Iterator[Page]:
    """See to what is stored of a span and was not listed."""
    values = {"source": source.name, "before": now, "low_day": None, "high_day": None}
    if span.low is not None and span.high is not None:
        low, high = span.low - timedelta(days=1), span.high + timedelta(days=2)
        values |= {"low_day": f"{low:%Y-%m-%d}", "high_day": f"{high:%Y-%m-%d}"}
    rows = session.execute(_OURS, values)
    keys = [row.key for row in rows if row.key not in seen and _is_within(span, row.time)]
    yield Page(0)  # no transaction is open while the system is asked
    if not (isinstance(source, Fetchable) and source.can_fetch):
        for place in range(0, len(keys), ASKED_AT_ONCE):
            piece = keys[place : place + ASKED_AT_ONCE]
            yield Page(0, tuple(Found("not listed there", key, _not_listed(span), State.OPEN) for key in piece))
        return
    for place in range(0, len(keys), ASKED_AT_ONCE):
        yield _asked(session, source, source, span, keys[place : place + ASKED_AT_ONCE], now=now)


def _asked(session: Session, source: Source, one: Fetchable, span: Span, keys: list[str], *, now: datetime) -> Page:
    """Ask for records by their keys; what is otherwise there is stored, what is gone is noted as deleted."""
    page = one.fetch(keys)
    differ = {
        row.key: ("gone there", "Gone there; deleted here now.") if row.deleted else ("changed there", _CHANGED)
        for row, _ in sources.unknown(session, source.name, page.rows)
    }
    sources.store_fetched(session, source.name, Pulled(page.rows, (), None), seen_at=now)
    answered = {row.key: row for row in page.rows}
    later = [row for row, _ in _otherwise(session, source, answered, now=now)]
    for row in _stored_over(session, source, later, now=now):
        differ.setdefault(row.key, ("restored there", _EARLIER))
    found = [Found(kind, key, words, State.REPAIRED) for key, (kind, words) in differ.items()]
    # Asked for by its key it is there, as we have it: the system's listing leaves it out, ours does not.
    found += [Found("not listed there", key, _not_listed(span), State.OPEN) for key in keys if key not in answered]
    return Page(len(answered) - len(differ), tuple(found))


_CHANGED = "Changed there without being listed; stored as it is now."
_EARLIER = "There as it was earlier, as after a restore; stored so again."


def _repaired(row: Row, span: Span, *, is_new: bool) -> tuple[str, str]:
    where = f" (changed {time:%Y-%m-%d})" if span.low is None and (time := _time(row)) else f" ({span})"
    if is_new:
        return "missing here", f"Missing here; stored.{where}"
    return "changed there", f"Another version here; stored as it is there.{where}"


def _not_listed(span: Span) -> str:
    return (
        f"Stored here, not listed there ({span}). It may be gone: look for it, and declare `deleted` in the source's "
        "document so that what is gone is noticed."
    )


def _time(row: Row) -> datetime | None:
    """Give when a row last changed, where its cursor begins with a time."""
    return _parsed(row.cursor[0]) if row.cursor else None


def _is_within(span: Span, written: str | None) -> bool:
    if span.low is None or span.high is None:
        return True
    time = _parsed(written)
    return time is not None and span.low <= time < span.high


def _parsed(written: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(written) if isinstance(written, str) else None
    except ValueError:
        return None
    return time if time is not None and time.tzinfo is not None else None
