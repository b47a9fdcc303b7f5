"""Statements on their way in: from a request to what `lrs.store` takes, as strict as the credential asks for.

Strict, the default: what the specification refuses is refused, the whole batch for one statement (Communication 2.1.2).
Lenient: what is on the list of `lrs.xapi.faults` is repaired first. Partial: a batch may be stored but for the
statements that are refused. A request that waits in quarantine takes the same road when it is replayed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec
from msgspec import UNSET, Raw
from psycopg import Connection

from lrs import attachments, duplicates, erased
from lrs import store as statements
from lrs.errors import Invalid, LrsError, Rule
from lrs.files import Files
from lrs.store import Author, Incoming, Repair
from lrs.xapi import multipart, parameters, repairs, signatures, times, validation
from lrs.xapi.multipart import Part, Received
from lrs.xapi.structs import Statement
from lrs.xapi.versions import Version

MAX_ERRORS = 100
"""So many are told of one batch; how many there are is told as well."""

_NO_PARAMETERS = Rule("a POST has no query parameters", "Communication 2.1.2", "Drop them, or use GET or PUT.")
_STATEMENT_ID = Rule(
    "a PUT names the statement by the parameter statementId, once and alone", "Communication 2.1.1", "Add it."
)
_SAME_ID = Rule("statementId is the id of the statement", "Communication 2.1.1", "Send the same id in both places.")
_ONE = Rule("a PUT carries one statement", "Communication 2.1.1", "Send a list with POST.")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Sent(NamedTuple):
    """A request that stores statements, as it was sent."""

    method: str
    """POST or PUT."""
    query: str
    content_type: str
    version: Version
    body: bytes


class Refusal(NamedTuple):
    """A statement that is refused."""

    text: Raw
    error: LrsError


class Batch(NamedTuple):
    """The statements of a request, read."""

    incoming: list[Incoming]
    places: list[int]
    """Of each of these in the request, from 0."""
    refused: list[Refusal]
    """The others; none unless partial success was asked for."""
    is_list: bool
    parts: dict[str, Part]
    """What was sent along, by sha2."""


class Taken(NamedTuple):
    """What became of a batch."""

    ids: list[str | None]
    """In the order of the request; None for what was refused."""
    refused: list[Refusal]


class InvalidBatch(Invalid):
    """Statements of a request break rules; tells the first like any Invalid, and all of them under `errors`."""

    def __init__(self, errors: Sequence[LrsError]) -> None:
        first = errors[0]
        super().__init__(first.error, first.rule, pointer=first.pointer)
        self.index = first.index
        self.errors = errors

    def to_dict(self) -> dict[str, object]:
        told = [one.to_dict() for one in self.errors[:MAX_ERRORS]]
        return super().to_dict() | {"errors": told, "error_count": len(self.errors)}


# --- reading ---------------------------------------------------------------------------------------------------------


def read(sent: Sent, *, lenient: bool = False, partial: bool = False) -> Batch:
    """Read and validate the statements of a request; raises Invalid, and InvalidBatch with all faults of all of them.

    Partial leaves out what is not valid, as long as something is, and nothing was sent along.
    """
    statement_id = _statement_id(sent, lenient=lenient)
    received = _receive(sent, lenient=lenient)
    if sent.method == "PUT" and received.is_list:
        raise Invalid("The body is a list.", _ONE)
    batch = Batch([], [], [], received.is_list, received.parts)
    for place, text in enumerate(received.texts):
        try:
            incoming = _read(text, received.parts, sent.version, statement_id, lenient=lenient)
        except LrsError as err:
            err.index = place if received.is_list else None
            batch.refused.append(Refusal(text, err))
        else:
            batch.incoming.append(incoming)
            batch.places.append(place)
    if batch.refused:
        if not partial or received.parts or not batch.incoming:
            raise InvalidBatch([one.error for one in batch.refused])
    elif received.parts:
        multipart.check_named(received.parts, (one.statement for one in batch.incoming))
    return batch


def came_at(batch: Batch, instant: datetime) -> Batch:
    """Give statements that name no time the instant at which they came: stored later, they would get that (2.4.7)."""
    return batch._replace(incoming=[_came_at(one, times.to_text(instant)) for one in batch.incoming])


def _came_at(one: Incoming, timestamp: str) -> Incoming:
    if one.statement.timestamp is not UNSET:
        return one
    one.statement.timestamp = timestamp
    text = bytes(one.text).rstrip().removesuffix(b"}") + f',"timestamp":"{timestamp}"}}'.encode()
    return one._replace(text=Raw(text))


def count(sent: Sent) -> int | None:
    """Count the statements of a request; None when it cannot be cut into any."""
    try:
        return len(_receive(sent, lenient=True).texts)
    except LrsError:
        return None


def _statement_id(sent: Sent, *, lenient: bool) -> str | None:
    """Give the id that a PUT names; a lenient credential's need not (Lectora, LearningLocker#77)."""
    asked = parse_qs(sent.query, keep_blank_values=True)
    if sent.method == "POST":
        if asked:
            raise Invalid("The request has query parameters.", _NO_PARAMETERS, pointer=next(iter(asked)))
        return None
    if lenient and not asked:
        return None
    if set(asked) != {"statementId"}:
        raise Invalid("The parameters are not statementId alone.", _STATEMENT_ID, pointer="statementId")
    return str(parameters.parse(asked).statement_id)


