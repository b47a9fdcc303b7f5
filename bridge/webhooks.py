"""What systems send of their own accord: stored before it is answered, and worked off until it is done or given up.

The rules guarded here:

- A delivery that comes again within a week is stored once.
- What fails is tried again later and later, at most TRIES times, and then stands there for a person.
- Polling stays the truth: how far a source has been polled is never touched, and of one version of a record what a poll
  gave counts, whichever came first.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from bridge.mapping import Documents
from bridge.models import EventState, SourceRecord, SourceRecordVersion, WebhookEvent
from bridge.sources import RETRY_SECONDS
from connectors import Fetchable, Page, Reach, Row, Source, SourceRefused, WebhookSource, load_source

BATCH = 100
"""Deliveries that are worked off in one transaction."""
TRIES = 10
"""With the waits of `sources.RETRY_SECONDS` that is seven hours; what is older, a poll has seen."""
KEPT = timedelta(days=7)
"""So long a delivery that comes again is known."""
KEPT_FAILED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Event:
    """A delivery to be worked off."""

    id: int
    body: bytes
    tries: int


@dataclass(frozen=True, slots=True)
class Completed:
    """What came of some deliveries."""

    source: str
    """Whose records these are."""
    page: Page
    unusable: Mapping[int, str]
    """What is wrong, by the event's id."""


@dataclass(frozen=True, slots=True)
class Count:
    """How a source's deliveries stand."""

    waiting: int
    failed: int
    last_error: str | None

    def told(self) -> str:
        """Say it in one line."""
        return f"{self.waiting} deliveries wait and {self.failed} failed: {self.last_error}"


def source(documents: Documents, name: str, *, reach: Reach) -> WebhookSource | None:
    """Give the source that is sent to by this name, None when there is none."""
    document = documents.sources.get(name)
    if document is None or document.data.get("type") != "webhook":
        return None
    found = load_source(document.data, base=Path(document.folder), reach=reach)
    return found if isinstance(found, WebhookSource) else None


def store(session: Session, source: str, *, delivery: str | None, body: bytes, now: datetime) -> bool:
    """Store a delivery that has been verified; False when it is there already."""
    named = None if delivery is None else hashlib.sha256(delivery.encode("utf-8", "replace")).digest()
    made = insert(WebhookEvent).values(source=source, delivery=named, body=body, received_at=now)
    return session.scalar(made.on_conflict_do_nothing().returning(WebhookEvent.id)) is not None


def waiting(session: Session, *, now: datetime) -> Sequence[str]:
    """Name the sources with something to be worked off now."""
    return session.scalars(select(WebhookEvent.source).where(*_due(now)).distinct().order_by("source")).all()


def batch(session: Session, source: str, *, now: datetime) -> list[Event]:
    """Give what came first, some at a time; alone what has failed, lest it take others with it again."""
    columns = (WebhookEvent.id, WebhookEvent.body, WebhookEvent.tries)
    rows = session.execute(
        select(*columns).where(*_due(now), WebhookEvent.source == source).order_by(WebhookEvent.id).limit(BATCH)
    )
    events = [Event(row.id, row.body, row.tries) for row in rows]
    return list(takewhile(lambda event: not event.tries, events)) or events[:1]


def complete(hook: WebhookSource, target: Source | None, events: Sequence[Event]) -> Completed:
    """Give the records that deliveries hold, or those that they name, as these are now. Raises SourceError."""
    if hook.completes is None:
        return _held(hook, events)
    if not (isinstance(target, Fetchable) and target.can_fetch):
        raise SourceRefused(f"{hook.completes} cannot be asked for single records. Declare `one` in it.")
    unusable: dict[int, str] = {}
    named: dict[str, list[int]] = {}
    for event in events:
        keys, problems = hook.keys(event.body)
        if problems:
            unusable[event.id] = problems[0].message
        for key in keys:
            named.setdefault(key, []).append(event.id)
    rows: list[Row] = []
    ids = list(named)
    for begin in range(0, len(ids), BATCH):
        asked = ids[begin : begin + BATCH]
        page = target.fetch(asked)
        rows += page.rows
        for problem in page.problems:
            about = named[asked[problem.row - 1]] if problem.row else [event.id for event in events]
            unusable |= dict.fromkeys(about, problem.message)
    if any(row.cursor is None for row in rows):
        what = f"{hook.completes} has no cursor, so a record that is fetched between two polls has no place in order."
        raise SourceRefused(f"{what} Declare one there, or take `completes` out of {hook.name}.")
    return Completed(hook.completes, Page(tuple(rows), (), None), unusable)


