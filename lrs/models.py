"""The LRS's tables.

    credential
    statement ──< mention >── term        what a statement is found by
        └──────< reference                the statement it points at, and whether to void it

`mention` and `reference` carry no foreign keys: only `lrs.store` writes them, in the transaction that writes the
statement, and a trigger for each of some seven mentions a statement would cost more than the insert itself.
"""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from lrs.database import Base, Instant, TransactionId


class Credential(Base):
    """Who may call: a key and secret (HTTP Basic), or somebody whom an OpenID provider vouches for (bearer tokens)."""

    __tablename__ = "credential"
    __table_args__ = (
        UniqueConstraint("issuer", "subject"),
        CheckConstraint(
            "(secret_hash is null) = (issuer is not null and subject is not null)", name="secret_or_issuer"
        ),
        CheckConstraint("deduplicate_seconds > 0", name="deduplicate_seconds_above_0"),
        CheckConstraint("requests_per_minute > 0", name="requests_per_minute_above_0"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    """Whose it is, for people; also the name of the authority in what it stores."""
    key: Mapped[str] = mapped_column(Text, unique=True)
    secret_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    """HMAC-SHA256 of the secret under the app's secret key; the secret has 256 random bits and needs no slow hash."""
    former_secret_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The secret before the last rotation, taken until `former_until`, so that a client can be told in peace."""
    former_until: Mapped[datetime | None] = mapped_column(Instant)
    issuer: Mapped[str | None] = mapped_column(Text)
    """`iss` of the tokens of somebody without a secret; scopes are then those of each token, and none stand here."""
    subject: Mapped[str | None] = mapped_column(Text)
    """`sub` of the tokens."""
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    last_used_at: Mapped[datetime | None] = mapped_column(Instant)
    """To the minute: busy clients do not write it with every request."""
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)
    lenient: Mapped[bool] = mapped_column(server_default=false(), default=False)
    """Repair a documented list of faults in what it sends, instead of refusing it."""
    partial: Mapped[bool] = mapped_column(server_default=false(), default=False)
    """Store the valid statements of a batch that holds invalid ones."""
    deduplicate_seconds: Mapped[int | None]
    """Take a statement without id that equals one stored by it within so long for the same."""
    requests_per_minute: Mapped[int | None]
    """More are answered with 429; none: no limit."""


class Statement(Base):
    """A statement, as received."""

    __tablename__ = "statement"
    # Serves `read_after` with 8 lanes; the expression must stay as the query has it.
    __table_args__ = (Index("ix_statement_lane", text("(seq % 8)"), "xid", "seq"),)

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """`stored` in microseconds since 1970, made unique and rising by `take_statement_numbers` (migration 0001).

    So order by seq is order by stored, and `since` and `until` are ranges of seq.
    """
    id: Mapped[uuid.UUID] = mapped_column(Uuid, unique=True)
    xid: Mapped[int] = mapped_column(TransactionId, server_default=func.pg_current_xact_id())
    stored: Mapped[datetime] = mapped_column(Instant)
    credential_id: Mapped[int] = mapped_column(BigInteger)
    """Who sent it; what the scope statements/read/mine goes by. No foreign key: a hot row, locked by every insert."""
    payload: Mapped[str] = mapped_column(Text)
    """The JSON exactly as we return it. Text, not jsonb, which would rewrite numbers and drop the order of keys."""


class Term(Base):
    """Something that statements are found by: an agent, an activity, a verb or a registration, interned."""

    __tablename__ = "term"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    """SHA-256 of kind and text: an IRI may be longer than an index entry can be."""
    kind: Mapped[str] = mapped_column(Text)
    """`agent`, `activity`, `verb` or `registration`."""
    text: Mapped[str] = mapped_column(Text)
    """The IRI or UUID; of an agent its canonical key (`lrs.xapi.terms.agent_key`)."""


class Mention(Base):
    """A statement is found by a term."""

    __tablename__ = "mention"

    key: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Twice the term's id, plus 1 when only related_agents or related_activities finds the statement by it."""
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class Reference(Base):
    """A statement's object is a StatementRef; its target may not be there (yet)."""

    __tablename__ = "reference"
    __table_args__ = (Index("ix_reference_target", "target"),)

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    target: Mapped[uuid.UUID] = mapped_column(Uuid)
    voids: Mapped[bool]


class Attachment(Base):
    """The bytes of an attachment (Data 2.4.11), once for all statements; what they are is said by each statement."""

    __tablename__ = "attachment"

    sha2: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """As sent, in bytes; its length says which SHA-2 it is."""
    length: Mapped[int] = mapped_column(BigInteger)
    data: Mapped[bytes | None] = mapped_column(LargeBinary)
    """None: it lies outside of the database (`lrs.files`)."""


class StatementAttachment(Base):
    """An attachment came with a statement: who may read the one may read the other."""

    __tablename__ = "statement_attachment"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    sha2: Mapped[bytes] = mapped_column(ForeignKey(Attachment.sha2), primary_key=True)


class ActivityDefinition(Base):
    """A definition that some statement gave an activity; `lrs.activities` merges those of one activity."""

    __tablename__ = "activity_definition"

    term_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """SHA-256 of the definition: only what differs is kept, so a hot activity is written once."""
    seq: Mapped[int] = mapped_column(BigInteger)
    """Of the statement that gave it first."""
    definition: Mapped[str] = mapped_column(Text)
    """JSON text."""


class BulkPosition(Base):
    """How far an import or a pull has come (`lrs.bulk`); written in the transaction that stores the statements."""

    __tablename__ = "bulk_position"

    work: Mapped[str] = mapped_column(Text, primary_key=True)
    """Names what is read, on whose behalf and how."""
    state: Mapped[dict[str, Any]] = mapped_column(JSONB)
    updated_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class Repair(Base):
    """What a lenient credential sent in place of a statement, and what was done to make it one (`lrs.xapi.faults`)."""

    __tablename__ = "repair"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    original: Mapped[str] = mapped_column(Text)
    """The JSON text exactly as it was sent."""
    repairs: Mapped[list[dict[str, str]]] = mapped_column(JSONB)
    """Each with `fault` and `pointer`, which goes into the original."""


class RefusedRequest(Base):
    """A request of an authenticated client that was refused for what it said, kept to be replayed."""

    __tablename__ = "refused_request"
    __table_args__ = (
        Index("ix_refused_request_credential_id_id", "credential_id", "id"),
        # What is sent again and refused again is counted; what was replayed since is another matter.
        Index(
            "uq_refused_request_waiting",
            "credential_id",
            "digest",
            unique=True,
            postgresql_where=text("replayed_at is null"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    credential_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("credential.id"))
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of all that was sent: method, query, content type, version, body."""
    method: Mapped[str] = mapped_column(Text)
    query: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    """As it was sent; PostgreSQL compresses it."""
    size: Mapped[int] = mapped_column(BigInteger)
    """Of the body, in bytes."""
    statements: Mapped[int | None]
    """None when the body could not be cut into statements."""
    status: Mapped[int]
    """What it was answered with."""
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """The errors as the client was told them."""
    times: Mapped[int] = mapped_column(server_default=text("1"))
    """How often the same was sent and refused."""
    received_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    last_received_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    replayed_at: Mapped[datetime | None] = mapped_column(Instant)
    """When its statements were stored after all."""


class SentContent(Base):
    """The content of a statement that came without an id, so that it is known when it comes again."""

    __tablename__ = "sent_content"
    __table_args__ = (Index("ix_sent_content_credential_id_sent_at", "credential_id", "sent_at"),)

    credential_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """`lrs.xapi.content.digest`."""
    statement_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    sent_at: Mapped[datetime] = mapped_column(Instant)


class Document(Base):
    """A document of the State, Activity Profile or Agent Profile Resource, as it was sent."""

    __tablename__ = "document"
    __table_args__ = (Index("ix_document_context_updated", "context", "updated"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """SHA-256 of context and document id: ids may be longer than an index entry can be."""
    context: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of resource, activity, agent and registration."""
    resource: Mapped[str] = mapped_column(Text)
    """`state`, `activity_profile` or `agent_profile`."""
    activity: Mapped[str | None] = mapped_column(Text)
    agent: Mapped[str | None] = mapped_column(Text)
    """The canonical key, as in `Term.text`."""
    registration: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    document_id: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str | None] = mapped_column(Text)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    etag: Mapped[str] = mapped_column(Text)
    """SHA-1 of the content, in hexadecimal digits."""
    updated: Mapped[datetime] = mapped_column(Instant)


class ErasedAgent(Base):
    """An agent whose statements are not taken in, by nothing but a keyed hash (`lrs.erased`)."""

    __tablename__ = "erased_agent"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    erasure: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """A number of the caller's, by which all agents of one person are known."""
    kept_out: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    """Statements that came since and were not taken in, or not whole."""
    last_at: Mapped[datetime | None] = mapped_column(Instant)
