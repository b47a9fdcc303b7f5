"""Many statements at once: taken from files and from other LRSs, given out to files, and how far each has come.

What is taken meets the rules that it would meet over HTTP (Communication 2.1.2), with three differences: a statement
that is refused keeps no other out; one without an id is given one that is the same when it is taken again; and its
xAPI version is the one it names, else 1.0.3, since no header says it.

`stored` and `authority` are ours (Data 2.4.8 and 2.4.9: the LRS sets them), so those that came along are not kept.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from lrs import attachments, authors, credentials, erased, intake, queries
from lrs.database import driver
from lrs.errors import Conflict, Forbidden, Invalid, LrsError, NotFound, Rule
from lrs.files import Files
from lrs.horizon import horizon
from lrs.models import BulkPosition, Credential, Statement
from lrs.store import Author, Incoming, Repair, store
from lrs.xapi import equality, parameters, repairs, scopes, validation
from lrs.xapi.multipart import Part
from lrs.xapi.streams import START, Changed, Piece, Position, Stream
from lrs.xapi.structs import Statement as Valid
from lrs.xapi.versions import Version

__all__ = [
    "BATCH",
    "BATCH_BYTES",
    "PAGE",
    "START",
    "Changed",
    "Piece",
    "Position",
    "Sent",
    "Stream",
    "Taken",
    "Whole",
    "author",
    "forget",
    "keep",
    "keys",
    "made_id",
    "pages",
    "state",
    "take",
]

BATCH = 500
"""Statements in one transaction: the price of a commit is shared by so many that it no longer counts."""
BATCH_BYTES = 4 * 1024 * 1024
"""A batch ends here, however few they are, so that memory stays flat."""
PAGE = 500
NAME = "import"
"""The credential that bulk work goes by when none is named."""

_SAME_ID = Rule(
    "an id stands for one statement for ever", "2.3.1", "Keep the stored one, or give this one an id of its own."
)
_RESULT = Rule(
    "a file of statements is a JSON array or has a statement a line",
    None,
    "Import the array under its `statements` alone, as `jq .statements` writes it; `lrs-bridge statement pull` follows "
    "`more`.",
)
_KNOWN = "select id, payload from statement where id = any(%s)"
_NAMESPACE = uuid.UUID("0b0e4dbf-52f5-4c43-8f43-9c5a4f1f9f38")
"""Of the ids that are made here; any fixed value would do."""


class Whole(NamedTuple):
    """A statement with its attachments, as the body of a request or an answer (Communication 1.5)."""

    content_type: str
    body: bytes


class Sent(NamedTuple):
    """A statement to be taken."""

    text: bytes
    made_id: str
    """Its id, should it have none."""
    whole: Whole | None = None
    """The statement once more, with what is attached to it."""

    @property
    def size(self) -> int:
        """What it takes in memory, near enough."""
        return len(self.text) + (len(self.whole.body) if self.whole else 0)


@dataclass
class Taken:
    """What became of a batch."""

    stored: int = 0
    known: int = 0
    """Stored already, and equal."""
    repaired: int = 0
    """Of those stored."""
    erased: int = 0
    """Not stored, for they are an erased person's (`lrs.erased`)."""
    refused: list[tuple[int, LrsError]] = field(default_factory=list)
    """Place in the batch, from 0, and why."""


class _Result(msgspec.Struct):
    """What an LRS answers to a query (Data 2.5)."""

    statements: list[Raw]


class _Read(NamedTuple):
    place: int
    incoming: Incoming
    parts: Mapping[str, Part]
    """What was sent along, by sha2."""


def made_id(position: Position) -> str:
    """Give the id for a statement that has none: made of all that its stream holds up to its end.

    So it is the same when the stream is read again, also when it has grown since, and two statements alike in one
    stream are two.
    """
    return str(uuid.uuid5(_NAMESPACE, position.digest))


