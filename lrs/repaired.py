"""What lenient credentials sent in place of statements: beside each repaired one its original and the repairs."""

from collections.abc import Sequence
from typing import Any

from psycopg import Cursor
from sqlalchemy import select
from sqlalchemy.orm import Session

from lrs.errors import NotFound
from lrs.models import Repair, Statement

_KEEP = "insert into repair (seq, original, repairs) select * from unnest(%b::bigint[], %b::text[], %b::jsonb[])"


def keep(cursor: Cursor[Any], rows: Sequence[tuple[int, str, str]]) -> None:
    """Keep what was repaired, in the transaction that stores it: the statement's number, text as sent, repairs."""
    numbers, originals, repairs = zip(*rows, strict=True)
    cursor.execute(_KEEP, [list(numbers), list(originals), list(repairs)])


def find(session: Session, statement_id: str, *, by: int | None = None) -> Repair:
    """Give what became of the statement with an id; raises NotFound when there is none, or it is as it was sent.

    `by`: only what this credential stored.
    """
    found = select(Repair).join(Statement, Statement.seq == Repair.seq).where(Statement.id == statement_id)
    repair = session.scalar(found if by is None else found.where(Statement.credential_id == by))
    if repair is None:
        raise NotFound(f"No statement {statement_id} was repaired.")
    return repair