def unknown(session: Session, completed: Completed) -> Page:
    """Give what a fetch brought without versions that are stored already, by key and cursor.

    A single record may have other fields than the same one in a list. What a poll brings later is stored beside it and
    is then the newer one of the two; so here must be left out what a poll brought before.
    """
    keys = [row.key for row in completed.page.rows]
    found = session.execute(
        select(SourceRecord.key, SourceRecordVersion.cursor)
        .join(SourceRecordVersion, SourceRecordVersion.record_id == SourceRecord.id)
        .where(SourceRecord.source == completed.source, SourceRecord.key.in_(keys))
    )
    stored = {(row.key, json.dumps(row.cursor)) for row in found}
    return Page(tuple(row for row in completed.page.rows if (row.key, json.dumps(row.cursor)) not in stored), (), None)


def _held(hook: WebhookSource, events: Sequence[Event]) -> Completed:
    pages = {event.id: hook.read(event.body) for event in events}
    unusable = {id_: page.problems[0].message for id_, page in pages.items() if page.problems}
    rows = tuple(row for page in pages.values() for row in page.rows)
    return Completed(hook.name, Page(rows, (), None), unusable)


def end(session: Session, events: Iterable[Event], unusable: Mapping[int, str], *, now: datetime) -> None:
    """Note that deliveries are worked off; `unusable` says of some what was wrong, and their bodies are kept."""
    done = [event.id for event in events if event.id not in unusable]
    worked_off = {"state": EventState.DONE, "body": None, "ended_at": now, "error": None}
    session.execute(update(WebhookEvent).where(WebhookEvent.id.in_(done)).values(worked_off))
    for id_, message in unusable.items():
        failed = {"state": EventState.FAILED, "ended_at": now, "error": message}
        session.execute(update(WebhookEvent).where(WebhookEvent.id == id_).values(failed))


def retry(
    session: Session, events: Sequence[Event], error: str, *, now: datetime, retry_after: float | None = None
) -> None:
    """Note that working off failed, and when the next try is due; after TRIES there is none."""
    for event in events:
        wait = max(RETRY_SECONDS[min(event.tries, len(RETRY_SECONDS) - 1)], retry_after or 0)
        values = {"tries": event.tries + 1, "error": error, "next_try_at": now + timedelta(seconds=wait)}
        if event.tries + 1 >= TRIES:
            values |= {"state": EventState.FAILED, "ended_at": now}
        session.execute(update(WebhookEvent).where(WebhookEvent.id == event.id).values(values))


def postpone(session: Session, source: str, *, until: datetime) -> None:
    """Let all that waits wait until then: the system does not answer."""
    sooner = or_(WebhookEvent.next_try_at.is_(None), WebhookEvent.next_try_at < until)
    mine = (WebhookEvent.source == source, WebhookEvent.state == EventState.WAITING)
    session.execute(update(WebhookEvent).where(*mine, sooner).values(next_try_at=until))


def try_again(session: Session, sources: Iterable[str]) -> None:
    """Try again what failed at these sources: the documents have changed."""
    failed = (WebhookEvent.state == EventState.FAILED, WebhookEvent.source.in_(sources))
    again = {"state": EventState.WAITING, "tries": 0, "next_try_at": None, "ended_at": None}
    session.execute(update(WebhookEvent).where(*failed).values(again))


def forget_old(session: Session, *, now: datetime) -> None:
    """Drop what has been worked off, and later what could not be."""
    for state, kept in ((EventState.DONE, KEPT), (EventState.FAILED, KEPT_FAILED)):
        old = (WebhookEvent.state == state, WebhookEvent.received_at < now - kept)
        session.execute(delete(WebhookEvent).where(*old))


def counts(session: Session) -> dict[str, Count]:
    """Give how deliveries stand, by source, for sources that have any that are not worked off."""
    is_failed = WebhookEvent.state == EventState.FAILED
    rows = session.execute(
        select(
            WebhookEvent.source,
            func.count().filter(~is_failed).label("waiting"),
            func.count().filter(is_failed).label("failed"),
            func.max(WebhookEvent.error).label("error"),
        )
        .where(WebhookEvent.state != EventState.DONE)
        .group_by(WebhookEvent.source)
    )
    return {row.source: Count(row.waiting, row.failed, row.error) for row in rows}


def failed(session: Session, source: str) -> Sequence[WebhookEvent]:
    """Give what could not be worked off, oldest first."""
    mine = (WebhookEvent.source == source, WebhookEvent.state == EventState.FAILED)
    return session.scalars(select(WebhookEvent).where(*mine).order_by(WebhookEvent.id)).all()


def _due(now: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    due = or_(WebhookEvent.next_try_at.is_(None), WebhookEvent.next_try_at <= now)
    return WebhookEvent.state == EventState.WAITING, due
