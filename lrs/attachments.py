"""The bytes of attachments: kept once for each hash, given to whoever may read a statement that they came with.

Small ones lie in the database, larger ones in files (`lrs.files`) where there is a place for them. A file is written,
and lasts, before the transaction that tells of it begins: a crash between leaves a file that no row names, which
`sweep` removes when it has lain there for a day.
"""

import re
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from psycopg import Connection
from sqlalchemy import LargeBinary, func, select
from sqlalchemy.orm import Session

from lrs.errors import Unavailable
from lrs.files import Files
from lrs.models import Attachment, Statement, StatementAttachment
from lrs.xapi import multipart, structs
from lrs.xapi.multipart import Part

IN_DATABASE_BYTES = 1_000_000
"""Larger ones go to files: PostgreSQL's backups and replicas should not carry films."""
_PIECE_BYTES = 1 << 20
"""What is in memory of an attachment on its way out."""
_GROUP_BYTES = 4 << 20
"""What goes to the database in one message."""

_KNOWN = "select sha2 from attachment where sha2 = any(%b)"
_INSERT = """
    insert into attachment (sha2, length, data)
    select sha2, length, data from unnest(%b::bytea[], %b::bigint[], %b::bytea[]) as new (sha2, length, data)
    on conflict do nothing
"""
_LINK = """
    insert into statement_attachment (seq, sha2)
    select seq, sha2 from unnest(%b::uuid[], %b::bytea[]) as named (id, sha2) join statement using (id)
    on conflict do nothing
"""


class Held(NamedTuple):
    """An attachment that can be kept now."""

    sha2: bytes
    length: int
    data: memoryview | None
    """None: it lies in a file."""


def lay_down(connection: Connection[Any], parts: Mapping[str, Part], files: Files | None) -> dict[str, Held]:
    """Write what is too large for the database to files, unless it is there; gives what `keep` takes.

    To be called with statements that are valid, and before `store` takes its locks: it takes its time.
    """
    large = {bytes.fromhex(sha2): one.data for sha2, one in parts.items() if len(one.data) > IN_DATABASE_BYTES}
    if files and large:
        for sha2 in large.keys() - _known(connection, large):
            files.put(sha2.hex(), large[sha2])
    return {
        sha2: Held(digest := bytes.fromhex(sha2), len(one.data), None if files and digest in large else one.data)
        for sha2, one in parts.items()
    }


def keep(connection: Connection[Any], held: Mapping[str, Held], named: Sequence[tuple[str, structs.Statement]]) -> None:
    """Keep the attachments that statements name, in the transaction that stored these; `named`: with their ids.

    A statement that was stored before, and is equal to what was sent now with the attachment, has it from now on.
    """
    if not held:
        return
    links = [(uuid.UUID(given), held[sha2].sha2) for given, one in named for sha2 in multipart.named(one, held)]
    wanted = {sha2 for _, sha2 in links}
    cursor = connection.cursor()
    known = _known(connection, wanted)
    # In order, so that two writers of the same attachments never wait for each other in a circle.
    for group in _groups(sorted(one for one in held.values() if one.sha2 in wanted - known)):
        cursor.execute(_INSERT, [list(column) for column in zip(*group, strict=True)])
    if links:
        cursor.execute(_LINK, [list(column) for column in zip(*links, strict=True)])


def _known(connection: Connection[Any], hashes: Collection[bytes]) -> set[bytes]:
    return {sha2 for (sha2,) in connection.execute(_KNOWN, [list(hashes)])}


def _groups(held: Iterable[Held]) -> Iterator[list[Held]]:
    """Cut into groups that are not too large for one message, unless a single one is."""
    group: list[Held] = []
    size = 0
    for one in held:
        here = len(one.data or b"")
        if group and size + here > _GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(one)
        size += here
    if group:
        yield group


# --- on their way out ------------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """An attachment that came with a statement."""

    sha2: str
    """As the statement writes it."""
    content_type: str
    length: int
    in_database: bool


def find(session: Session, payloads: Iterable[str]) -> list[Found]:
    """Give the attachments that came with stored statements, each once, in the order in which these name them."""
    statements = [_read(payload) for payload in payloads if '"attachments":' in payload]
    rows = session.execute(
        select(Statement.id, Attachment.sha2, Attachment.length, Attachment.data.is_not(None))
        .join(StatementAttachment, StatementAttachment.seq == Statement.seq)
        .join(Attachment, Attachment.sha2 == StatementAttachment.sha2)
        .where(Statement.id.in_([one.id for one in statements]))
    )
    came = {(statement_id, sha2): (length, inside) for statement_id, sha2, length, inside in rows}
    found: dict[bytes, Found] = {}
    for one in statements:
        for named in (*one.attachments, *one.object.attachments):
            sha2 = bytes.fromhex(named.sha2)
            if (one.id, sha2) in came:
                found.setdefault(sha2, Found(named.sha2, named.content_type, *came[one.id, sha2]))
    return list(found.values())


def pieces(session: Session, found: Found, files: Files | None) -> Iterator[bytes]:
    """Give the bytes of an attachment, piece by piece; holds no connection while a slow client takes one.

    Raises Unavailable when they lie in a file that cannot be reached.
    """
    sha2 = bytes.fromhex(found.sha2)
    for start in range(0, found.length, _PIECE_BYTES):
        if not found.in_database:
            if files is None:
                raise Unavailable("An attachment lies in a file, and no place for files is set.")
            yield files.read(sha2.hex(), start, min(_PIECE_BYTES, found.length - start))
            continue
        piece = func.substring(Attachment.data, start + 1, _PIECE_BYTES, type_=LargeBinary)
        data = session.scalars(select(piece).where(Attachment.sha2 == sha2)).one()
        session.rollback()
        yield data


class _Named(msgspec.Struct):
    sha2: str
    content_type: str = msgspec.field(name="contentType")


class _Object(msgspec.Struct):
    attachments: list[_Named] = []


class _Stored(msgspec.Struct):
    id: uuid.UUID
    object: _Object
    attachments: list[_Named] = []


_read = msgspec.json.Decoder(_Stored).decode


# --- sweeping --------------------------------------------------------------------------------------------------------

# A foreign file is left alone.
_OURS = re.compile(r"([0-9a-f]{56,128})(\.[0-9a-f]+)?")


def sweep(session: Session, files: Files, *, before: datetime) -> int:
    """Remove the files that were put before an instant and that no row names; gives their number.

    The instant lies a day back or more, because a file comes before its row. Ends the transaction.
    """
    removed = 0
    for name in files.before(before):
        ours = _OURS.fullmatch(name)
        if ours and not (ours[2] is None and _is_named(session, bytes.fromhex(name))):
            files.remove(name)
            removed += 1
    return removed


def _is_named(session: Session, sha2: bytes) -> bool:
    """Tell whether the bytes of a hash lie in a file."""
    row = select(Attachment.sha2).where(Attachment.sha2 == sha2, Attachment.data.is_(None))
    found = session.scalar(row) is not None
    session.rollback()
    return found
