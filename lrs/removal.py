"""Taking a person out of what the LRS holds: statements, attachments, documents, what waits to be replayed.

The one place that changes or deletes a stored statement. The specification has statements immutable and void at most
(Data 2.3.2); the right to erasure (GDPR, article 17) goes before it. After that:

- What is the person's is not there: GET answers 404, no query finds it, `more` goes on behind it, since it says from
  which number on; `X-Experience-API-Consistent-Through` is as it was.
- What pointed at it stays and points at nothing, as if its target had never arrived. What the person had voided stays
  voided, by a statement of nobody.
- Of others' statements only what names the person is changed; number, id and `stored` stay.

Each call is one piece of work, for a transaction of its own; done again it finds nothing.
"""

import hashlib
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from psycopg import Cursor
from sqlalchemy import select, text
from sqlalchemy.orm import Session, undefer

from lrs import models, references, terms
from lrs.database import driver
from lrs.files import Files
from lrs.xapi import documents, erasing, exact
from lrs.xapi.erasing import IsErased
from lrs.xapi.terms import Term

LOOKED_THROUGH = 20_000
"""Statements that a search reads in one transaction."""

_BY_AGENT = """
    select distinct seq from mention where key = any(%b) and seq > %b order by seq limit %b
"""
_PIECE_END = "select max(seq) from (select seq from statement where seq > %b order by seq limit %b) as piece"
_BY_TEXT = "select seq from statement where seq > %b and seq <= %b and payload ~* %t order by seq"
_ROWS = "select seq, id, payload from statement where seq = any(%b) order by seq for update"
_DELETE_MENTIONS = """
    delete from mention using unnest(%b::bigint[], %b::bigint[]) as gone (key, seq)
    where mention.key = gone.key and mention.seq = gone.seq
"""
_UNLINK = "delete from statement_attachment where seq = any(%b) returning seq, sha2"
_LINK_AGAIN = "insert into statement_attachment (seq, sha2) select * from unnest(%b::bigint[], %b::bytea[])"
_DELETE_ATTACHMENTS = """
    delete from attachment where sha2 = any(%b)
    and not exists (select from statement_attachment other where other.sha2 = attachment.sha2)
    returning sha2, data is null
"""
_DROP_TERMS = """
    delete from term where id = any(%b)
    and not exists (select from mention where key in (2 * term.id, 2 * term.id + 1))
"""
_READABLE = "application/json"


@dataclass
class Removed:
    """What one piece of work took away."""

    statements: list[tuple[int, uuid.UUID]] = field(default_factory=list)
    """Deleted: number and id."""
    cleaned: int = 0
    """Statements of others that name the person no more."""
    attachments: int = 0
    files: list[str] = field(default_factory=list)
    """To be removed once the transaction is committed (`remove_files`)."""


def by_agents(session: Session, agents: Collection[str], *, after: int, limit: int) -> list[int]:
    """Give the numbers of statements that are found by these agents, the first so many behind `after`."""
    keys = [key for one in _term_ids(session, agents) for key in (terms.direct_key(one), terms.related_key(one))]
    return [seq for (seq,) in driver(session).execute(_BY_AGENT, [keys, after, limit])] if keys else []


def by_text(session: Session, pattern: str, *, after: int) -> tuple[list[int], int | None]:
    """Search the next statements for a regular expression, in any case; gives numbers, and where to go on.

    None: that was the last piece.
    """
    connection = driver(session)
    (end,) = connection.execute(_PIECE_END, [after, LOOKED_THROUGH]).fetchone() or (None,)
    if end is None:
        return [], None
    return [seq for (seq,) in connection.execute(_BY_TEXT, [after, end, pattern])], int(end)


def remove(session: Session, seqs: Sequence[int], is_erased: IsErased) -> Removed:
    """Delete the person's among these statements, and take the person out of the others."""
    cursor, removed = driver(session).cursor(), Removed()
    references.enter_together(cursor)
    rows = cursor.execute(_ROWS, [list(seqs)]).fetchall()
    touched = {seq for seq, _, _ in rows} | references.referrers(cursor, [one for _, one, _ in rows])
    before = references.mentions(cursor, touched)
    changed: list[tuple[int, str]] = []
    for seq, statement_id, payload in rows:
        cleaned = erasing.statement(payload, is_erased)
        if cleaned is None:
            removed.statements.append((seq, statement_id))
        elif cleaned != payload:
            changed.append((seq, cleaned))
    removed.cleaned = len(changed)
    _delete(cursor, removed)
    if changed:
        cursor.executemany("update statement set payload = %t where seq = %b", [(new, seq) for seq, new in changed])
        cursor.execute("delete from repair where seq = any(%b)", [[seq for seq, _ in changed]])
    gone = [seq for seq, _ in removed.statements]
    # Those of a deleted statement that were spread to it when it pointed at others are among these.
    _change_mentions(cursor, before, references.mentions(cursor, touched - set(gone)))
    _detach(cursor, gone, dict(changed), removed)
    return removed


def _delete(cursor: Cursor[Any], removed: Removed) -> None:
    if removed.statements:
        gone, ids = map(list, zip(*removed.statements, strict=True))
        for table in ("reference", "repair", "statement"):
            cursor.execute(f"delete from {table} where seq = any(%b)", [gone])  # noqa: S608 - names from above
        cursor.execute("delete from sent_content where statement_id = any(%b)", [ids])


