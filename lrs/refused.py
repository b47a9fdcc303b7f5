"""Quarantine: what an authenticated client sent and was refused for what it said, kept to be replayed.

So that nothing a known client sent is gone, though it throws a refused batch away. Kept are requests to store
statements that were answered with 400 or 409, as they came over the wire; not those without a credential or scope (401,
403), too large or too many (413, 429). The same request refused again is counted, not kept twice. Bounded for each
credential by bytes and days: what was replayed goes first, then the oldest.
"""

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.types.json import Jsonb
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session, undefer

from lrs import intake
from lrs.authors import author
from lrs.database import driver
from lrs.errors import Conflict, LrsError, NotFound, Rule
from lrs.files import Files
from lrs.intake import Sent
from lrs.models import Credential, RefusedRequest
from lrs.xapi import versions

log = logging.getLogger(__name__)

MAX_BYTES = 100 * 1024 * 1024
MAX_DAYS = 90
MAX_REQUESTS = 10_000
"""Of one credential; small ones cost rows rather than bytes."""
PAGE = 100

_ONCE = Rule("what was replayed is stored", None, "Nothing is left to do; `replayed_at` says when it was.")

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

_KEEP = """
    insert into refused_request
        (credential_id, digest, method, query, content_type, version, body, size, statements, status, reasons)
    values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    on conflict (credential_id, digest) where replayed_at is null do update
    set times = refused_request.times + 1, last_received_at = clock_timestamp(),
        status = excluded.status, reasons = excluded.reasons
    returning id
"""
# Nobody is waited for: what another request is dropping is dropped.
_BOUND = """
    delete from refused_request where id in (
        select id from refused_request
        where id <> %(new)s and (
            last_received_at < now() - %(days)s * interval '1 day'
            or id in (
                select id from (
                    select id, sum(size) over newest as bytes, row_number() over newest as requests
                    from refused_request where credential_id = %(credential)s
                    window newest as (order by replayed_at is not null, id desc rows unbounded preceding)
                ) as counted
                where bytes > %(bytes)s or requests > %(requests)s))
        for update skip locked)
    returning credential_id, replayed_at is null
"""


class Summary(NamedTuple):
    """A refused request but for its body."""

    id: int
    credential: str
    """The name."""
    key: str
    method: str
    content_type: str
    size: int
    statements: int | None
    status: int
    times: int
    received_at: datetime
    last_received_at: datetime
    replayed_at: datetime | None
    reasons: list[dict[str, Any]]


def keep(
    connection: Connection[Any],
    sent: Sent,
    *,
    credential_id: int,
    err: LrsError,
    max_bytes: int = MAX_BYTES,
    max_days: int = MAX_DAYS,
) -> int:
    """Keep a request that was refused, and give its number; the caller commits."""
    values = [
        credential_id,
        _digest(sent),
        sent.method,
        sent.query,
        sent.content_type,
        sent.version,
        sent.body,
        len(sent.body),
        intake.count(sent),
        err.status,
        Jsonb(reasons(err)),
    ]
    row = connection.execute(_KEEP, values).fetchone()
    assert row is not None  # noqa: S101  inserted or updated, there is one
    limits = {"bytes": max_bytes, "days": max_days, "requests": MAX_REQUESTS}
    dropped = connection.execute(_BOUND, limits | {"new": row[0], "credential": credential_id})
    # What was replayed is stored: nothing is lost with it.
    for whose, lost in Counter(owner for owner, waited in dropped if waited).items():
        log.warning("%d refused requests of credential %d were dropped for the quarantine's bounds", lost, whose)
    return int(row[0])


def reasons(err: LrsError) -> list[dict[str, object]]:
    """Give the errors of an answer, one a statement; a message may quote what no database can hold."""
    told = err.errors[: intake.MAX_ERRORS] if isinstance(err, intake.InvalidBatch) else [err]
    return [
        {name: _UNSTORABLE.sub("\ufffd", value) if isinstance(value, str) else value for name, value in one.items()}
        for one in (each.to_dict() for each in told)
    ]


def _digest(sent: Sent) -> bytes:
    digest = hashlib.sha256()
    for part in (sent.method, sent.query, sent.content_type, sent.version):
        digest.update(part.encode() + b"\0")
    digest.update(sent.body)
    return digest.digest()


# --- looking ---------------------------------------------------------------------------------------------------------