def take(
    session: Session, batch: Sequence[Sent], *, author: Author, lenient: bool = False, files: Files | None = None
) -> Taken:
    """Store what is valid and new; the caller commits.

    `lenient` repairs what `lrs.xapi.faults` lists; `files` is for large attachments.
    """
    taken = Taken()
    todo = _read_all(batch, taken, lenient=lenient)
    while todo:
        now, todo = _distinct(todo)
        _store(session, _unknown(session, now, taken), taken, author, files)
    taken.refused.sort(key=lambda one: one[0])
    return taken


def _read_all(batch: Sequence[Sent], taken: Taken, *, lenient: bool) -> list[_Read]:
    read = []
    for place, sent in enumerate(batch):
        try:
            incoming, parts = _read_whole(sent.whole, lenient) if sent.whole else (_read(sent.text, lenient), {})
        except LrsError as err:
            taken.refused.append((place, _result_fault(sent.text) or err))
            continue
        if incoming.statement.id is UNSET:
            incoming.statement.id = sent.made_id
        read.append(_Read(place, incoming, parts))
    return read


def _result_fault(text: bytes) -> Invalid | None:
    """Tell of an answer to a query, saved and taken for a statement; None for anything else."""
    try:
        result = msgspec.json.decode(text, type=_Result)
    except (ValueError, RecursionError):
        return None
    return Invalid(f"This is no statement, but an answer that holds {len(result.statements)} of them.", _RESULT)


def _read(text: bytes, lenient: bool) -> Incoming:  # noqa: FBT001  private, and named where it is called from outside
    try:
        return Incoming(Raw(text), _validate(text))
    except Invalid:
        repaired = repairs.repair(text, Version.TWO) if lenient else None
        if repaired is None:
            raise
    written = json.dumps([one._asdict() for one in repaired.repairs])
    return Incoming(Raw(repaired.text), _validate(repaired.text), Repair(text.decode(), written))


def _read_whole(whole: Whole, lenient: bool) -> tuple[Incoming, Mapping[str, Part]]:  # noqa: FBT001  as above
    request = intake.Sent("POST", "", whole.content_type, Version.TWO, whole.body)
    try:
        batch = intake.read(request, lenient=lenient)
    except intake.InvalidBatch as err:
        raise err.errors[0] from err
    return batch.incoming[0], batch.parts


def _validate(text: bytes) -> Valid:
    try:
        return validation.validate(text, Version.ONE)
    except Invalid:
        statement = validation.validate(text, Version.TWO)
        if statement.version is UNSET:
            raise
        return statement


def _distinct(read: list[_Read]) -> tuple[list[_Read], list[_Read]]:
    """Part statements into those with ids of their own and those of an id that came before."""
    first: dict[str, _Read] = {}
    later = [one for one in read if first.setdefault(_id(one), one) is not one]
    return list(first.values()), later


def _unknown(session: Session, read: list[_Read], taken: Taken) -> list[_Read]:
    """Give those that are not stored yet."""
    ids = [uuid.UUID(_id(one)) for one in read]
    # Not by SQLAlchemy: with a parameter for each id it took longer than all else here.
    known = {str(stored_id): payload for stored_id, payload in driver(session).execute(_KNOWN, [ids])}
    for one in read:
        if (stored := known.get(_id(one))) is None:
            continue
        sent = bytes(one.incoming.text).decode()
        if equality.equal(sent, stored) or erased.same(driver(session), sent, stored):
            taken.known += 1
        else:
            error = f"Another statement is stored under the id {_id(one)}."
            taken.refused.append((one.place, Conflict(error, _SAME_ID, pointer="/id")))
    return [one for one in read if _id(one) not in known]


def _store(session: Session, read: list[_Read], taken: Taken, author: Author, files: Files | None) -> None:
    """Store all but those that `store` refuses, each of which begins it anew; few are ever refused so late."""
    connection = driver(session)
    if sifted := erased.sift(connection, [one.incoming for one in read]):
        taken.erased += len(sifted.out)
        read = [read[place]._replace(incoming=one) for place, one in sifted.incoming]
    held = attachments.lay_down(connection, {sha2: part for one in read for sha2, part in one.parts.items()}, files)
    while read:
        connection.execute("savepoint bulk")
        try:
            store(connection, [one.incoming for one in read], author=author, version=Version.ONE)
        except LrsError as err:
            if err.index is None:
                raise
            connection.execute("rollback to savepoint bulk")
            taken.refused.append((read.pop(err.index).place, err))
        else:
            attachments.keep(connection, held, [(_id(one), one.incoming.statement) for one in read if one.parts])
            taken.stored += len(read)
            taken.repaired += sum(one.incoming.repair is not None for one in read)
            return


