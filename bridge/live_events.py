"""Events that an LMS sends (Canvas Live Events): stored before they are answered, then made statements of.

The rules guarded here:

- Events come at least once; an event that is known is not stored again, and its statement has an id made of the event,
  so that it is one statement also when it comes again after it was forgotten here.
- A statement and the word that it is stored are committed together: a conversion that was cut off is done again.
- What becomes no statement is kept for a while, with the reason, and counted by it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from bridge.mapping import Document, Documents
from bridge.models import Built, LiveEvent, LiveEventState
from bridge.sources import RETRY_SECONDS
from connectors import LiveEvent as Sent
from connectors import LiveEventsSource, caliper, load_source
from lrs import bulk

BATCH = 200
"""Events that are worked off in one transaction."""
TRIES = 10
"""With the waits of `sources.RETRY_SECONDS` that is seven hours; only faults of ours are tried again."""
KEPT = timedelta(days=7)
"""So long an event that comes again is known without a look at the statements."""
KEPT_OTHERS = timedelta(days=30)
"""So long what is no statement can be looked at."""
AUTHOR = "live events"
"""Begins the name of the credential whose statements these are; what follows is the source's name."""
_MOST_OF_REASON = 300


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event to be worked off."""

    id: int
    body: bytes
    tries: int


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of one event: a statement's id, or why there is none."""

    id: int
    statement: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """How the events of a source stand."""

    waiting: int
    failed: int
    others: int
    """Those that are no statements."""
    last_error: str | None
    """Of those that failed, or wait to be tried again."""

    def told(self) -> str:
        """Say it in one line."""
        return f"{self.waiting} events wait and {self.failed} failed: {self.last_error}"


def source(documents: Documents, name: str) -> LiveEventsSource | None:
    """Give the source that events are sent to by this name, None when there is none."""
    document = documents.sources.get(name)
    if document is None or document.data.get("type") != "live_events":
        return None
    found = load_source(document.data, base=Path(document.folder))
    return found if isinstance(found, LiveEventsSource) else None


def store(session: Session, source: str, events: Iterable[Sent], *, now: datetime) -> int:
    """Store events that have been verified; gives how many of them were not known."""
    named = {event.key: event.body for event in events}
    # In one order for all, lest two posts with the same events wait for each other.
    rows = [{"source": source, "event": key, "body": named[key], "received_at": now} for key in sorted(named)]
    made = insert(LiveEvent).values(rows).on_conflict_do_nothing().returning(LiveEvent.id)
    return len(session.scalars(made).all())


def waiting(session: Session, *, now: datetime) -> Sequence[str]:
    """Name the sources with something to be worked off now."""
    return session.scalars(select(LiveEvent.source).where(*_due(now)).distinct().order_by("source")).all()


def batch(session: Session, source: str, *, now: datetime) -> list[Waiting]:
    """Give what came first, some at a time; alone what has failed, lest it take others with it again."""
    columns = (LiveEvent.id, LiveEvent.body, LiveEvent.tries)
    rows = session.execute(
        select(*columns).where(*_due(now), LiveEvent.source == source).order_by(LiveEvent.id).limit(BATCH)
    )
    events = [Waiting(row.id, row.body, row.tries) for row in rows]
    return list(takewhile(lambda event: not event.tries, events)) or events[:1]


def convert(
    session: Session, source: LiveEventsSource, events: Sequence[Waiting], *, base_url: str, secret_key: str
) -> list[Converted]:
    """Store the statements that events are; gives what came of each event, in their order.

    Their authority is the agent of a credential of the source's own, whose secret nobody knows.
    """
    made = [source.convert(event.body) for event in events]
    sent = [
        (place, bulk.Sent(json.dumps(one).encode(), one["id"]))
        for place, one in enumerate(made)
        if not isinstance(one, caliper.NotConverted)
    ]
    refused: dict[int, str] = {}
    if sent:
        name = f"{AUTHOR} {source.name}"
        author = bulk.author(session, None, base_url=base_url, secret_key=secret_key, name=name)
        taken = bulk.take(session, [one for _, one in sent], author=author)
        refused = {sent[place][0]: error.error for place, error in taken.refused}
    found = []
    for place, (event, one) in enumerate(zip(events, made, strict=True)):
        reason = one.reason if isinstance(one, caliper.NotConverted) else refused.get(place)
        statement = None if isinstance(one, caliper.NotConverted) or reason else one["id"]
        found.append(Converted(event.id, statement, reason and _storable(reason)))
    return found


