"""Backfills: the past of a source, read in slices beside its pulls.

The rules guarded here:

- Newest first: what is nearest to now is asked about first. A slice that goes on failing is set aside, visibly, and the
  next one begins; one that only has to wait lets all of its source wait, for they ask the same system.
- A page is stored with its slice's checkpoint, under the slice's fence (see `sources`): a slice that was begun again
  elsewhere, or whose source was paused or reset, stores nothing more.
- What both lanes read is one version: `sources` stores each once, whoever comes first.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from bridge import sources
from bridge.errors import Superseded
from bridge.models import BackfillSlice, SourceProblem, SourceState
from bridge.times import utc_text
from connectors import Page

MAX_FAILURES = 6
"""So often a slice is tried, in a bit more than two hours, before it is set aside for a person to look at."""
UNAVAILABLE_SECONDS = 120
"""How long to wait for a system that does not say when it will be there again."""
PROBLEM_DAYS = 30
"""How long a row of the past that could not be used is told; pulls tell theirs as long."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice that has begun."""

    id: int
    low: datetime
    high: datetime
    fence: int
    state: dict[str, Any] | None
    """What the connector left last time; None at the first."""


def plan(session: Session, source: str, slices: Collection[tuple[datetime, datetime]], *, now: datetime) -> int:
    """Plan these slices [low, high); gives how many of them were not planned already.

    Those of a plan that has been worked off are forgotten.
    """
    if not session.scalar(select(func.count()).where(*_open(source))):
        session.execute(delete(BackfillSlice).where(BackfillSlice.source == source))
    if not slices:
        return 0
    rows = [{"source": source, "low": low, "high": high, "planned_at": now} for low, high in slices]
    planned = insert(BackfillSlice).on_conflict_do_nothing(
        index_elements=["source", "low", "high"], index_where=BackfillSlice.done_at.is_(None)
    )
    return len(session.scalars(planned.returning(BackfillSlice.id), rows).all())


def try_again(session: Session, source: str) -> None:
    """Let what was set aside, or waits, be tried at once."""
    waiting = update(BackfillSlice).where(*_open(source)).values(failures=0, next_try_at=None)
    session.execute(waiting, execution_options={"synchronize_session": False})


def due(session: Session, names: Collection[str], *, now: datetime) -> list[str]:
    """Name the sources, of these, of which a slice can be read now."""
    ready = select(BackfillSlice.source).where(BackfillSlice.source.in_(list(names)), *_ready(now)).distinct()
    return sorted(session.scalars(ready))


def begin(session: Session, source: str, *, now: datetime) -> Slice | None:
    """Begin the newest slice that can be read now; None when there is none. Nobody else may go on with it."""
    newest = select(BackfillSlice.id).where(BackfillSlice.source == source, *_ready(now))
    newest = newest.order_by(BackfillSlice.high.desc(), BackfillSlice.id).limit(1).with_for_update()
    begun = update(BackfillSlice).where(BackfillSlice.id == newest.scalar_subquery())
    begun = begun.values(fence=BackfillSlice.fence + 1, started_at=func.coalesce(BackfillSlice.started_at, now))
    columns = (BackfillSlice.id, BackfillSlice.low, BackfillSlice.high, BackfillSlice.fence, BackfillSlice.state)
    row = session.execute(begun.returning(*columns), execution_options={"synchronize_session": False}).one_or_none()
    if row is None:
        return None
    if row.state is None:  # it begins at its beginning, and finds again what is wrong there
        session.execute(delete(SourceProblem).where(SourceProblem.slice_id == row.id))
    return Slice(*row)


def store_page(session: Session, source: str, part: Slice, page: Page, *, now: datetime) -> int:
    """Store a page of a slice with where to go on; gives the number of new versions. Raises Superseded."""
    row = _held(session, part)
    stored = sources.store_fetched(session, source, page, seen_at=now, slice_id=part.id)
    row.rows, row.versions = row.rows + len(page.rows), row.versions + stored
    if page.state is not None:
        row.state = page.state
        row.failures, row.last_error = 0, None
    return stored


def finish(session: Session, part: Slice, *, now: datetime) -> None:
    """Note that all of a slice has been read. Raises Superseded."""
    row = _held(session, part)
    row.done_at, row.failures, row.last_error, row.next_try_at = now, 0, None, None


