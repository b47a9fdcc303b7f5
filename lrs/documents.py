"""Documents in the database (xAPI 1.0.3, Communication 2.2): whole contents under an id, in a context.

A write holds a lock from before it looks at the document until its transaction ends, also where there is no document
yet: of two writers that come on the same state of a document, one finds that it has changed. Profiles are locked one
by one; of state, which can be deleted as a whole, the context.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete as deletion
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from lrs import erased, models
from lrs.database import driver
from lrs.errors import NotFound
from lrs.xapi import documents as rules
from lrs.xapi.documents import Context, Preconditions
from lrs.xapi.versions import Version

_LOCK = 0x4C8 << 52
"""Marks these among the advisory locks (0x4C5 to 0x4C7: migrations 0001 and 0007); 52 bits of the digest follow."""


class Document(NamedTuple):
    """A document as it was sent."""

    content_type: str | None
    content: bytes
    etag: str
    updated: datetime


class Ids(NamedTuple):
    """The ids of a context's documents."""

    ids: list[str]
    """In the order in which they were last updated."""
    updated: datetime | None
    """When the last of them was; None when there are none."""


def get(session: Session, context: Context, document_id: str) -> Document:
    """Give one document; raises NotFound."""
    document = _find(session, context, document_id)
    if document is None:
        raise NotFound(f"There is no document {document_id!r} here.")
    return document


def ids(session: Session, context: Context, *, since: datetime | None = None) -> Ids:
    """Give the ids of a context's documents, or of those updated after `since`."""
    table = models.Document
    query = select(table.document_id, table.updated).where(table.context == context.digest).order_by(table.updated)
    if since is not None:
        query = query.where(table.updated > since)
    found = session.execute(query).all()
    return Ids([row.document_id for row in found], found[-1].updated if found else None)


def put(
    session: Session,
    context: Context,
    document_id: str,
    content: tuple[str | None, bytes],
    *,
    given: Preconditions,
    version: Version,
    lenient: bool = False,
) -> None:
    """Store a document, Content-Type and contents, in place of what is there (3.1).

    Raises PreconditionFailed, Conflict and Invalid, as `lrs.xapi.documents.check_put` says.
    """
    if erased.is_agent(driver(session), context.agent):
        return  # answered as if it had been, as with statements
    _lock(session, context, document_id)
    etag = _find_etag(session, context, document_id)
    rules.check_put(context.resource, version, given, etag, lenient=lenient)
    _write(session, context, document_id, content)


def post(
    session: Session, context: Context, document_id: str, content: tuple[str | None, bytes], *, given: Preconditions
) -> None:
    """Merge a document into the one that is there, or store it when there is none (2.2).

    Raises PreconditionFailed, and Invalid where the two are not JSON objects.
    """
    rules.check_posted(*content)
    if erased.is_agent(driver(session), context.agent):
        return
    _lock(session, context, document_id)
    existing = _find(session, context, document_id)
    given.check(existing.etag if existing else None)
    if existing is None:
        _write(session, context, document_id, content)
    else:
        merged = rules.merge((existing.content_type, existing.content), content)
        _write(session, context, document_id, (existing.content_type, merged))


def delete(session: Session, context: Context, document_id: str, *, given: Preconditions) -> None:
    """Delete a document, or find that there is none; raises PreconditionFailed."""
    _lock(session, context, document_id)
    given.check(_find_etag(session, context, document_id))
    session.execute(deletion(models.Document).where(models.Document.digest == context.digest_of(document_id)))


def delete_all(session: Session, context: Context, *, given: Preconditions) -> None:
    """Delete all state of a context (2.3); it has no ETag, so an If-Match raises PreconditionFailed."""
    _lock(session, context, None)
    given.check(None)
    session.execute(deletion(models.Document).where(models.Document.context == context.digest))


def _lock(session: Session, context: Context, document_id: str | None) -> None:
    # In a trip of its own: what the same SQL statement read, it would have read before it waited.
    digest = context.digest if document_id is None or context.resource.is_state else context.digest_of(document_id)
    session.execute(select(func.pg_advisory_xact_lock(_LOCK | int.from_bytes(digest[:7]) >> 4)))


def _find(session: Session, context: Context, document_id: str) -> Document | None:
    table = models.Document
    row = session.execute(
        select(table.content_type, table.content, table.etag, table.updated).where(
            table.digest == context.digest_of(document_id)
        )
    ).one_or_none()
    return None if row is None else Document(*row)


def _find_etag(session: Session, context: Context, document_id: str) -> str | None:
    digest = context.digest_of(document_id)
    return session.scalar(select(models.Document.etag).where(models.Document.digest == digest))


def _write(session: Session, context: Context, document_id: str, content: tuple[str | None, bytes]) -> None:
    content_type, body = content
    changes = {
        "content_type": content_type,
        "content": body,
        "etag": rules.etag_of(body),
        # Not the transaction's beginning: this one may have waited for another that is younger.
        "updated": func.clock_timestamp(),
    }
    row = insert(models.Document).values(
        digest=context.digest_of(document_id),
        context=context.digest,
        resource=context.resource.name,
        activity=context.activity,
        agent=context.agent,
        registration=context.registration,
        document_id=document_id,
        **changes,
    )
    session.execute(row.on_conflict_do_update(index_elements=[models.Document.digest], set_=changes))
