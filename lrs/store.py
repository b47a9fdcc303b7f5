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
from lrs.xapi import equality, statements
from lrs.xapi.structs import Statement
from lrs.xapi.terms import Term
from lrs.xapi.terms import terms as terms_of
from lrs.xapi.versions import Version

_DISTINCT_IDS = Rule("the statements of a batch have distinct ids", "Communication 2.1.2", "Send each statement once.")
_SAME_ID = Rule(
    "an id stands for one statement for ever",
    "2.3.1",
    "Give the new statement an id of its own; to correct the stored one, void it.",
)

# Arrays travel in binary (%b): as text, every quote of every payload would have to be escaped, by Python.
_STORE = """
    select first_number, known_ids, known_payloads, pointed_at
    from store_statements(%s, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b)
"""


class Author(NamedTuple):
    """Whose statements these are."""

    credential_id: int
    authority: str
    """The JSON of the authority that they get."""
    term: Term
    """What they are found by as its statements."""
    defines: bool = True
    """Whether the definitions in its statements count for the activities resource (scope define)."""


class Repair(NamedTuple):
    """What a lenient credential's statement was before it was repaired, and how it was."""

    original: str
    """JSON text as it was sent."""
    repairs: str
    """JSON list of the repairs (`lrs.xapi.repairs`)."""


class Incoming(NamedTuple):
    """A statement on its way in: the text as it is to be stored, and what it was validated as."""

    text: Raw
    statement: Statement
    repair: Repair | None = None


def store(session: Session, batch: Sequence[Incoming], *, author: Author, version: Version) -> list[str]:
    """Store statements and give their ids, in order.

    One that is stored already and equal is left as it is. Raises Conflict for one that differs from the stored one of
    its id, Invalid for an id that comes twice and for the voiding of a voiding statement; the caller rolls back.
    """
    ids = _ids(batch)
    rows = [
        _Row(place, uuid.UUID(given), given, one) for place, (given, one) in enumerate(zip(ids, batch, strict=True))
    ]
    cursor = _cursor(session)
    if any(references.points(one.statement) for one in batch):
        references.enter_alone(cursor)
    while rows:
        outcome = _Outcome(*_send(cursor, rows, author, version))
        if outcome.known_ids is not None:
            rows = _unknown(rows, dict(zip(outcome.known_ids, outcome.known_payloads, strict=True)))
            continue
        arrivals = [
            Arrival(row.place, outcome.first + number, row.id, row.incoming.statement)
            for number, row in enumerate(rows)
        ]
        references.refer(cursor, arrivals, frozenset(outcome.pointed_at or ()))
        break
    return ids


class _Row(NamedTuple):
    """A statement about to be inserted."""

    place: int
    """In the batch, from 0."""
    id: uuid.UUID
    name: str
    """The id as it was sent."""
    incoming: Incoming


class _Outcome(NamedTuple):
    """What `store_statements` (migration 0007) answers."""

    first: int
    """The number of the first, when all were stored."""
    known_ids: list[uuid.UUID] | None
    """Those that are known already, because of which nothing was stored."""
    known_payloads: list[str]
    pointed_at: list[uuid.UUID] | None


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


def _send(cursor: Cursor[Any], rows: list[_Row], author: Author, version: Version) -> tuple[Any, ...]:
    prepared = [
        statements.prepare(
            row.incoming.text,
            row.incoming.statement,
            statement_id=row.name,
            authority=author.authority,
            default_version=version.default,
        )
        for row in rows
    ]
    found_by = [terms_of(row.incoming.statement, author.term) for row in rows]
    answer: tuple[Any, ...] | None = cursor.execute(
        _STORE,
        [
            author.credential_id,
            [row.id for row in rows],
            [one.head for one in prepared],
            [one.untimed for one in prepared],
            [row.id for row in rows if row.incoming.statement.id is not UNSET],
            *terms.columns(found_by, [row.incoming.statement for row in rows] if author.defines else []),
        ],
        binary=True,
    ).fetchone()
    assert answer is not None  # noqa: S101  the function gives one row
    return answer


def _unknown(rows: list[_Row], known: dict[uuid.UUID, str]) -> list[_Row]:
    """Hold what was sent under a known id against what is stored under it, and give the others."""
    for row in rows:
        if row.id in known and not equality.equal(bytes(row.incoming.text).decode(), known[row.id]):
            raise _at(
                row.place, Conflict(f"Another statement is stored under the id {row.id}.", _SAME_ID, pointer="/id")
            )
    return [row for row in rows if row.id not in known]


def _at(index: int, err: LrsError) -> LrsError:
    err.index = index
    return err