def _id(one: _Read) -> str:
    return str(one.incoming.statement.id).lower()


# --- on whose behalf -------------------------------------------------------------------------------------------------


def author(session: Session, key: str | None, *, base_url: str, secret_key: str, name: str = NAME) -> Author:
    """Give whom the statements of bulk work are by: a credential in force, or that of this name, made when missing.

    Raises NotFound, and Forbidden when the credential may not write.
    """
    wanted = Credential.key == key if key else Credential.name == name
    found = select(Credential).where(wanted, Credential.revoked_at.is_(None)).order_by(Credential.id).limit(1)
    credential = session.scalar(found)
    if credential is None and key is None:
        # Nobody learns its secret, so nobody can call with it.
        credentials.create(session, name=name, scopes=["statements/write", "define"], secret_key=secret_key)
        credential = session.scalars(found).one()
    if credential is None:
        raise NotFound(f"There is no credential with the key {key!r} in force.")
    if set(scopes.WRITE).isdisjoint(credential.scopes):
        raise Forbidden(f"The credential {credential.name!r} may not store statements.")
    return authors.author(credential.id, credential.key, credential.name, credential.scopes, base_url=base_url)


def keys(session: Session) -> list[str]:
    """Give the keys of the credentials in force."""
    return list(session.scalars(select(Credential.key).where(Credential.revoked_at.is_(None))))


# --- how far it has come ---------------------------------------------------------------------------------------------


def state(session: Session, work: str) -> dict[str, Any] | None:
    """Give what was kept of a piece of work; None when there is nothing."""
    return session.scalar(select(BulkPosition.state).where(BulkPosition.work == work))


def keep(session: Session, work: str, state: Mapping[str, Any]) -> None:
    """Keep how far a piece of work has come."""
    values = {"state": dict(state), "updated_at": func.now()}
    session.execute(
        insert(BulkPosition).values(work=work, **values).on_conflict_do_update(index_elements=["work"], set_=values)
    )


def forget(session: Session, work: str) -> None:
    """Drop what was kept of a piece of work that is done."""
    session.execute(delete(BulkPosition).where(BulkPosition.work == work))


# --- giving out ------------------------------------------------------------------------------------------------------


def pages(session: Session, asked: Mapping[str, str], *, with_voided: bool = False) -> Iterator[list[str]]:
    """Give the JSON texts of all that a query finds and that was there when it began, oldest first, page by page.

    `asked` are parameters of the statements resource (Communication 2.1.3); raises Invalid. `with_voided` gives voided
    statements too, and goes with since and until alone.
    """
    query = parameters.parse({name: [value] for name, value in asked.items()})
    if with_voided and set(asked) - {"since", "until"}:
        raise Invalid("Voided statements are found by no filter but since and until.")
    newest = horizon(session)
    until = newest if query.until is None else min(query.until, newest)
    query = replace(query, limit=PAGE, ascending=True, until=until)
    return _pages(session, query, _read_everything if with_voided else queries.find)


def _pages(session: Session, query: parameters.Query, read: Callable[..., queries.Page]) -> Iterator[list[str]]:
    after = None
    while True:
        page = read(session, query, after=after)
        if page.payloads:
            yield page.payloads
        if page.next is None:
            return
        after = page.next


def _read_everything(session: Session, query: parameters.Query, *, after: int | None) -> queries.Page:
    since = max(after or -1, query.since or -1)
    rows = session.execute(
        select(Statement.seq, Statement.payload)
        .where(Statement.seq > since, Statement.seq <= query.until)
        .order_by(Statement.seq)
        .limit(PAGE + 1)
    ).all()
    more = len(rows) > PAGE
    return queries.Page([payload for _, payload in rows[:PAGE]], rows[PAGE - 1].seq if more else None)