def find(
    session: Session, *, of: int | None = None, after: int = 0, limit: int = PAGE, waiting: bool = False
) -> list[Summary]:
    """Give a page of what was refused, oldest first, behind the number `after`.

    `of`: of this credential alone. `waiting`: only what was not replayed yet.
    """
    found = (
        select(RefusedRequest, Credential.name, Credential.key)
        .join(Credential, Credential.id == RefusedRequest.credential_id)
        .where(RefusedRequest.id > after, *_of(of))
        .order_by(RefusedRequest.id)
        .limit(limit)
    )
    if waiting:
        found = found.where(RefusedRequest.replayed_at.is_(None))
    return [_summary(*row) for row in session.execute(found)]


def count_waiting(session: Session) -> int:
    """Count what was not replayed yet, of every credential."""
    return session.scalar(select(func.count()).where(RefusedRequest.replayed_at.is_(None))) or 0


def get(session: Session, number: int, *, of: int | None = None) -> tuple[Summary, bytes]:
    """Give one refused request and its body; raises NotFound."""
    row = _get(session, number, of)
    credential = session.get_one(Credential, row.credential_id)
    return _summary(row, credential.name, credential.key), row.body


def _get(session: Session, number: int, of: int | None, *, lock: bool = False) -> RefusedRequest:
    found = select(RefusedRequest).where(_is(number), *_of(of)).options(undefer(RefusedRequest.body))
    row = session.scalar(found.with_for_update() if lock else found)
    if row is None:
        raise NotFound(f"There is no refused request {number}.")
    return row


def _is(number: int) -> ColumnElement[bool]:
    return RefusedRequest.id == min(number, 2**63 - 1)  # as far as PostgreSQL counts; nothing has that number


def _of(credential_id: int | None) -> Sequence[ColumnElement[bool]]:
    return [] if credential_id is None else [RefusedRequest.credential_id == credential_id]


def _summary(row: RefusedRequest, name: str, key: str) -> Summary:
    return Summary(
        row.id,
        name,
        key,
        row.method,
        row.content_type,
        row.size,
        row.statements,
        row.status,
        row.times,
        row.received_at,
        row.last_received_at,
        row.replayed_at,
        row.reasons,
    )


# --- replaying -------------------------------------------------------------------------------------------------------


def replay(
    session: Session, number: int, *, base_url: str, files: Files | None = None, of: int | None = None
) -> list[str | None]:
    """Store what was refused, as its credential now stands; gives the ids. The caller commits.

    Raises NotFound, Conflict when it was replayed already, and what is still wrong with it (then the caller rolls back
    and may `note` it). The row is locked until the commit, so that two at once store once.
    """
    row = _get(session, number, of, lock=True)
    if row.replayed_at is not None:
        raise Conflict(f"The refused request {number} was replayed already.", _ONCE)
    credential = session.get_one(Credential, row.credential_id)
    version = versions.from_header(row.version)
    sent = Sent(row.method, row.query, row.content_type, version, row.body)
    batch = intake.came_at(intake.read(sent, lenient=credential.lenient), row.received_at)
    taken = intake.store(
        driver(session),
        batch,
        author=author(credential.id, credential.key, credential.name, credential.scopes, base_url=base_url),
        version=version,
        deduplicate_seconds=credential.deduplicate_seconds,
        files=files,
    )
    row.replayed_at = func.now()
    session.flush()
    return taken.ids


def note(session: Session, number: int, err: LrsError) -> None:
    """Note why a replay was refused; what was replayed already keeps why it had been refused before that."""
    values = {"status": err.status, "reasons": reasons(err)}
    waiting = RefusedRequest.replayed_at.is_(None)
    session.execute(update(RefusedRequest).where(RefusedRequest.id == number, waiting).values(values))


def drop(session: Session, number: int, *, of: int | None = None) -> None:
    """Forget a refused request; raises NotFound."""
    dropped = delete(RefusedRequest).where(_is(number), *_of(of)).returning(RefusedRequest.id)
    if session.scalar(dropped) is None:
        raise NotFound(f"There is no refused request {number}.")


def drop_old(session: Session, *, days: int) -> int:
    """Forget what was last refused longer ago, of every credential; gives how many requests that were."""
    dropped = delete(RefusedRequest).where(RefusedRequest.last_received_at < func.now() - timedelta(days=days))
    return len(session.scalars(dropped.returning(RefusedRequest.id)).all())
