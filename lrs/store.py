"""Statements in the database: stored whole batch or nothing, once per id, in one order for all.

The order of locks is the same for every writer, so that no two can wait for each other in a circle: the gate of
references, terms by digest, statements by id. Call `store` once in a transaction, before anything else that locks.
"""

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import UNSET, Raw
from psycopg import Cursor
from sqlalchemy.orm import Session

from lrs import references, terms
from lrs.errors import Conflict, Invalid, LrsError, Rule
from lrs.references import Arrival
from lrs.xapi import equality, statements, times
from lrs.xapi.structs import Statement
from lrs.xapi.terms import Term, Terms
from lrs.xapi.terms import terms as terms_of
from lrs.xapi.versions import Version

_DISTINCT_IDS = Rule("the statements of a batch have distinct ids", "Communication 2.1.2", "Send each statement once.")
_SAME_ID = Rule(
    "an id stands for one statement for ever",
    "2.3.1",
    "Give the new statement an id of its own; to correct the stored one, void it.",
)

# Arrays travel in binary (%b): as text, every quote of every payload would have to be escaped, by Python.
_INSERT = """
    insert into statement (seq, id, stored, credential_id, payload)
    select seq, id, 'epoch'::timestamptz + seq * '1 microsecond'::interval, %s, payload
    from unnest(%b::bigint[], %b::uuid[], %b::text[]) as new (seq, id, payload)
    order by id
    on conflict (id) do nothing
    returning seq
"""
_PAYLOADS = "select id, payload from statement where id = any(%b)"


class Author(NamedTuple):
    """Whose statements these are."""

    credential_id: int
    authority: str
    """The JSON of the authority that they get."""
    term: Term
    """What they are found by as its statements."""


class Incoming(NamedTuple):
    """A statement on its way in: the text as it was sent, and what it was validated as."""

    text: Raw
    statement: Statement


class _Row(NamedTuple):
    """A statement about to be inserted."""

    place: int
    """In the batch, from 0."""
    seq: int
    id: uuid.UUID
    payload: str
    statement: Statement
    terms: Terms


def store(session: Session, batch: Sequence[Incoming], *, author: Author, version: Version) -> list[str]:
    """Store statements and give their ids, in order.

    One that is stored already and equal is left as it is. Raises Conflict for one that differs from the stored one of
    its id, Invalid for an id that comes twice and for the voiding of a voiding statement; the caller rolls back.
    """
    ids = _ids(batch)
    if not batch:
        return []
    cursor = _cursor(session)
    references.enter(cursor, alone=any(references.points(one.statement) for one in batch))
    found_by = [terms_of(one.statement, author.term) for one in batch]
    term_ids = terms.intern(cursor, {term for one in found_by for group in one for term in group})
    rows = _rows(_take_numbers(cursor, len(batch)), batch, ids, found_by, author, version)
    new = _insert(cursor, rows, author)
    _compare([row for row in rows if row.seq not in new], batch, cursor)
    inserted = [row for row in rows if row.seq in new]
    terms.mention(cursor, ((key, row.seq) for row in inserted for key in terms.keys(row.terms, term_ids)))
    references.refer(cursor, [Arrival(row.place, row.seq, row.id, row.statement) for row in inserted])
    return ids


def _ids(batch: Sequence[Incoming]) -> list[str]:
    ids = [str(uuid.uuid4()) if one.statement.id is UNSET else one.statement.id for one in batch]
    seen: set[str] = set()
    for index, given in enumerate(ids):
        if given.lower() in seen:
            raise _at(index, Invalid(f"The id {given} comes twice in the batch.", _DISTINCT_IDS, pointer="/id"))
        seen.add(given.lower())
    return ids


def _cursor(session: Session) -> Cursor[Any]:
    """Give a psycopg cursor in the session's transaction: arrays of a batch go in one message each."""
    cursor: Cursor[Any] = session.connection().connection.cursor()  # type: ignore[assignment]  # SQLAlchemy's DB-API view
    return cursor


def _take_numbers(cursor: Cursor[Any], count: int) -> int:
    row = cursor.execute("select take_statement_numbers(%s)", [count]).fetchone()
    assert row is not None  # noqa: S101  the function gives one number
    return int(row[0])


def _rows(
    first: int, batch: Sequence[Incoming], ids: list[str], found_by: list[Terms], author: Author, version: Version
) -> list[_Row]:
    return [
        _Row(
            place,
            first + place,
            uuid.UUID(ids[place]),
            statements.prepare(
                one.text,
                one.statement,
                statement_id=ids[place],
                stored=times.to_text(times.from_number(first + place)),
                authority=author.authority,
                default_version=version.default,
            ),
            one.statement,
            found_by[place],
        )
        for place, one in enumerate(batch)
    ]


def _insert(cursor: Cursor[Any], rows: list[_Row], author: Author) -> set[int]:
    """Insert what has no row of its id yet, and give the numbers of that."""
    arrays: list[list[Any]] = [[row.seq for row in rows], [row.id for row in rows], [row.payload for row in rows]]
    return {seq for (seq,) in cursor.execute(_INSERT, [author.credential_id, *arrays]).fetchall()}


def _compare(known: list[_Row], batch: Sequence[Incoming], cursor: Cursor[Any]) -> None:
    """Hold what was sent under a known id against what is stored under it."""
    if not known:
        return
    stored = dict(cursor.execute(_PAYLOADS, [[row.id for row in known]]).fetchall())
    for row in known:
        if not equality.equal(bytes(batch[row.place].text).decode(), stored[row.id]):
            raise _at(
                row.place, Conflict(f"Another statement is stored under the id {row.id}.", _SAME_ID, pointer="/id")
            )


def _at(index: int, err: LrsError) -> LrsError:
    err.index = index
    return err
