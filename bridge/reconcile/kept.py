"""What reconciliation found: a row for each comparison, and the differences that a person can read.

The rules guarded here:

- Every difference counts; of those of one comparison the first `MOST_KEPT` are kept in words.
- A difference is either repaired, so that the next comparison does not find it, or open: a person must see to it.
- What a comparison found stands from its first page on, also when it is killed: it has no end then.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from bridge.models import Difference, Reconciliation
from bridge.times import utc_text

MOST_KEPT = 1000
KEPT_DAYS = 90


class Area(StrEnum):
    """What is compared."""

    SOURCES = "sources"
    LMS = "lms"
    DELIVERIES = "deliveries"
    IDENTITIES = "identities"


class State(StrEnum):
    """What became of a difference."""

    REPAIRED = "repaired"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Found:
    """One difference."""

    kind: str
    """In words, the same for all of a kind: they are counted by it."""
    subject: str
    text: str
    state: State


@dataclass(frozen=True, slots=True)
class Page:
    """What a bounded piece of a comparison gave, to be noted in one transaction with its repairs."""

    agreed: int
    found: tuple[Found, ...] = ()
    unnamed: Mapping[str, int] = field(default_factory=dict)
    """Open differences beside those, by kind: only some are worth naming."""
    waiting: int = 0
    """Rows that were not compared, for they are on their way."""
    remark: str | None = None
    """What is to be told beside what was compared, for the comparison's note."""


def begin(session: Session, area: Area, name: str, *, now: datetime) -> Reconciliation:
    """Note that a comparison begins."""
    row = Reconciliation(area=area, name=name, started_at=now, agreed=0, repaired=0, open=0, waiting=0, kinds={})
    session.add(row)
    session.flush()
    return row


def note(session: Session, row: Reconciliation, page: Page) -> None:
    """Note what a piece of a comparison gave."""
    kept = session.scalar(select(func.count()).where(Difference.reconciliation_id == row.id)) or 0
    repaired = sum(one.state == State.REPAIRED for one in page.found)
    row.agreed += page.agreed
    row.waiting += page.waiting
    row.repaired += repaired
    row.open += len(page.found) - repaired + sum(page.unnamed.values())
    kinds = Counter(row.kinds) + Counter(one.kind for one in page.found) + Counter(page.unnamed)
    row.kinds = dict(kinds)  # another object, so that the change is seen
    told = page.found[: max(MOST_KEPT - kept, 0)]
    if told:
        columns = [
            {
                "reconciliation_id": row.id,
                "kind": one.kind,
                "subject": one.subject,
                "text": one.text,
                "state": one.state,
            }
            for one in told
        ]
        session.execute(insert(Difference), columns)


def end(row: Reconciliation, *, now: datetime, note: str | None = None, error: str | None = None) -> None:
    """Note that a comparison is over, or why it could not be."""
    row.ended_at, row.note, row.error = now, note, error


def is_over(session: Session, area: Area, name: str, *, since: datetime) -> bool:
    """Tell whether a comparison that began since then has come to its end, or has been told why it cannot."""
    mine = (Reconciliation.area == area, Reconciliation.name == name, Reconciliation.started_at >= since)
    return bool(session.scalar(select(func.count()).where(*mine, Reconciliation.ended_at.is_not(None))))


def unfinished(session: Session, *, before: datetime) -> Sequence[Reconciliation]:
    """Give the last comparisons that began before and have no end: whoever made them was killed."""
    return [row for row in newest(session) if row.ended_at is None and row.started_at < before]


def newest(session: Session, area: Area | None = None) -> Sequence[Reconciliation]:
    """Give the last comparison of each area and name, by both."""
    ids = select(func.max(Reconciliation.id)).group_by(Reconciliation.area, Reconciliation.name)
    if area is not None:
        ids = ids.where(Reconciliation.area == area)
    wanted = select(Reconciliation).where(Reconciliation.id.in_(ids))
    return session.scalars(wanted.order_by(Reconciliation.area, Reconciliation.name)).all()


def differences(session: Session, row: Reconciliation) -> Sequence[Difference]:
    """Give the differences of a comparison that are kept, in the order in which they were found."""
    wanted = select(Difference).where(Difference.reconciliation_id == row.id).order_by(Difference.id)
    return session.scalars(wanted).all()


def told(session: Session, row: Reconciliation) -> dict[str, Any]:
    """Give a comparison as people and programs are told of it."""
    return {
        "area": row.area,
        "name": row.name,
        "started_at": utc_text(row.started_at),
        "ended_at": utc_text(row.ended_at),
        "agreed": row.agreed,
        "differed": row.repaired + row.open,
        "kinds": dict(sorted(row.kinds.items())),
        "repaired": row.repaired,
        "needs a person": row.open,
        "on their way": row.waiting,
        "note": row.note,
        "error": row.error,
        "differences": [
            {"kind": one.kind, "subject": one.subject, "state": one.state, "text": one.text}
            for one in differences(session, row)
        ],
    }


def forget_old(session: Session, *, now: datetime) -> None:
    """Forget comparisons that are long over."""
    session.execute(delete(Reconciliation).where(Reconciliation.started_at < now - timedelta(days=KEPT_DAYS)))
