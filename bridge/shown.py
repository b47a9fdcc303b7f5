"""What a caller is given of the feeds: published rows, cut down to what a narrowed credential sees.

The rules guarded here:

- Rows about people and programs are seen as `bridge.narrowing` has it; of effects none, too, that would tell of the few
  who are not seen.
- How things are doing is told of everything but estimates of other programs, and without messages: those quote from
  records.
- Who was given a row learns when it leaves what they see. Where the row moved, by a tombstone; where what they may see
  was itself changed, or the database restored, their cursor ends in ViewChanged: they begin anew, and drop what that
  does not give again.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from bridge import narrowing, publishing
from bridge.errors import ViewChanged
from bridge.mapping import Documents
from bridge.narrowing import EVERYTHING, Narrowing
from bridge.publishing import Change, Changes

FEEDS = ("records", "measures", "impacts", "readiness", "health")

_MOST_PARTS = 10_000
"""Sources, streams, destinations and estimates that are looked through."""


def changes(
    session: Session, documents: Documents, seen: Narrowing, feed: str, after: str | None, *, limit: int
) -> Changes:
    """Give what changed in a feed since a cursor of an earlier answer; see `publishing.changes`.

    Raises BadCursor and ViewChanged.
    """
    narrowed = _narrowed(session, documents, seen, feed)
    view, inner = _view(narrowed), None
    if after is not None:
        of_view, _, inner = after.partition(".")
        if inner and of_view != view:
            raise ViewChanged(
                "What this key may see was changed since this cursor was given. Begin without one, and when `more` is "
                "false drop every row that was not given again."
            )
        inner = inner or after  # refused as no cursor
    found = publishing.changes(session, feed, inner, limit=limit, narrowing=_of_people(feed, narrowed))
    return replace(found, rows=list(_cut(found.rows, narrowed)), next=f"{view}.{found.next}")


def current(
    session: Session,
    documents: Documents,
    seen: Narrowing,
    feed: str,
    *,
    after: str,
    limit: int,
    **filters: Any,  # noqa: ANN401 - as `publishing.current` has them
) -> list[Change]:
    """Give rows of a feed as they are now, by key, those after this key."""
    narrowed = _narrowed(session, documents, seen, feed)
    asked = _of_people(feed, narrowed)
    # What is left out of health is left out here; a page must not end for that.
    most = _MOST_PARTS if feed == "health" else limit
    found = publishing.current(session, feed, after=after, limit=most, narrowing=asked, **filters)
    return list(_cut(found, narrowed))[:limit]


def _narrowed(session: Session, documents: Documents, seen: Narrowing, feed: str) -> Narrowing:
    """Give what is seen of a feed, with the programs by name."""
    without = narrowing.with_few_others(session, seen) if feed == "impacts" else ()
    return seen.over(documents, without)


def _of_people(feed: str, narrowed: Narrowing) -> Narrowing:
    """Give what the published rows themselves are chosen by: those of health have neither people nor a program."""
    return EVERYTHING if feed == "health" else narrowed


def _cut(rows: Iterable[Change], narrowed: Narrowing) -> Iterable[Change]:
    for row in rows:
        if row.feed != "health" or not narrowed:
            yield row
        elif not row.key.startswith("estimate/"):
            yield row if row.deleted else replace(row, body={**row.body, "message": None})
        elif narrowed.programs is None or row.key.removeprefix("estimate/") in narrowed.programs:
            yield row


def _view(narrowed: Narrowing) -> str:
    """Name what is seen, in a word that is another one for everything else."""
    return hashlib.sha256(json.dumps(narrowed.told(), sort_keys=True).encode()).hexdigest()[:16]