def statements(converted: Iterable[Converted]) -> int:
    """Count the statements that came of events."""
    return sum(one.statement is not None for one in converted)


def end(session: Session, converted: Iterable[Converted], *, now: datetime) -> None:
    """Note what came of events; commit it together with their statements."""
    for one in converted:
        values: dict[str, Any] = {"ended_at": now, "statement": one.statement, "reason": one.reason}
        if one.statement is None:
            values["state"] = LiveEventState.NONE
        else:
            values |= {"state": LiveEventState.STORED, "body": None}
        session.execute(update(LiveEvent).where(LiveEvent.id == one.id).values(values))


def retry(session: Session, events: Sequence[Waiting], error: str, *, now: datetime) -> None:
    """Note that working off failed, and when the next try is due; after TRIES there is none."""
    for event in events:
        wait = RETRY_SECONDS[min(event.tries, len(RETRY_SECONDS) - 1)]
        values: dict[str, Any] = {
            "tries": event.tries + 1,
            "reason": error,
            "next_try_at": now + timedelta(seconds=wait),
        }
        if event.tries + 1 >= TRIES:
            values |= {"state": LiveEventState.FAILED, "ended_at": now}
        session.execute(update(LiveEvent).where(LiveEvent.id == event.id).values(values))


def try_again(session: Session, sources: Mapping[str, Document]) -> None:
    """Try again what failed, and what was no statement where that may be judged otherwise now; documents have changed.

    Teaching and administration are most of what Canvas may send, and are no statements whatever a mapping says.
    """
    ours = [name for name, document in sources.items() if document.data.get("type") == "live_events"]
    for name in ours:
        states = [LiveEventState.FAILED]
        judged = f"{caliper.TABLE} {json.dumps(sources[name].data, sort_keys=True, default=str)}"
        part, signature = f"live events {name}", hashlib.sha256(judged.encode()).hexdigest()
        built = session.get(Built, part)
        if built is None or built.signature != signature:
            session.merge(Built(part=part, signature=signature))
            states.append(LiveEventState.NONE)
        ended = (LiveEvent.source == name, LiveEvent.state.in_(states))
        again = {"state": LiveEventState.WAITING, "tries": 0, "next_try_at": None, "ended_at": None, "reason": None}
        session.execute(update(LiveEvent).where(*ended).values(again))


def forget_old(session: Session, *, now: datetime) -> None:
    """Drop what has become a statement, and later what has not."""
    ended = LiveEvent.state != LiveEventState.WAITING
    stored = LiveEvent.state == LiveEventState.STORED
    session.execute(delete(LiveEvent).where(stored, LiveEvent.received_at < now - KEPT))
    session.execute(delete(LiveEvent).where(ended, LiveEvent.received_at < now - KEPT_OTHERS))


def counts(session: Session) -> dict[str, Count]:
    """Give how events stand, by source, for sources that have any that are no statements yet."""
    waiting = LiveEvent.state == LiveEventState.WAITING
    rows = session.execute(
        select(
            LiveEvent.source,
            func.count().filter(waiting).label("waiting"),
            func.count().filter(LiveEvent.state == LiveEventState.FAILED).label("failed"),
            func.count().filter(LiveEvent.state == LiveEventState.NONE).label("others"),
            func.max(LiveEvent.reason).filter(LiveEvent.state != LiveEventState.NONE).label("error"),
        )
        .where(LiveEvent.state != LiveEventState.STORED)
        .group_by(LiveEvent.source)
    )
    return {row.source: Count(row.waiting, row.failed, row.others, row.error) for row in rows}


def others(session: Session, source: str) -> Sequence[tuple[str, int, datetime]]:
    """Give why events of a source are no statements, with how many and the last time, most frequent first."""
    rows = session.execute(
        select(LiveEvent.reason, func.count().label("many"), func.max(LiveEvent.received_at).label("last"))
        .where(LiveEvent.source == source, LiveEvent.state.in_([LiveEventState.NONE, LiveEventState.FAILED]))
        .group_by(LiveEvent.reason)
        .order_by(func.count().desc(), LiveEvent.reason)
    )
    return [(row.reason or "", row.many, row.last) for row in rows]


def _storable(reason: str) -> str:
    """Give a reason, which may repeat words of the event's, as a text that PostgreSQL holds."""
    return reason.encode("utf-8", "replace").decode().replace("\0", "")[:_MOST_OF_REASON]


def _due(now: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    due = or_(LiveEvent.next_try_at.is_(None), LiveEvent.next_try_at <= now)
    return LiveEvent.state == LiveEventState.WAITING, due
