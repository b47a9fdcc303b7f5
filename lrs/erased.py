"""Persons whose statements are not taken in, because they were erased: known by keyed hashes and nothing else.

The rules guarded here:

- What an erased person's statement says is not stored, not even for a moment; its sender is answered as if it had been.
  A refusal would hold up the whole batch, with the statements of others, and an LMS that tries again for ever.
- A statement of somebody else that names the person is stored without them (`lrs.xapi.erasing`), and known when it
  comes again as it was.
- A process knows of an erasure at most `FRESH_SECONDS` later: who erases waits that long before looking what there is.
"""

import hmac
import time
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import current_app, has_app_context
from msgspec import UNSET, Raw
from psycopg import Connection, pq
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from lrs import settings
from lrs.errors import Invalid
from lrs.models import ErasedAgent
from lrs.xapi import equality, erasing, exact, validation
from lrs.xapi.structs import Statement
from lrs.xapi.terms import terms
from lrs.xapi.versions import Version

if TYPE_CHECKING:
    from lrs.store import Incoming

FRESH_SECONDS = 1.0
"""Asked for with each batch, it would cost a round trip that a small one does not have otherwise."""
_NAME = "lrs-erased"
_KNOWN = "select digest from erased_agent"
_COUNT = """
    update erased_agent set kept_out = kept_out + 1, last_at = now() where ctid in (
        select ctid from erased_agent where digest = any(%s) order by digest, erasure for update)
"""


class Kept(NamedTuple):
    """What becomes of statements on their way in."""

    incoming: list[tuple[int, "Incoming"]]
    """Those to be stored, with their places, from 0."""
    out: dict[int, str]
    """The ids of the others, by their places."""


@dataclass
class _Cache:
    """What a process knows of erased persons; one for each app."""

    digests: frozenset[bytes] = frozenset()
    until: float = 0.0


class _Asking:
    """Answers `lrs.xapi.erasing`, and notes whom it met."""

    def __init__(self, known: Collection[bytes], secret_key: str) -> None:
        self._known, self._secret_key = known, secret_key
        self.met: set[bytes] = set()

    def __call__(self, kind: str, text: str) -> bool:
        found = digest(self._secret_key, kind, text)
        if found in self._known:
            self.met.add(found)
            return True
        return False


def digest(secret_key: str, kind: str, text: str) -> bytes:
    """Give the keyed hash of something by which a person is known."""
    return hmac.digest(secret_key.encode(), f"erased {kind}:{text}".encode(), "sha256")


def sift(connection: Connection[Any], batch: Iterable["Incoming"]) -> Kept | None:
    """Part a batch into what is stored, without erased persons, and what is not; None: none of it names one."""
    is_erased = _asking(connection)
    if is_erased is None:
        return None
    kept: list[tuple[int, Incoming]] = []
    out: dict[int, str] = {}
    for place, one in enumerate(batch):
        if not _names(one.statement, is_erased):
            kept.append((place, one))
            continue
        text = erasing.statement(bytes(one.text), is_erased)
        if text is None:
            out[place] = str(uuid.uuid4()) if one.statement.id is UNSET else one.statement.id
        else:
            try:
                kept.append((place, _changed(one, text)))
            except Invalid:  # it says nothing without them; a refusal would hold up the whole batch
                out[place] = str(uuid.uuid4()) if one.statement.id is UNSET else one.statement.id
    if not is_erased.met:
        return None
    connection.execute(_COUNT, [sorted(is_erased.met)])
    return Kept(kept, out)


def is_agent(connection: Connection[Any], agent: str | None) -> bool:
    """Tell whether an agent, a canonical text, is an erased person."""
    if agent is None:
        return False
    is_erased = _asking(connection)
    return is_erased is not None and any(is_erased("agent", one) for one in erasing.spellings(agent))


def same(connection: Connection[Any], sent: str, stored: str) -> bool:
    """Tell whether a stored statement is one that was sent without whoever was erased since it was first sent."""
    is_erased = _asking(connection)
    if is_erased is None:
        return False
    text = erasing.statement(sent, is_erased)
    return text is not None and equality.equal(text, stored)


def strip(connection: Connection[Any], body: bytes) -> bytes | None:
    """Give a body of statements that is kept aside without those that name an erased person; None: nothing is left.

    What is no JSON stays as it is.
    """
    is_erased = _asking(connection)
    if is_erased is None:
        return body
    try:
        sent = exact.read(body)
    except (ValueError, RecursionError):
        return body
    listed = sent if isinstance(sent, list) else [sent]
    kept = [one for one in listed if erasing.without(one, is_erased) == one]
    if len(kept) == len(listed):
        return body
    return exact.write(kept).encode() if kept else None


def keep_out(session: Session, erasure: int, known: Iterable[tuple[str, str]], *, secret_key: str) -> None:
    """Take in nothing from now on that names what is known as (kind, text); the caller commits."""
    digests = sorted({digest(secret_key, kind, text) for kind, text in known})
    rows = [{"digest": one, "erasure": erasure} for one in digests]
    if rows:
        session.execute(insert(ErasedAgent).values(rows).on_conflict_do_nothing())


def let_in(session: Session, erasure: int) -> None:
    """Take in again what was kept out under this number."""
    session.execute(delete(ErasedAgent).where(ErasedAgent.erasure == erasure))


def _asking(connection: Connection[Any]) -> _Asking | None:
    """Give what tells who is erased; None while nobody is."""
    if not has_app_context():
        return None  # nothing but a test stores without an app
    cache: _Cache = current_app.extensions.setdefault(_NAME, _Cache())
    if time.monotonic() >= cache.until:
        _refresh(connection, cache)
    return _Asking(cache.digests, settings.current().secret_key) if cache.digests else None


def _refresh(connection: Connection[Any], cache: _Cache) -> None:
    # A connection that was in no transaction is left in none: a small batch is one of its own (`lrs.wire.call`).
    idle = connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
    asked_at = time.monotonic()
    cache.digests = frozenset(bytes(one) for (one,) in connection.execute(_KNOWN))
    if idle:
        connection.rollback()
    cache.until = asked_at + FRESH_SECONDS


def _names(statement: Statement, is_erased: erasing.IsErased) -> bool:
    """Tell whether a statement is found by an agent that is erased: a tenth of what reading its text again costs."""
    agents = (term.text for group in terms(statement, None) for term in group if term.kind == "agent")
    return any(is_erased("agent", key) for agent in agents for key in erasing.spellings(agent))


def _changed(one: "Incoming", text: str) -> "Incoming":
    statement = validation.validate(text.encode(), Version.TWO, attached=None)
    if one.statement.id is not UNSET:
        statement.id = one.statement.id
    return one._replace(text=Raw(text.encode()), statement=statement, repair=None)