def _name(statement: Statement, statement_id: str) -> None:
    if statement.id is not UNSET and statement.id.lower() != statement_id.lower():
        raise Invalid("The statement's id is not the statementId.", _SAME_ID, pointer="/id")
    statement.id = statement_id


def _receive(sent: Sent, *, lenient: bool) -> Received:
    """Cut the body into statements; from a lenient credential, whatever is not multipart is JSON.

    Browsers and jQuery name their own default when a script names no type, and .NET puts a byte order mark first.
    """
    if not lenient or sent.content_type.lower().startswith("multipart/mixed"):
        return multipart.receive(sent.body, sent.content_type)
    return multipart.receive(sent.body.removeprefix(_BYTE_ORDER_MARK), "application/json")


def _read(text: Raw, parts: dict[str, Part], version: Version, statement_id: str | None, *, lenient: bool) -> Incoming:
    try:
        return Incoming(text, _validate(text, parts, version, statement_id))
    except Invalid:
        repaired = repairs.repair(bytes(text), version) if lenient else None
        if repaired is None:
            raise
    told = msgspec.json.encode([one._asdict() for one in repaired.repairs]).decode()
    new = Raw(repaired.text)
    return Incoming(new, _validate(new, parts, version, statement_id), Repair(bytes(text).decode(), told))


def _validate(text: Raw, parts: dict[str, Part], version: Version, statement_id: str | None) -> Statement:
    statement = validation.validate(bytes(text), version, attached=parts)
    if statement_id is not None:
        _name(statement, statement_id)
    if statement.attachments is not UNSET:
        # Communication 1.5.2, Data 2.6.
        multipart.check(statement, parts)
        signatures.check(text, statement, parts, version)
    return statement


# --- storing ---------------------------------------------------------------------------------------------------------


def store(
    connection: Connection[Any],
    batch: Batch,
    *,
    author: Author,
    version: Version,
    deduplicate_seconds: int | None = None,
    partial: bool = False,
    files: Files | None = None,
    at_once: bool = False,
) -> Taken:
    """Store a batch in the connection's transaction; the caller commits, or rolls back on what `lrs.store` raises.

    Partial also leaves out what `lrs.store` refuses, and takes the rest again. `files`: for large attachments.
    `at_once`: the caller has nothing else to do in this transaction, and commits next.
    What is an erased person's is not stored, and has an id among the others (`lrs.erased`).
    """
    whole, sifted = batch, erased.sift(connection, batch.incoming)
    if sifted:
        batch = _only(batch, sifted.incoming)
    if at_once and not (partial or deduplicate_seconds or batch.parts or sifted):
        ids = statements.store(connection, batch.incoming, author=author, version=version, at_once=True)
        return Taken(list(ids), [])
    held = attachments.lay_down(connection, batch.parts, files)
    unnamed = [one.statement for one in batch.incoming if one.statement.id is UNSET]
    while True:
        try:
            if partial:
                connection.execute("savepoint intake")
            ids = _store(connection, batch, author, version, deduplicate_seconds)
        except LrsError as err:
            if err.index is None:
                raise
            bad, err.index = err.index, batch.places[err.index] if batch.is_list else None
            if not partial or batch.parts or len(batch.incoming) == 1:
                raise
            connection.execute("rollback to savepoint intake")
            for statement in unnamed:
                statement.id = UNSET
            batch = _without(batch, bad, err)
        else:
            break
    attachments.keep(connection, held, list(zip(ids, (one.statement for one in batch.incoming), strict=True)))
    by_place = dict(zip(batch.places, ids, strict=True))
    if sifted:
        by_place |= {whole.places[place]: given for place, given in sifted.out.items()}
    count = len(whole.incoming) + len(whole.refused)
    refused = sorted(batch.refused, key=lambda one: one.error.index or 0)
    return Taken([by_place.get(place) for place in range(count)], refused)


def _store(
    connection: Connection[Any], batch: Batch, author: Author, version: Version, deduplicate_seconds: int | None
) -> list[str]:
    if not deduplicate_seconds:
        return statements.store(connection, batch.incoming, author=author, version=version)
    window = {"credential_id": author.credential_id, "seconds": deduplicate_seconds}
    ids = duplicates.claim(connection, batch.incoming, **window)
    new = [place for place in range(len(batch.incoming)) if place not in ids]
    try:
        stored = statements.store(connection, [batch.incoming[place] for place in new], author=author, version=version)
    except LrsError as err:
        err.index = None if err.index is None else new[err.index]
        raise
    ids.update(zip(new, stored, strict=True))
    duplicates.clean(connection, **window)
    return [ids[place] for place in range(len(batch.incoming))]


def _only(batch: Batch, kept: Sequence[tuple[int, Incoming]]) -> Batch:
    named = {sha2 for _, one in kept for sha2 in multipart.named(one.statement, batch.parts)}
    return batch._replace(
        incoming=[one for _, one in kept],
        places=[batch.places[place] for place, _ in kept],
        parts={sha2: part for sha2, part in batch.parts.items() if sha2 in named},
    )


def _without(batch: Batch, place: int, err: LrsError) -> Batch:
    incoming, places = list(batch.incoming), list(batch.places)
    one = incoming.pop(place)
    del places[place]
    text = Raw(one.repair.original.encode()) if one.repair else one.text
    return batch._replace(incoming=incoming, places=places, refused=[*batch.refused, Refusal(text, err)])
