"""Statements in the database: stored whole batch or nothing, once per id, in one order for all.

The order of locks is the same for every writer, so that no two can wait for each other in a circle: the gate of
references, terms by digest, statements by id. Call `store` once in a transaction, before anything else that locks.
"""

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import UNSET, Raw
from psycopg import Connection

from lrs import erased, references, repaired, terms, wire
from lrs.errors import Conflict, Invalid, LrsError, Rule
from lrs.references import Arrival
from lrs.wire import Column, Type
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

_STORE = b"""
    select first_number, is_pointed_at
    from store_statements($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""
_PAYLOADS = "select id, payload from statement where id = any(%s)"
_POINTED_AT = "select target from reference where target = any(%s)"


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


def store(
    connection: Connection[Any], batch: Sequence[Incoming], *, author: Author, version: Version, at_once: bool = False
) -> list[str]:
    """Store statements in the connection's transaction and give their ids, in order; the caller commits.

    One that is stored already and equal is left as it is. Raises Conflict for one that differs from the stored one of
    its id, Invalid for an id that comes twice and for the voiding of a voiding statement; the caller rolls back.

    `at_once`: nothing else belongs into this transaction, and what is stored may be committed before this returns.
    """
    ids = _ids(batch)
    rows = [
        _Row(place, uuid.UUID(given), given, one) for place, (given, one) in enumerate(zip(ids, batch, strict=True))
    ]
    pointing = any(references.points(one.statement) for one in batch)
    if pointing:
        references.enter_alone(connection.cursor())
    alone = at_once and not pointing and not any(one.repair for one in batch)
    while rows:
        columns = _columns(rows, author, version)
        first, pointed_at = wire.call(connection, _STORE, author.credential_id, columns, alone=alone)
        if first is not None:
            _complete(connection, rows, int(first), pointed_at == b"t")
            break
        alone = False
        rows = _unknown(rows, connection)
    return ids


class _Row(NamedTuple):
    """A statement about to be inserted."""

    place: int
    """In the batch, from 0."""
    id: uuid.UUID
    name: str
    """The id as it was sent."""
    incoming: Incoming

    @property
    def is_named(self) -> bool:
        """Whether the sender gave the id: only then can it be known or pointed at."""
        return self.incoming.statement.id is not UNSET


def _ids(batch: Sequence[Incoming]) -> list[str]:
    ids = [str(uuid.uuid4()) if one.statement.id is UNSET else one.statement.id for one in batch]
    seen: set[str] = set()
    for index, given in enumerate(ids):
        if given.lower() in seen:
            raise _at(index, Invalid(f"The id {given} comes twice in the batch.", _DISTINCT_IDS, pointer="/id"))
        seen.add(given.lower())
    return ids


def _columns(rows: list[_Row], author: Author, version: Version) -> list[Column]:
    """Give what `store_statements` (migration 0007) takes, from `ids` on."""
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
    return [
        Column.of_bytes(Type.UUID, [row.id.bytes for row in rows]),
        Column.of_texts([one.head for one in prepared]),
        Column.of_bools([one.untimed for one in prepared]),
        Column.of_bytes(Type.UUID, [row.id.bytes for row in rows if row.is_named]),
        *terms.columns(found_by, [row.incoming.statement for row in rows] if author.defines else []),
    ]


def _unknown(rows: list[_Row], connection: Connection[Any]) -> list[_Row]:
    """Hold what was sent under a known id against what is stored under it, and give the others."""
    named = [row.id for row in rows if row.is_named]
    known: dict[uuid.UUID, str] = dict(connection.execute(_PAYLOADS, [named]).fetchall())
    for row in rows:
        sent = bytes(row.incoming.text).decode()
        if row.id in known and not (
            equality.equal(sent, known[row.id]) or erased.same(connection, sent, known[row.id])
        ):
            raise _at(
                row.place, Conflict(f"Another statement is stored under the id {row.id}.", _SAME_ID, pointer="/id")
            )
    return [row for row in rows if row.id not in known]


def _complete(connection: Connection[Any], rows: list[_Row], first: int, is_pointed_at: bool) -> None:  # noqa: FBT001
    """Do what few batches need, after their rows have been inserted with the numbers from `first` on."""
    repairs = [(first + number, *row.incoming.repair) for number, row in enumerate(rows) if row.incoming.repair]
    if repairs:
        repaired.keep(connection.cursor(), repairs)
    if is_pointed_at or any(references.points(row.incoming.statement) for row in rows):
        cursor = connection.cursor()
        arrivals = [
            Arrival(row.place, first + number, row.id, row.incoming.statement) for number, row in enumerate(rows)
        ]
        named = [row.id for row in rows if row.is_named]
        targets = {target for (target,) in cursor.execute(_POINTED_AT, [named]).fetchall()}
        references.refer(cursor, arrivals, targets)


def _at(index: int, err: LrsError) -> LrsError:
    err.index = index
    return err