def fail(session: Session, part: Slice, error: str, *, now: datetime) -> None:
    """Note why a slice could not be read, and when the next try is due. Raises Superseded."""
    row = _held(session, part)
    wait = sources.RETRY_SECONDS[min(row.failures, len(sources.RETRY_SECONDS) - 1)]
    row.last_error, row.failures = error, row.failures + 1
    row.next_try_at = now + timedelta(seconds=wait)


def wait(session: Session, source: str, part: Slice, error: str, *, now: datetime, retry_after: float | None) -> None:
    """Note that a system is not there for now, so that all slices of the source wait. Raises Superseded."""
    _held(session, part).last_error = error
    session.flush()
    until = now + timedelta(seconds=max(UNAVAILABLE_SECONDS, retry_after or 0))
    later = func.greatest(BackfillSlice.next_try_at, until)
    waiting = update(BackfillSlice).where(*_open(source)).values(next_try_at=later)
    session.execute(waiting, execution_options={"synchronize_session": False})


def forget_problems(session: Session, *, now: datetime) -> None:
    """Forget the rows of the past that could not be used, when they have been told long enough."""
    old = SourceProblem.seen_at < now - timedelta(days=PROBLEM_DAYS)
    session.execute(delete(SourceProblem).where(SourceProblem.slice_id.is_not(None), old))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a source's past has been read."""

    slices: int
    done: int
    set_aside: int
    """Failed `MAX_FAILURES` times."""
    rows: int
    versions: int
    next_try_at: datetime | None
    """When the next is due; None: now, or never where none is left."""
    last_error: str | None

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be read."""
        return self.done == self.slices

    def told(self) -> str:
        """Say it in a line."""
        parts = [f"{self.done} of {self.slices} slices, {self.versions:,} versions"]
        if self.set_aside:
            parts.append(f"{self.set_aside} set aside")
        if not self.is_done and self.next_try_at:
            parts.append(f"goes on {utc_text(self.next_try_at)}")
        return "; ".join([*parts, *([self.last_error] if self.last_error else [])])


def progress(session: Session, names: Sequence[str] | None = None) -> dict[str, Progress]:
    """Say by source how far its past has been read; sources of which none was planned are left out."""
    aside = BackfillSlice.failures >= MAX_FAILURES
    left = BackfillSlice.done_at.is_(None)
    found = select(
        BackfillSlice.source,
        func.count(),
        func.count(BackfillSlice.done_at),
        func.count().filter(left, aside),
        func.sum(BackfillSlice.rows),
        func.sum(BackfillSlice.versions),
        func.min(BackfillSlice.next_try_at).filter(left, ~aside),
        func.min(BackfillSlice.last_error).filter(left),
    ).group_by(BackfillSlice.source)
    if names is not None:
        found = found.where(BackfillSlice.source.in_(names))
    return {
        source: Progress(slices, done, set_aside, int(rows), int(versions), next_try_at, error)
        for source, slices, done, set_aside, rows, versions, next_try_at, error in session.execute(found)
    }


def _open(source: str) -> tuple[ColumnElement[bool], ...]:
    return BackfillSlice.source == source, BackfillSlice.done_at.is_(None)


def _ready(now: datetime) -> tuple[ColumnElement[bool], ...]:
    paused = select(SourceState.source).where(SourceState.paused_at.is_not(None))
    return (
        BackfillSlice.done_at.is_(None),
        BackfillSlice.failures < MAX_FAILURES,
        or_(BackfillSlice.next_try_at.is_(None), BackfillSlice.next_try_at <= now),
        BackfillSlice.source.not_in(paused),
    )


def _held(session: Session, part: Slice) -> BackfillSlice:
    """Give the slice's row, locked until the transaction ends; raises Superseded when it is somebody else's."""
    mine = select(BackfillSlice).where(
        BackfillSlice.id == part.id, BackfillSlice.fence == part.fence, BackfillSlice.done_at.is_(None)
    )
    row = session.scalar(mine.with_for_update().execution_options(populate_existing=True))
    if row is None:
        raise Superseded("This slice of the past stops: it has been begun again elsewhere, or its source was paused.")
    return row
