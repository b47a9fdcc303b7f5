"""Terms and mentions in the database: a term is interned, so that a mention is two integers."""

import hashlib
from collections.abc import Iterable
from typing import Any

from psycopg import Cursor
from sqlalchemy import select
from sqlalchemy.orm import Session

from lrs import models
from lrs.xapi.terms import Term, Terms

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


def find(session: Session, terms: Iterable[Term]) -> dict[Term, int]:
    """Give the ids of those terms that any statement mentions."""
    by_digest = {digest(term): term for term in terms}
    known = session.execute(select(models.Term.digest, models.Term.id).where(models.Term.digest.in_(by_digest)))
    return {by_digest[key]: term_id for key, term_id in known}
