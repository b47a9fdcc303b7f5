"""How far reading can go without missing what is still being written.

`consistent_through`: up to when everything that has been or will be stored can be read (Communication 2.1.3).

Each writer holds an advisory lock for its whole transaction that carries a number not above its first statement's
(`take_statement_numbers`, migration 0001). So nothing is on its way below the lowest of these locks, and without any,
nothing below the clock as it was before we looked: a writer that comes later takes its lock before it reads the clock.

`read_after`: what is new, each statement once, for whoever keeps the position. It goes by transaction ids, as readers
of other tables can too: a row counts when every transaction up to its own has ended.
"""

import uuid
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from lrs.database import driver
from lrs.xapi import times

# statement_timestamp, not clock_timestamp: it is read before the locks are, whatever the planner does.
_HORIZON = """
    select least((extract(epoch from statement_timestamp()) * 1000000)::bigint,
                 min((classid::bigint << 32 | objid::bigint) & x'000FFFFFFFFFFFFF'::bigint)) - 1
    from pg_locks
    where locktype = 'advisory' and objsubid = 1 and classid::bigint >> 20 = x'4C5'::bigint
      and database = (select oid from pg_database where datname = current_database())
"""

# The literal 8 of the index (`Statement.__table_args__`) is met when `lanes` is 8; any other number scans the table.
_AFTER = text("""
    select xid::text::bigint, seq, id, stored, payload
    from statement
    where seq % :lanes = :lane
      and (xid, seq) > (cast(:xid as text)::xid8, :seq) and xid < pg_snapshot_xmin(pg_current_snapshot())
    order by statement.xid, seq
    limit :limit
""")


class StoredStatement(NamedTuple):
    """A statement as a reader of what is new gets it."""

    xid: int
    seq: int
    id: uuid.UUID
    stored: datetime
    payload: str


def read_after(session: Session, after: tuple[int, int], *, lane: int, lanes: int, limit: int) -> list[StoredStatement]:
    """Give what is new behind a position (xid, seq) in the order of these; (0, 0) is the beginning.

    A lane is a share of all statements, for readers side by side. A statement whose transaction commits late is not
    skipped: nothing is given before all that could come earlier in the order is there.
    """
    xid, seq = after
    parameters = {"lanes": lanes, "lane": lane, "xid": str(xid), "seq": seq, "limit": limit}
    return [StoredStatement(*row) for row in session.execute(_AFTER, parameters)]


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
