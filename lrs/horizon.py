"""How far reading can go without missing what is still being written.

`consistent_through`: up to when everything that has been or will be stored can be read (Communication 2.1.3).

Each writer holds an advisory lock for its whole transaction that carries a number not above its first statement's
(`take_statement_numbers`, migration 0001). So nothing is on its way below the lowest of these locks, and without any,
nothing below the clock as it was before we looked: a writer that comes later takes its lock before it reads the clock.

`read_after`: what is new, each statement once, for whoever keeps the position. It goes by transaction ids, as readers
of other tables can too: a row counts when every transaction up to its own has ended.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lrs import models, terms
from lrs.database import driver
from lrs.xapi import times
from lrs.xapi.terms import Term

# statement_timestamp, not clock_timestamp: it is read before the locks are, whatever the planner does.
_HORIZON = """
    select least((extract(epoch from statement_timestamp()) * 1000000)::bigint,
                 min((classid::bigint << 32 | objid::bigint) & x'000FFFFFFFFFFFFF'::bigint)) - 1
    from pg_locks
    where locktype = 'advisory' and objsubid = 1 and classid::bigint >> 20 = x'4C5'::bigint
      and database = (select oid from pg_database where datname = current_database())
"""

# The literal 8 of the index (`Statement.__table_args__`) is met when `lanes` is 8; any other number scans the table.
_AFTER = """
    select xid::text::bigint, seq, id, stored, payload
    from statement
    where seq % :lanes = :lane
      and (xid, seq) > (cast(:xid as text)::xid8, :seq) and xid < pg_snapshot_xmin(pg_current_snapshot()){narrower}
    order by statement.xid, seq
    limit :limit
"""
_UNTIL = "\n      and (xid, seq) <= (cast(:until_xid as text)::xid8, :until_seq)"
_SAYING = (
    "\n      and exists (select from mention where key = any(cast(:keys as bigint[])) and mention.seq = statement.seq)"
)
_SHAPES = {
    (bounded, narrowed): text(_AFTER.format(narrower=_UNTIL * bounded + _SAYING * narrowed))
    for bounded in (False, True)
    for narrowed in (False, True)
}


class StoredStatement(NamedTuple):
    """A statement as a reader of what is new gets it."""

    xid: int
    seq: int
    id: uuid.UUID
    stored: datetime
    payload: str


def read_after(
    session: Session,
    after: tuple[int, int],
    *,
    lane: int,
    lanes: int,
    limit: int,
    until: tuple[int, int] | None = None,
    verbs: Iterable[str] | None = None,
) -> list[StoredStatement]:
    """Give what is new behind a position (xid, seq) in the order of these; (0, 0) is the beginning.

    A lane is a share of all statements, for readers side by side. A statement whose transaction commits late is not
    skipped: nothing is given before all that could come earlier in the order is there.

    `until`: nothing behind this position. `verbs`: only statements with one of these.
    """
    parameters: dict[str, Any] = {"lanes": lanes, "lane": lane, "xid": str(after[0]), "seq": after[1], "limit": limit}
    if until is not None:
        parameters |= {"until_xid": str(until[0]), "until_seq": until[1]}
    if verbs is not None:
        parameters["keys"] = _verb_keys(session, verbs)
    query = _SHAPES[until is not None, verbs is not None]
    return [StoredStatement(*row) for row in session.execute(query, parameters)]


def _verb_keys(session: Session, verbs: Iterable[str]) -> list[int]:
    digests = [terms.digest(Term("verb", verb)) for verb in verbs]
    return [
        terms.direct_key(term)
        for term in session.scalars(select(models.Term.id).where(models.Term.digest.in_(digests)))
    ]


def horizon(session: Session) -> int:
    """Give the highest number below which no statement can appear any more.

    What is read by a later SQL statement (READ COMMITTED, a new snapshot) then has everything up to it.
    """
    row = driver(session).execute(_HORIZON).fetchone()
    assert row is not None  # noqa: S101  an aggregate gives one row
    return int(row[0])


def consistent_through(session: Session) -> datetime:
    """Give the same as an instant; once true, it stays true."""
    return times.from_number(horizon(session))
