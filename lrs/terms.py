"""Terms and mentions in the database: a term is interned, so that a mention is two integers."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import Cursor
from sqlalchemy.orm import Session

from lrs.database import driver
from lrs.wire import Column, Type
from lrs.xapi.structs import Statement
from lrs.xapi.terms import Term, Terms, definitions

_KNOWN = "select digest, id from term where digest = any(%b)"
# In order of digest, as everywhere: two batches that bring the same new terms wait for each other, never in a circle.
_NEW = """
    insert into term (digest, kind, text)
    select * from unnest(%b::bytea[], %b::text[], %b::text[])
    on conflict (digest) do nothing
    returning digest, id
"""
_MENTION = "insert into mention (key, seq) select * from unnest(%b::bigint[], %b::bigint[]) on conflict do nothing"


def digest(term: Term) -> bytes:
    """Give the hash that a term is unique by: its text may be too long for an index."""
    return hashlib.sha256(f"{term.kind}:{term.text}".encode()).digest()


def intern(cursor: Cursor[Any], terms: Iterable[Term]) -> dict[Term, int]:
    """Give each term's id, adding those that are new."""
    by_digest = {digest(term): term for term in terms}
    ids = dict(cursor.execute(_KNOWN, [list(by_digest)], binary=True).fetchall())
    if missing := sorted(by_digest.keys() - ids.keys()):
        kinds, texts = zip(*(by_digest[one] for one in missing), strict=True)
        ids.update(cursor.execute(_NEW, [missing, list(kinds), list(texts)], binary=True).fetchall())
    if overtaken := list(by_digest.keys() - ids.keys()):
        # Another transaction added these since we looked, and has committed: now they can be seen.
        ids.update(cursor.execute(_KNOWN, [overtaken], binary=True).fetchall())
    return {term: ids[key] for key, term in by_digest.items()}


def direct_key(term_id: int) -> int:
    """Give the key of the mentions that a plain filter looks for."""
    return 2 * term_id


def related_key(term_id: int) -> int:
    """Give the key of the further mentions that related_agents and related_activities look for."""
    return 2 * term_id + 1


def keys(found_by: Terms, ids: dict[Term, int]) -> list[int]:
    """Give the keys that a statement is mentioned under."""
    return [
        *(direct_key(ids[term]) for term in found_by.direct),
        *(related_key(ids[term]) for term in found_by.related),
    ]


def mention(cursor: Cursor[Any], mentions: Iterable[tuple[int, int]]) -> None:
    """Write mentions: pairs of key and seq."""
    if ordered := sorted(mentions):  # in the order of the index that they go into
        cursor.execute(_MENTION, [[key for key, _ in ordered], [seq for _, seq in ordered]])


def columns(found_by: Sequence[Terms], statements: Sequence[Statement]) -> list[Column]:
    """Give what statements are found by, and the definitions that they bring, as `store_statements` takes it.

    These are the columns from `digests` on (migration 0007). `statements` is empty when definitions are not wanted.
    """
    by_digest = sorted((digest(term), term) for term in {term for one in found_by for group in one for term in group})
    places = {term: place for place, (_, term) in enumerate(by_digest, 1)}
    mentions = [
        (number, 2 * places[term] + related)
        for number, one in enumerate(found_by)
        for related, group in enumerate(one)
        for term in group
    ]
    given = {
        (places[Term("activity", activity_id)], msgspec.json.encode(definition)): number
        for number, statement in enumerate(statements)
        for activity_id, definition in definitions(statement)
    }
    return [
        Column.of_bytes(Type.BYTEA, [key for key, _ in by_digest]),
        Column.of_texts([term.kind for _, term in by_digest]),
        Column.of_texts([term.text for _, term in by_digest]),
        Column.of_ints([number for number, _ in mentions]),
        Column.of_ints([mentioned for _, mentioned in mentions]),
        Column.of_ints(list(given.values())),
        Column.of_ints([place for place, _ in given]),
        Column.of_bytes(Type.BYTEA, [hashlib.sha256(json).digest() for _, json in given]),
        Column.of_bytes(Type.TEXT, [json for _, json in given]),
    ]


def find(session: Session, terms: Iterable[Term]) -> dict[Term, int]:
    """Give the ids of those terms that any statement mentions."""
    by_digest = {digest(term): term for term in terms}
    return {by_digest[key]: term_id for key, term_id in driver(session).execute(_KNOWN, [list(by_digest)], binary=True)}