def _change_mentions(cursor: Cursor[Any], before: set[tuple[int, int]], after: set[tuple[int, int]]) -> None:
    if gone := sorted(before - after):
        cursor.execute(_DELETE_MENTIONS, [[key for key, _ in gone], [seq for _, seq in gone]])
    terms.mention(cursor, after - before)


class _Named(msgspec.Struct):
    sha2: str = ""


class _Object(msgspec.Struct):
    attachments: list[_Named] = []


class _Stored(msgspec.Struct):
    object: _Object
    attachments: list[_Named] = []


def _detach(cursor: Cursor[Any], gone: list[int], changed: dict[int, str], removed: Removed) -> None:
    """Delete attachments that came with these statements and that nothing names any more."""
    links = [(seq, bytes(sha2)) for seq, sha2 in cursor.execute(_UNLINK, [[*gone, *changed]]).fetchall()]
    named = {seq: set(_named(payload)) for seq, payload in changed.items()}
    if kept := [(seq, sha2) for seq, sha2 in links if sha2 in named.get(seq, ())]:
        cursor.execute(_LINK_AGAIN, [[seq for seq, _ in kept], [sha2 for _, sha2 in kept]])
    if loose := sorted({sha2 for _, sha2 in links}):
        for sha2, in_file in cursor.execute(_DELETE_ATTACHMENTS, [loose]).fetchall():
            removed.attachments += 1
            removed.files += [bytes(sha2).hex()] if in_file else []


def _named(payload: str) -> Iterator[bytes]:
    stored = msgspec.json.decode(payload, type=_Stored)
    for one in (*stored.attachments, *stored.object.attachments):
        yield bytes.fromhex(one.sha2)


def remove_files(files: Files | None, names: Sequence[str]) -> None:
    """Remove the files of attachments that are gone; one that is left is swept a day later."""
    for name in names if files else ():
        files.remove(name)  # type: ignore[union-attr]  # asked one line above


def remove_terms(session: Session, agents: Collection[str]) -> int:
    """Forget agents by which no statement is found any more; gives how many."""
    return driver(session).execute(_DROP_TERMS, [_term_ids(session, agents)]).rowcount


def remove_documents(session: Session, agents: Collection[str]) -> int:
    """Delete activity state and agent profiles of agents; gives how many."""
    found = text("delete from document where agent = any(cast(:agents as text[]))")
    return int(session.execute(found, {"agents": sorted(agents)}).rowcount)  # type: ignore[attr-defined]


def clean_document(session: Session, digest: bytes, is_erased: IsErased) -> bool:
    """Take the person out of a document, or delete it where that cannot be done; gives whether they came in."""
    row = session.get(models.Document, digest, with_for_update=True)
    if row is None:
        return False
    names = f"{row.document_id}\n{row.activity or ''}"
    content = _cleaned(row.content, is_erased)
    if content == row.content and erasing.clean(names, is_erased) == names:
        return False
    if content is None or content == row.content:
        session.delete(row)  # its name tells, which others know it by
    else:
        row.content, row.etag, row.updated = content, documents.etag_of(content), datetime.now(UTC)
    session.flush()
    return True


def clean_refused(session: Session, number: int, is_erased: IsErased) -> bool:
    """Take the person's statements out of a refused request, or drop it; gives whether they came in."""
    row = session.get(
        models.RefusedRequest, number, options=[undefer(models.RefusedRequest.body)], with_for_update=True
    )
    if row is None:
        return False
    body = _without(row.body, is_erased)
    if body is None or erasing.clean(row.query, is_erased) != row.query:
        session.delete(row)
    else:
        reasons = [erasing.without(one, is_erased) for one in row.reasons]
        if body == row.body and reasons == row.reasons:
            return False
        row.body, row.size, row.reasons, row.digest = body, len(body), reasons, hashlib.sha256(body).digest()
    session.flush()
    return True


def _without(body: bytes, is_erased: IsErased) -> bytes | None:
    """Give a list of statements without those that name the person; None: nothing is left, or it cannot be cut up."""
    try:
        sent = exact.read(body)
    except (ValueError, RecursionError):
        told = body.decode(errors="replace")
        return body if erasing.clean(told, is_erased) == told else None
    listed = sent if isinstance(sent, list) else [sent]
    kept = [one for one in listed if erasing.without(one, is_erased) == one]
    if len(kept) == len(listed):
        return body
    return exact.write(kept).encode() if kept else None


def _cleaned(content: bytes, is_erased: IsErased) -> bytes | None:
    try:
        return erasing.json(content.decode(), is_erased).encode()
    except (ValueError, RecursionError):
        pass
    try:
        return erasing.clean(content.decode(), is_erased).encode()
    except ValueError:
        return None


def actor_names(session: Session, agents: Collection[str], *, limit: int) -> set[str]:
    """Give what these agents were called as actors of the newest statements, at most so many looked at."""
    keys = [terms.direct_key(one) for one in _term_ids(session, agents)]
    newest = select(models.Mention.seq).where(models.Mention.key.in_(keys))
    newest = newest.order_by(models.Mention.seq.desc()).limit(limit)
    found = set()
    for payload in session.scalars(select(models.Statement.payload).where(models.Statement.seq.in_(newest))):
        actor = msgspec.json.decode(payload).get("actor", {})
        if isinstance(actor.get("name"), str) and set(erasing.keys_of(actor)) & set(agents):
            found.add(actor["name"])
    return found


def _term_ids(session: Session, agents: Collection[str]) -> list[int]:
    return list(terms.find(session, [Term("agent", one) for one in agents]).values())
