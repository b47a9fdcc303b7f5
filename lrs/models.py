"""The LRS's tables.

    credential
    statement ──< mention >── term        what a statement is found by
        └──────< reference                the statement it points at, and whether to void it

`mention` and `reference` carry no foreign keys: only `lrs.store` writes them, in the transaction that writes the
statement, and a trigger for each of some seven mentions a statement would cost more than the insert itself.
"""

import uuid
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, Identity, Index, LargeBinary, Text, Uuid, column, func, table, text
from sqlalchemy.orm import Mapped, mapped_column

from lrs.database import Base, Instant, TransactionId


class Credential(Base):
    """A key and secret that a client signs its requests with (HTTP Basic)."""

    __tablename__ = "credential"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    """Whose it is, for people; also the name of the authority in what it stores."""
    key: Mapped[str] = mapped_column(Text, unique=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    """HMAC-SHA256 of the secret under the app's secret key; the secret has 256 random bits and needs no slow hash."""
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)


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


VOIDED_STATEMENT = table("voided_statement", column("seq", BigInteger))
"""View: the statements that have been voided (Data 2.3.2), whichever of the two came first."""
