"""Statements that point at statements: StatementRefs and voiding (xAPI 1.0.3, Data 2.3.2 and Communication 2.1.3).

A statement whose object is a StatementRef is also found by what its target is found by, and the target's target, and so
on. That is worked out when either end arrives, in whatever order, so that a query remains one look into `mention`.

Two that arrive at once would not see each other. Therefore a gate: plain batches go through it together, a batch with a
StatementRef alone. Such batches are rare (corrections, comments); each costs the others the wait for one commit.
"""

import uuid
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import Cursor

from lrs import terms
from lrs.errors import Invalid, Rule
from lrs.xapi import validation
from lrs.xapi.structs import VOIDED, Statement, StatementRef
from lrs.xapi.terms import Terms, agent_term
from lrs.xapi.terms import terms as terms_of
from lrs.xapi.versions import Version

_VOIDING_STANDS = Rule(
    "a voiding statement cannot be voided", "2.3.2", "Store the statement that was voided again, under a new id."
)

# `store_statements` (migration 0007) passes the same gate, shared.
_ENTER_ALONE = "select pg_advisory_xact_lock(x'4C70000000000000'::bigint)"
_ENTER_TOGETHER = "select pg_advisory_xact_lock_shared(x'4C70000000000000'::bigint)"

_ADD = "insert into reference (seq, target, voids) select * from unnest(%b::bigint[], %b::uuid[], %b::boolean[])"
_VOIDING_AMONG = """
    select id from statement join reference using (seq) where id = any(%b) and voids
"""
_REFERRERS = """
    with recursive referrer (seq) as (
        select seq from reference where target = any(%b)
        union
        select reference.seq
        from referrer join statement using (seq) join reference on reference.target = statement.id
    )
    select seq from referrer
"""
# Each statement that others lead to or that leads to others, with what it points at itself.
_CHAINS = """
    with recursive link (seq) as (
        select unnest(%b::bigint[])
        union
        select statement.seq
        from link join reference using (seq) join statement on statement.id = reference.target
    )
    select statement.seq, statement.payload, target.seq
    from link join statement using (seq) left join reference using (seq)
    left join statement as target on target.id = reference.target
"""
MAX_CHAIN = 100
"""So many references behind each other are followed: more than people make, and the work of a batch stays bounded."""


class Arrival(NamedTuple):
    """A statement that has just been inserted."""

    place: int
    """In the batch, from 0."""
    seq: int
    id: uuid.UUID
    statement: Statement


def enter_alone(cursor: Cursor[Any]) -> None:
    """Pass the gate for the rest of the transaction, as a batch must that points at statements; all others share it."""
    cursor.execute(_ENTER_ALONE)


def refer(cursor: Cursor[Any], arrivals: Sequence[Arrival], pointed_at: Container[uuid.UUID]) -> None:
    """Note where new statements point, and let all that point at or through them be found by what they mention.

    `pointed_at`: those of their ids that statements stored before point at.

    Raises Invalid for the voiding of a voiding statement. One that voids a statement still unknown is taken, and has no
    effect should that turn out to be a voiding statement.
    """
    pointing = [
        (one, uuid.UUID(target.id)) for one in arrivals if isinstance(target := one.statement.object, StatementRef)
    ]
    if pointing:
        _add(cursor, pointing)
        _refuse_voiding_of_voiding(cursor, pointing)
    ends = {one.seq: one for one, _ in pointing}
    # Also what came in the same batch can point at it.
    targets = {target for _, target in pointing}
    ends.update((one.seq, one) for one in arrivals if one.id in pointed_at or one.id in targets)
    if ends:
        _spread(cursor, list(ends.values()))


def points(statement: Statement) -> bool:
    """Tell whether a statement's object is a StatementRef."""
    return isinstance(statement.object, StatementRef)


def _add(cursor: Cursor[Any], pointing: list[tuple[Arrival, uuid.UUID]]) -> None:
    seqs = [one.seq for one, _ in pointing]
    targets = [target for _, target in pointing]
    cursor.execute(_ADD, [seqs, targets, [one.statement.verb.id == VOIDED for one, _ in pointing]])


def _refuse_voiding_of_voiding(cursor: Cursor[Any], pointing: list[tuple[Arrival, uuid.UUID]]) -> None:
    voiding = {target: one for one, target in pointing if one.statement.verb.id == VOIDED}
    for (target,) in cursor.execute(_VOIDING_AMONG, [list(voiding)]).fetchall():
        refused = Invalid(
            f"The statement {target} is itself a voiding statement.", _VOIDING_STANDS, pointer="/object/id"
        )
        refused.index = voiding[target].place
        raise refused


def enter_together(cursor: Cursor[Any]) -> None:
    """Pass the gate for the rest of the transaction, as plain batches do: nobody who points at statements comes in."""
    cursor.execute(_ENTER_TOGETHER)


def referrers(cursor: Cursor[Any], ids: Sequence[uuid.UUID]) -> set[int]:
    """Give the numbers of statements that point at or through those of these ids."""
    return {seq for (seq,) in cursor.execute(_REFERRERS, [list(ids)]).fetchall()}


def mentions(cursor: Cursor[Any], seqs: Collection[int]) -> set[tuple[int, int]]:
    """Give the mentions (key, seq) that statements have as they and what they point at are now."""
    found_by, target_of = _chains(cursor, seqs)
    ids = terms.intern(cursor, {term for one in found_by.values() for group in one for term in group})
    keys = {seq: terms.keys(one, ids) for seq, one in found_by.items()}
    return {
        (key, finder)
        for finder in seqs
        if finder in keys
        for seq in (finder, *_chain(finder, target_of))
        for key in keys[seq]
    }


def _spread(cursor: Cursor[Any], arrivals: Sequence[Arrival]) -> None:
    """Let new statements be found by what their targets mention, and all that point at them by that and their own."""
    finders = {one.seq for one in arrivals}
    finders.update(seq for (seq,) in cursor.execute(_REFERRERS, [[one.id for one in arrivals]]).fetchall())
    found_by, target_of = _chains(cursor, finders)
    ids = terms.intern(cursor, {term for one in found_by.values() for group in one for term in group})
    keys = {seq: terms.keys(one, ids) for seq, one in found_by.items()}
    terms.mention(
        cursor, {(key, finder) for finder in finders for seq in _chain(finder, target_of) for key in keys[seq]}
    )


def _chains(cursor: Cursor[Any], seqs: Iterable[int]) -> tuple[dict[int, Terms], dict[int, int]]:
    """Give what statements, and those that they lead to, are found by, and what each of them points at."""
    found_by: dict[int, Terms] = {}
    target_of: dict[int, int] = {}
    for seq, payload, target in cursor.execute(_CHAINS, [list(seqs)]).fetchall():
        found_by[seq] = terms_of_stored(payload)
        if target is not None:
            target_of[seq] = target
    return found_by, target_of


def _chain(seq: int, target_of: Mapping[int, int]) -> Iterator[int]:
    """Give what a statement leads to, once each, as far as it is followed."""
    seen = {seq}
    while (seq := target_of.get(seq, seq)) not in seen and len(seen) <= MAX_CHAIN:
        seen.add(seq)
        yield seq


def terms_of_stored(payload: str) -> Terms:
    """Give what a stored statement is found by of itself."""
    statement = validation.validate(payload.encode(), Version.TWO, attached=None)
    authority = agent_term(statement.authority) if statement.authority else None
    return terms_of(statement, authority)
