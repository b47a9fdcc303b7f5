"""The bridge's tables. Everything below `Fact` is derived and can be rebuilt from what stands above it.

Kept:     Setting, MappingVersion, MappingProblem, SourceState, SourceRecord, SourceRecordVersion, SourceProblem,
          BackfillSlice, SweepPiece, SourceToken, WebhookEvent, IdentityDecision, Erasure, ErasedWord
Derived:  Rule, Reading, ReadingLane, Learner, LearnerAttribute, Alias, RosterRow, Claim, AliasLink, IdentityProblem,
          Fact, FactHistory, Quarantine, StaleAlias, StaleLearner, Built, Record, RecordMetric
Outgoing: PublishedRow (derived too), Delivery, SentRow, Forward, ForwardLane, DeadLetter
"""

import uuid
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from lrs import Base, Instant, TransactionId


class Setting(Base):
    """A value that every process must share and that nobody gave: so far the secret key."""

    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class MappingVersion(Base):
    """One set of documents that validated; the newest is the one in force."""

    __tablename__ = "mapping_version"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    rules_hash: Mapped[str] = mapped_column(Text)
    """Of the documents that decide what facts there are (see Reading)."""
    documents: Mapped[str] = mapped_column(Text)
    """The canonical text of all documents, so that a worker needs no folder."""
    loaded_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class MappingProblem(Base):
    """Why the folders, as they are now, were refused; empty when they are in force."""

    __tablename__ = "mapping_problem"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    file: Mapped[str] = mapped_column(Text)
    line: Mapped[int | None] = mapped_column(Integer)
    column: Mapped[int | None] = mapped_column(Integer)
    text: Mapped[str] = mapped_column(Text)
    remedy: Mapped[str] = mapped_column(Text)
    seen_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class EditedDocument(Base):
    """A document that was edited over the API: it holds in place of a file's of the same kind and name."""

    __tablename__ = "edited_document"

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    by: Mapped[str] = mapped_column(Text)


class SourceState(Base):
    """How far a source has been pulled, and how the last pull went."""

    __tablename__ = "source_state"

    source: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """Opaque to us: what the connector wants to see at the next pull."""
    document_hash: Mapped[str | None] = mapped_column(Text)
    """Of the source document that the last pull went by; a changed one is due at once."""
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    succeeded_at: Mapped[datetime | None] = mapped_column(Instant)
    failed_at: Mapped[datetime | None] = mapped_column(Instant)
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    """Failed pulls, and those that had to wait, since the last one that came any further."""
    last_error: Mapped[str | None] = mapped_column(Text)
    waits_for: Mapped[str | None] = mapped_column(Text)
    """Why the system asked us to come back later, at `next_pull_at`; no error."""
    next_pull_at: Mapped[datetime | None] = mapped_column(Instant)
    """Not before then; null: at once."""
    fence: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    """Raised by each pull that begins, by pausing and by resetting: who knows a lower one may store nothing more."""
    started_after: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    """The last version of any source that had been stored when the last pull began: newer ones have greater ids."""
    paused_at: Mapped[datetime | None] = mapped_column(Instant)
    """Since then nothing is pulled, backfilled or fetched."""
    paused_why: Mapped[str | None] = mapped_column(Text)
    sweep_error: Mapped[str | None] = mapped_column(Text)
    """Why the last sweep was not believed; gone with the next one that is."""


class SourceRecord(Base):
    """One record of a source, by the key that its source document declares."""

    __tablename__ = "source_record"
    __table_args__ = (UniqueConstraint("source", "key"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)


class SourceRecordVersion(Base):
    """A source record as it was seen once; never changed, never deleted by a pull."""

    __tablename__ = "source_record_version"
    __table_args__ = (
        # The order of a record's versions. No key: one that went back to what it was has the same version again.
        Index("ix_source_record_version_newest", "record_id", text("cursor desc nulls last"), text("id desc")),
        # What `readings.unread` asks for, lane by lane; LANES stands in it.
        Index("ix_source_record_version_lane", text("mod(record_id, 8)"), "xid", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    xid: Mapped[int] = mapped_column(TransactionId, server_default=func.pg_current_xact_id())
    record_id: Mapped[int] = mapped_column(ForeignKey("source_record.id"))
    cursor: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Values of the cursor columns; orders the versions of one record."""
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    deleted: Mapped[bool] = mapped_column(server_default=false(), default=False)
    """The source says that the record is gone: it gives nothing any more."""
    pulled_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class SourceProblem(Base):
    """A row that the last full read of a source could not use; gone when the next full read can."""

    __tablename__ = "source_problem"
    __table_args__ = (Index("ix_source_problem_source", "source"), Index("ix_source_problem_slice_id", "slice_id"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    row: Mapped[int | None] = mapped_column(Integer)
    column: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str] = mapped_column(Text)
    raw: Mapped[str] = mapped_column(Text)
    seen_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    slice_id: Mapped[int | None] = mapped_column(ForeignKey("backfill_slice.id", ondelete="CASCADE"))
    """The slice of the past that it was found in: no pull reads that again, so none takes it away."""


class BackfillSlice(Base):
    """A piece [low, high) of a source's past that is read beside its pulls, with how far that has come."""

    __tablename__ = "backfill_slice"
    __table_args__ = (
        # The same piece is not planned twice while it waits.
        Index("ix_backfill_slice_open", "source", "low", "high", unique=True, postgresql_where=text("done_at is null")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    low: Mapped[datetime] = mapped_column(Instant)
    high: Mapped[datetime] = mapped_column(Instant)
    state: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """Opaque to us, as that of SourceState; null: nothing of it has been stored."""
    fence: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    """As that of SourceState."""
    planned_at: Mapped[datetime] = mapped_column(Instant)
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    done_at: Mapped[datetime | None] = mapped_column(Instant)
    failures: Mapped[int] = mapped_column(Integer, server_default="0", default=0)
    """In a row, without those that only time mends; after `backfills.MAX_FAILURES` it waits for a person."""
    last_error: Mapped[str | None] = mapped_column(Text)
    next_try_at: Mapped[datetime | None] = mapped_column(Instant)
    rows: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    """Given by the source, known versions among them."""
    versions: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    """New ones that were stored."""


class SweepPiece(Base):
    """Records that a page of a sweep named; what no piece of a complete sweep holds is gone from the source.

    A row a page instead of a mark a record: a sweep of a million records writes a thousand rows, not a million.
    """

    __tablename__ = "sweep_piece"
    __table_args__ = (Index("ix_sweep_piece_source", "source"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    number: Mapped[str] = mapped_column(Text)
    """Which sweep; those of another one are left over from a sweep that was broken off."""
    began_after: Mapped[int] = mapped_column(BigInteger)
    """`SourceState.started_after` of the pull that gave it."""
    records: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    """Their ids."""


class SourceToken(Base):
    """Tokens of a login, encrypted (`bridge.tokens`)."""

    __tablename__ = "source_token"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    updated_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class EventState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class WebhookEvent(Base):
    """What a system sent to us of its own accord: stored before it is answered, then worked off."""

    __tablename__ = "webhook_event"
    __table_args__ = (
        UniqueConstraint("source", "delivery"),
        CheckConstraint("state in ('waiting', 'done', 'failed')", name="state"),
        Index("ix_webhook_event_waiting", "source", "id", postgresql_where=text("state = 'waiting'")),
        Index("ix_webhook_event_received_at", "received_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    delivery: Mapped[bytes | None] = mapped_column(LargeBinary)
    """SHA-256 of what names the delivery; null: nothing does, so it may come twice."""
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    """As it came; null when it is worked off, for then it stands elsewhere."""
    received_at: Mapped[datetime] = mapped_column(Instant)
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    """Failed ones."""
    next_try_at: Mapped[datetime | None] = mapped_column(Instant)
    """Not before then; null: at once."""
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    error: Mapped[str | None] = mapped_column(Text)


class RuleState(StrEnum):
    PENDING = "pending"
    """History is being read by it."""
    ACTIVE = "active"
    """Its facts count."""
    DROPPED = "dropped"
    """It was changed or removed; its facts are being deleted, and the row after them."""


class Rule(Base):
    """A learning rule or the rule of a metric, by its content: what facts point to."""

    __tablename__ = "rule"
    __table_args__ = (
        CheckConstraint("kind in ('learning', 'performance')", name="kind"),
        CheckConstraint("state in ('pending', 'active', 'dropped')", name="state"),
        CheckConstraint("(fact is null) <> (metric is null)", name="fact_or_metric"),
        Index(
            "uq_rule_in_force",
            "kind",
            "document",
            "name",
            "state",
            unique=True,
            postgresql_where=text("state <> 'dropped'"),
        ),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    document: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(Text)
    """SHA-256 of all that decides which facts it gives (`bridge.mapping.RuleKey`)."""
    fact: Mapped[str | None] = mapped_column(Text)
    """The kind of fact that a learning rule gives."""
    metric: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str | None] = mapped_column(Text)
    """Whose records a metric's rule reads."""
    state: Mapped[str] = mapped_column(Text)


class ReadingState(StrEnum):
    ACTIVE = "active"
    """It reads what arrives, by the rules that count."""
    PENDING = "pending"
    """It reads history by changed rules; they count when it has caught up with the active one."""


class Reading(Base):
    """How far the streams have been read by a set of rules."""

    __tablename__ = "reading"
    __table_args__ = (
        CheckConstraint("state in ('active', 'pending')", name="state"),
        # Reports come from one reading at a time, so there is one of each at most.
        Index("uq_reading_state", "state", unique=True),
    )

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    rules_hash: Mapped[str] = mapped_column(Text)
    """Of all rules that will count when it is active; those that it reads by are the rows of `Rule` in its state."""
    state: Mapped[str] = mapped_column(Text)
    verbs: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """A pending reading skips statements with other verbs; null: none."""
    sources: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """A pending reading skips records of other sources; null: none."""
    taken_over: Mapped[int] = mapped_column(Integer, server_default="0", default=0)
    """How often changed rules took their place in it: what was built of its facts before that is to be built again."""
    started_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class ReadingLane(Base):
    """How far one lane of one stream has been read; its lock is the right to read on."""

    __tablename__ = "reading_lane"

    reading_id: Mapped[int] = mapped_column(ForeignKey("reading.id", ondelete="CASCADE"), primary_key=True)
    stream: Mapped[str] = mapped_column(Text, primary_key=True)
    lane: Mapped[int] = mapped_column(Integer, primary_key=True)
    xid: Mapped[int] = mapped_column(TransactionId, server_default=text("'0'"))
    seq: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Learner(Base):
    """A person."""

    __tablename__ = "learner"
    __table_args__ = (Index("ix_learner_name_key", "name_key"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(Text, unique=True)
    """The roster's key, or the alias's own where no roster names the person."""
    name: Mapped[str | None] = mapped_column(Text)
    name_key: Mapped[str | None] = mapped_column(Text)
    """The name without accents, case and order of words; only for suggestions."""
    attributes: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    """Those in force when it was last looked at, each day at least; `LearnerAttribute` has all."""


class LearnerAttribute(Base):
    """What a roster says of a learner, from one day to another."""

    __tablename__ = "learner_attribute"
    __table_args__ = (
        Index("ix_learner_attribute_learner_id", "learner_id"),
        Index("ix_learner_attribute_valid_from", "valid_from"),
        Index("ix_learner_attribute_valid_to", "valid_to"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    learner_id: Mapped[int] = mapped_column(ForeignKey("learner.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    value: Mapped[str] = mapped_column(Text)
    valid_from: Mapped[date | None] = mapped_column(Date)
    """The first day; null: since ever."""
    valid_to: Mapped[date | None] = mapped_column(Date)
    """The last day; null: until further notice."""


class Alias(Base):
    """One identity of a person, as a canonical text (`bridge.mapping.aliases`)."""

    __tablename__ = "alias"
    __table_args__ = (
        Index("ix_alias_learner_id", "learner_id"),
        Index("ix_alias_unmatched", "id", postgresql_where=text("learner_id is null")),
        Index("ix_alias_unsettled", "id", postgresql_where=text("not settled")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(Text, unique=True)
    learner_id: Mapped[int | None] = mapped_column(ForeignKey("learner.id", ondelete="SET NULL"))
    """Null: nobody is known by this alias yet, or two learners are."""
    rule: Mapped[str | None] = mapped_column(Text)
    """Which rule says so: `override 3`, `roster hr`, `link crm-users 17`, `email`, `mbox_sha1sum` or `own`.

    Or `contested`.
    """
    settled: Mapped[bool] = mapped_column(server_default=false(), default=False)
    """Whether `learner_id` follows from all that is known; what changes that takes it away."""
    name: Mapped[str | None] = mapped_column(Text)
    """The name that came with it last; shown, never matched on."""
    named_at: Mapped[datetime | None] = mapped_column(Instant)


class RosterRow(Base):
    """What one roster of the identity document read out of the newest version of a source record."""

    __tablename__ = "roster_row"
    __table_args__ = (
        UniqueConstraint("roster", "record_id"),
        Index("ix_roster_row_learner_key", "learner_key"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    roster: Mapped[str] = mapped_column(Text)
    """The roster's source and a hash of what it says: a changed roster reads its rows anew."""
    source: Mapped[str] = mapped_column(Text)
    record_id: Mapped[int] = mapped_column(ForeignKey("source_record.id"))
    version_id: Mapped[int] = mapped_column(BigInteger)
    learner_key: Mapped[str | None] = mapped_column(Text)
    """Null: the row only says which aliases belong together, or cannot be used."""
    name: Mapped[str | None] = mapped_column(Text)
    attributes: Mapped[list[Any]] = mapped_column(JSONB, server_default="[]")
    """[name, value, first day or null, last day or null] of each."""
    periodic: Mapped[bool] = mapped_column(server_default=false(), default=False)
    """It says from when or until when, so others of the same learner may stand beside it."""
    holds: Mapped[bool] = mapped_column(server_default=true(), default=True)
    """False: another row of the roster names the same learner, and that one is kept."""


class Claim(Base):
    """A roster row says that this alias is its learner's."""

    __tablename__ = "claim"
    __table_args__ = (Index("ix_claim_row_id", "row_id"),)

    alias_id: Mapped[int] = mapped_column(ForeignKey("alias.id", ondelete="CASCADE"), primary_key=True)
    row_id: Mapped[int] = mapped_column(ForeignKey("roster_row.id", ondelete="CASCADE"), primary_key=True)


class AliasLink(Base):
    """An alias bears a token; aliases with the same token belong together (`bridge.mapping.identities`)."""

    __tablename__ = "alias_link"
    __table_args__ = (
        Index("ix_alias_link_token", "token", "alias_id"),
        Index("ix_alias_link_alias_id", "alias_id"),
        Index("ix_alias_link_row_id", "row_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    token: Mapped[str] = mapped_column(Text)
    alias_id: Mapped[int] = mapped_column(ForeignKey("alias.id", ondelete="CASCADE"))
    row_id: Mapped[int | None] = mapped_column(ForeignKey("roster_row.id", ondelete="CASCADE"))
    """The roster row that says so; null: it follows from the alias itself."""


class IdentityDecision(Base):
    """What a person decided about who is who; it beats every rule until it is undone."""

    __tablename__ = "identity_decision"
    __table_args__ = (
        CheckConstraint("kind in ('merge', 'split')", name="kind"),
        CheckConstraint("(kind = 'merge') = (other is not null)", name="merge_has_other"),
        Index("ix_identity_decision_other", "other", postgresql_where=text("undone_at is null")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    learner: Mapped[str | None] = mapped_column(Text)
    """Key of the learner who is kept, or to whom aliases are given; null: to a new one."""
    other: Mapped[str | None] = mapped_column(Text)
    """Key of the learner who is the same person."""
    aliases: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """Keys of the aliases that were given."""
    former: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """Keys of the learners whose these aliases were: after merges and before them."""
    because: Mapped[str | None] = mapped_column(Text)
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    undone_by: Mapped[str | None] = mapped_column(Text)
    undone_at: Mapped[datetime | None] = mapped_column(Instant)
    undone_because: Mapped[str | None] = mapped_column(Text)


class Fact(Base):
    """What a rule read out of one statement or one source record; read it through the view `counted_fact`.

    No foreign keys: statements, source records and aliases are deleted by erasures alone, which take their facts along,
    a rule only after its facts, and checking each row would cost as much as storing it.
    """

    __tablename__ = "fact"
    __table_args__ = (Index("ix_fact_alias_id_occurred_at", "alias_id", "occurred_at"),)

    rule_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    origin: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """The statement's seq for a learning rule, the source record's id for a metric's."""
    alias_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Whose it is; a record that several owners share gives each a fact."""
    version_id: Mapped[int | None] = mapped_column(BigInteger)
    """The version of the source record that it was read from."""
    occurred_at: Mapped[datetime] = mapped_column(Instant)
    value: Mapped[float | None]
    """A metric's value in its unit; a score or progress from 0 to 1; a level; the number that answers a question."""
    weight: Mapped[float] = mapped_column(server_default="1", default=1.0)
    """Its share in a mean: above 0."""
    success: Mapped[bool | None]
    activity: Mapped[str | None] = mapped_column(Text)
    course: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What else its kind has (`bridge.mapping.LearningFact`)."""


class FactHistory(Base):
    """What a source record gave before it was changed: a value that counted from one version until another."""

    __tablename__ = "fact_history"

    rule_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    origin: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    version_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    alias_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    until_version_id: Mapped[int] = mapped_column(BigInteger)
    """The version that changed it."""
    occurred_at: Mapped[datetime] = mapped_column(Instant)
    value: Mapped[float]
    weight: Mapped[float]


class Quarantine(Base):
    """A rule that failed on an item; the item's other rules went on."""

    __tablename__ = "quarantine"
    __table_args__ = (Index("ix_quarantine_rule_id_origin", "rule_id", "origin"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    rule_id: Mapped[int] = mapped_column(Integer)
    origin: Mapped[int] = mapped_column(BigInteger)
    """As of `Fact`."""
    version_id: Mapped[int | None] = mapped_column(BigInteger)
    expression: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)


class IdentityProblem(Base):
    """What stopped a roster row from naming a learner, or an alias from leading to one."""

    __tablename__ = "identity_problem"
    __table_args__ = (
        Index("ix_identity_problem_row_id", "row_id"),
        Index("ix_identity_problem_alias_id", "alias_id"),
        Index("ix_identity_problem_learner_id", "learner_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    row_id: Mapped[int | None] = mapped_column(ForeignKey("roster_row.id", ondelete="CASCADE"))
    alias_id: Mapped[int | None] = mapped_column(ForeignKey("alias.id", ondelete="CASCADE"))
    learner_id: Mapped[int | None] = mapped_column(ForeignKey("learner.id", ondelete="CASCADE"))
    subject: Mapped[str] = mapped_column(Text)
    """The roster row (`source key`), the alias or the learner that it is about."""
    text: Mapped[str] = mapped_column(Text)


class Built(Base):
    """What a derived part was last built from; when that has changed, the part is built again."""

    __tablename__ = "built"

    part: Mapped[str] = mapped_column(Text, primary_key=True)
    """`learners`, `links`, `attributes` or `records`."""
    signature: Mapped[str] = mapped_column(Text)
    built_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now(), onupdate=func.now())


class StaleAlias(Base):
    """A mark: this alias has facts that its records do not show yet.

    Only ever inserted and deleted, and without a unique key: a mark that a refresh is deleting must not swallow a new
    one.
    """

    __tablename__ = "stale_alias"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    alias_id: Mapped[int] = mapped_column(ForeignKey("alias.id", ondelete="CASCADE"))


class StaleLearner(Base):
    """A mark: this learner has lost an alias, or is called otherwise; whoever settles aliases works it off.

    Without a foreign key, which would be looked through for each learner who is forgotten.
    """

    __tablename__ = "stale_learner"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    learner_id: Mapped[int] = mapped_column(BigInteger)


class Record(Base):
    """The unified learner-to-performance record: one learner in one program."""

    __tablename__ = "record"
    __table_args__ = (UniqueConstraint("program", "learner_id"), Index("ix_record_learner_id", "learner_id"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    program: Mapped[str] = mapped_column(Text)
    learner_id: Mapped[int] = mapped_column(ForeignKey("learner.id", ondelete="CASCADE"))
    enrolled_at: Mapped[datetime | None] = mapped_column(Instant)
    attempts: Mapped[int] = mapped_column(Integer)
    completed_at: Mapped[datetime | None] = mapped_column(Instant)
    best_score: Mapped[float | None]
    """0 to 1."""
    last_activity_at: Mapped[datetime | None] = mapped_column(Instant)
    remembered_score: Mapped[float | None]
    """The best of a test taken three days or more after completion, 0 to 1: until then it is not known what stays."""
    tiers: Mapped[dict[str, int]] = mapped_column(JSONB, server_default="{}")
    """How many facts of each tier of LTEM, 1 to 7, there are of the program (`bridge.records.TIERS`)."""
    match: Mapped[str | None] = mapped_column(Text)
    """The weakest way in which an alias of these facts is known to be the learner's (`bridge.records.MATCHES`)."""
    courses: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """Those of the program's courses that the learner has learning facts in, by name."""


class RecordBehaviour(Base):
    """How often the learner did what the program is about, in the two windows that metrics have."""

    __tablename__ = "record_behaviour"

    record_id: Mapped[int] = mapped_column(ForeignKey("record.id", ondelete="CASCADE"), primary_key=True)
    behaviour: Mapped[str] = mapped_column(Text, primary_key=True)
    before_uses: Mapped[float]
    before_opportunities: Mapped[float | None]
    """How often it could have been done; null where the evidence does not say."""
    since_uses: Mapped[float]
    since_opportunities: Mapped[float | None]
    first_at: Mapped[datetime | None] = mapped_column(Instant)
    """The first time since completion."""


class WeeklyMetric(Base):
    """A cell of the panel: one learner, one week, one metric, as sums that can be added up to any mean."""

    __tablename__ = "weekly_metric"

    learner_id: Mapped[int] = mapped_column(ForeignKey("learner.id", ondelete="CASCADE"), primary_key=True)
    metric: Mapped[str] = mapped_column(Text, primary_key=True)
    week: Mapped[date] = mapped_column(Date, primary_key=True)
    """Its Monday; weeks begin at 0:00 UTC."""
    cases: Mapped[int] = mapped_column(Integer)
    weight: Mapped[float]
    """Sum of the facts' shares."""
    total: Mapped[float]
    """Sum of the values, each by its share."""
    log_weight: Mapped[float]
    """As `weight`, of the values above 0 alone."""
    log_total: Mapped[float]
    """Sum of the natural logs of these, each by its share."""


class RecordMetric(Base):
    """One metric of a record, in the window before the learner's completion and in the window since."""

    __tablename__ = "record_metric"

    record_id: Mapped[int] = mapped_column(ForeignKey("record.id", ondelete="CASCADE"), primary_key=True)
    metric: Mapped[str] = mapped_column(Text, primary_key=True)
    before_mean: Mapped[float | None]
    before_count: Mapped[int] = mapped_column(Integer)
    since_mean: Mapped[float | None]
    since_count: Mapped[int] = mapped_column(Integer)


class ProgramEventKind(StrEnum):
    LAUNCHED = "launched"
    """From then on the contract stands."""
    REFUSED = "refused"
    """It could not be launched: `details` has the gaps."""
    DRAWN = "drawn"
    """It was left to chance who goes first: `details` has the seed and everybody's wave."""


class ProgramEvent(Base):
    """What became of a program, with its contract as it was then; never changed, never deleted."""

    __tablename__ = "program_event"
    __table_args__ = (
        Index("ix_program_event_program", "program", "id"),
        CheckConstraint("what in ('launched', 'refused', 'drawn')", name="what"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    program: Mapped[str] = mapped_column(Text)
    what: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    by: Mapped[str] = mapped_column(Text)
    because: Mapped[str | None] = mapped_column(Text)
    contract: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """The document as it was written."""
    contract_hash: Mapped[str] = mapped_column(Text)
    """Of what the document says, in whatever words it is written."""
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")


class Impact(Base):
    """The estimated effect of a program, by the data and the contract of one moment."""

    __tablename__ = "impact"
    __table_args__ = (UniqueConstraint("program", "engine", "data_hash", "contract_hash"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    program: Mapped[str] = mapped_column(Text)
    computed_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    engine: Mapped[str] = mapped_column(Text)
    """Version of the impact engine."""
    data_hash: Mapped[str] = mapped_column(Text)
    contract_hash: Mapped[str] = mapped_column(Text)
    result: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """As `bridge/impact/README.md` has it, by metric."""


class DeliveryState(StrEnum):
    DUE = "due"
    DONE = "done"
    RETRY = "retry"
    FAILED = "failed"


class DeliveryKind(StrEnum):
    REPORT = "report"
    """A table as a whole."""
    FEED = "feed"
    """Rows, each by itself: `SentRow` has what the destination said of each."""


class Delivery(Base):
    """One report or feed on its way to one destination; the row says where it stands."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("kind", "report", "destination"),
        CheckConstraint("state in ('due', 'done', 'retry', 'failed')", name="state"),
        CheckConstraint("kind in ('report', 'feed')", name="kind"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str] = mapped_column(Text, server_default="report", default="report")
    report: Mapped[str] = mapped_column(Text)
    """The name of the report, or of the feed."""
    destination: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="due")
    changes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Counts the times that records changed; an attempt that began before the last of them does not make it done."""
    checksum: Mapped[str | None] = mapped_column(Text)
    """SHA-256 of the report as it was last delivered; an equal report is not sent again.

    Of a feed: two, of what in the destination's document says which system it is, and of the programs that it may see.
    """
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    """Failed attempts since the last good one."""
    last_error: Mapped[str | None] = mapped_column(Text)
    next_try_at: Mapped[datetime | None] = mapped_column(Instant)
    delivered_at: Mapped[datetime | None] = mapped_column(Instant)
    rows: Mapped[int | None] = mapped_column(Integer)
    location: Mapped[str | None] = mapped_column(Text)
    """Where the destination says it put the report."""


class Reconciliation(Base):
    """One comparison of what we hold with what somebody else holds, or with itself (`bridge.reconcile`)."""

    __tablename__ = "reconciliation"
    __table_args__ = (Index("ix_reconciliation_area_name", "area", "name", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    area: Mapped[str] = mapped_column(Text)
    """`sources`, `lms`, `deliveries` or `identities`."""
    name: Mapped[str] = mapped_column(Text)
    """The source or destination; of identities, `everyone`."""
    started_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    """Null: it is under way, or was killed."""
    agreed: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    repaired: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    open: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    """Differences that a person must see to."""
    note: Mapped[str | None] = mapped_column(Text)
    """What was compared, and what was done beside."""
    error: Mapped[str | None] = mapped_column(Text)
    """Why it could not be brought to its end."""
    waiting: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    """Rows that were not compared, for they were on their way there."""
    kinds: Mapped[dict[str, int]] = mapped_column(JSONB, server_default="{}", default=dict)
    """How many differences of each kind, in words."""


class Difference(Base):
    """What differed, and what became of it."""

    __tablename__ = "difference"
    __table_args__ = (
        CheckConstraint("state in ('repaired', 'open')", name="state"),
        Index("ix_difference_reconciliation_id", "reconciliation_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    reconciliation_id: Mapped[int] = mapped_column(ForeignKey("reconciliation.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(Text, server_default="", default="")
    """In words, such as `missing there`."""
    subject: Mapped[str] = mapped_column(Text)
    """The key of the record, row or alias."""
    text: Mapped[str] = mapped_column(Text)
    """What differed, and what was done or is to be done."""
    state: Mapped[str] = mapped_column(Text)


PUBLISHED_VERSION = Sequence("published_version", metadata=Base.metadata)


class PublishedRow(Base):
    """A row of a feed as it leaves the house, or word that it is gone (`bridge.publishing`)."""

    __tablename__ = "published_row"
    __table_args__ = (
        # What `publishing.changes` reads by.
        Index("ix_published_row_feed_xid", "feed", "xid", "version"),
        Index("ix_published_row_learner_id", "learner_id"),
    )

    feed: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    learner_id: Mapped[int | None] = mapped_column(BigInteger)
    """Without a foreign key: a row outlives its learner, to say that it is gone."""
    program: Mapped[str | None] = mapped_column(Text)
    team: Mapped[str | None] = mapped_column(Text)
    courses: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """Those of the program that the learner took."""
    past_teams: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """All that it was ever in, today's too: who may see only one of them is told when it leaves."""
    past_courses: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    person: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What leaves as `user`, narrowed to the site that asks."""
    body: Mapped[dict[str, Any]] = mapped_column(JSONB(none_as_null=True))
    checksum: Mapped[str] = mapped_column(Text)
    """SHA-256, in hexadecimal digits, of [person, body] as PostgreSQL writes jsonb."""
    version: Mapped[int] = mapped_column(BigInteger, server_default=PUBLISHED_VERSION.next_value())
    """Grows with every change; one sequence for all rows."""
    xid: Mapped[int] = mapped_column(TransactionId, server_default=func.pg_current_xact_id())
    """The transaction that wrote this version."""
    deleted: Mapped[bool] = mapped_column(server_default=false(), default=False)
    changed_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class SentRow(Base):
    """What a destination has of a feed's row, as it answered."""

    __tablename__ = "sent_row"
    __table_args__ = (
        Index(
            "ix_sent_row_open",
            "delivery_id",
            "outcome",
            postgresql_where=text("outcome in ('unmatched', 'left out', 'refused')"),
        ),
    )

    delivery_id: Mapped[int] = mapped_column(ForeignKey("delivery.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    """0: to be sent again, whatever it was."""
    checksum: Mapped[str] = mapped_column(Text)
    deleted: Mapped[bool] = mapped_column(server_default=false(), default=False)
    """It was sent as gone."""
    outcome: Mapped[str] = mapped_column(Text)
    """`connectors.Outcome`."""
    message: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, server_default="1", default=1)
    """How often it was sent in all."""
    sent_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class LtiPlatform(Base):
    """An LMS that may launch us: a registration, by the issuer and client id that its messages name."""

    __tablename__ = "lti_platform"
    __table_args__ = (UniqueConstraint("issuer", "client_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    issuer: Mapped[str] = mapped_column(Text)
    client_id: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    auth_url: Mapped[str] = mapped_column(Text)
    token_url: Mapped[str] = mapped_column(Text)
    jwks_url: Mapped[str] = mapped_column(Text)
    token_audience: Mapped[str | None] = mapped_column(Text)
    """What our requests for tokens name as their audience; null: the token URL."""
    home_page: Mapped[str] = mapped_column(Text)
    """Of the accounts that its users have in statements."""
    account_name: Mapped[str] = mapped_column(Text)
    """How the names of these accounts are made, such as `{sub}`."""
    course_url: Mapped[str | None] = mapped_column(Text)
    """How a course's address, as programs name it, is made; null: launches lead to no course."""
    match_by: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """By what its users are found among the learners, in this order (`bridge.lti.Match`)."""
    admins_see_all: Mapped[bool] = mapped_column(server_default=false(), default=False)
    """Whether its administrators see every learner, when they come from outside a course."""
    registered_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class LtiDeployment(Base):
    """A place within a platform where an administrator put us."""

    __tablename__ = "lti_deployment"

    platform_id: Mapped[int] = mapped_column(ForeignKey("lti_platform.id", ondelete="CASCADE"), primary_key=True)
    deployment_id: Mapped[str] = mapped_column(Text, primary_key=True)


class LtiCourse(Base):
    """A course that a teacher has launched us from, with where its roster is: a platform tells that to no one else."""

    __tablename__ = "lti_course"

    platform_id: Mapped[int] = mapped_column(ForeignKey("lti_platform.id", ondelete="CASCADE"), primary_key=True)
    context_id: Mapped[str] = mapped_column(Text, primary_key=True)
    title: Mapped[str | None] = mapped_column(Text)
    course: Mapped[str | None] = mapped_column(Text)
    """As programs name it."""
    members_url: Mapped[str] = mapped_column(Text)
    grades: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What the platform said of its gradebook (`connectors.lti.Launch.grades`); null: nothing."""
    resource_link: Mapped[str | None] = mapped_column(Text)
    """Of a link there, where people are known by its custom parameters."""
    seen_at: Mapped[datetime] = mapped_column(Instant)


class LtiKey(Base):
    """A key pair of ours; its private half lies encrypted among the tokens."""

    __tablename__ = "lti_key"

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    public_key: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    retired_at: Mapped[datetime | None] = mapped_column(Instant)
    """Since then it signs nothing more, and is published until nobody holds what it signed."""


class LtiLogin(Base):
    """A login that is under way; whoever takes the row away is the one who may launch by it."""

    __tablename__ = "lti_login"
    __table_args__ = (Index("ix_lti_login_expires_at", "expires_at"),)

    state_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    browser_hash: Mapped[bytes] = mapped_column(LargeBinary)
    """Of what the browser that began it keeps."""
    nonce: Mapped[str] = mapped_column(Text)
    platform_id: Mapped[int] = mapped_column(ForeignKey("lti_platform.id", ondelete="CASCADE"))
    sent: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """What the platform sent to begin it: to begin it once more in a new window."""
    expires_at: Mapped[datetime] = mapped_column(Instant)


class LtiSession(Base):
    """Somebody who was launched, and what they may see until it ends."""

    __tablename__ = "lti_session"
    __table_args__ = (
        CheckConstraint("role in ('learner', 'teacher', 'administrator')", name="role"),
        Index("ix_lti_session_expires_at", "expires_at"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    """Stands in the pages' addresses, and opens nothing by itself."""
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    ticket_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Of what leads into a new window, once."""
    ticket_expires_at: Mapped[datetime | None] = mapped_column(Instant)
    platform_id: Mapped[int] = mapped_column(ForeignKey("lti_platform.id", ondelete="CASCADE"))
    deployment_id: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    aliases: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """By which this person may be known, the surest first."""
    name: Mapped[str | None] = mapped_column(Text)
    course: Mapped[str | None] = mapped_column(Text)
    """As programs name it."""
    launch: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """What of the message is needed again: the services that it offered."""
    members: Mapped[list[list[str]] | None] = mapped_column(JSONB(none_as_null=True))
    """The aliases of each member of the course, as the platform told them at `members_at`."""
    members_at: Mapped[datetime | None] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant)


class LtiInvitation(Base):
    """A platform of this issuer may register itself once."""

    __tablename__ = "lti_invitation"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    issuer: Mapped[str] = mapped_column(Text)
    given: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """What the administrator said of it beforehand: columns of `LtiPlatform`."""
    expires_at: Mapped[datetime] = mapped_column(Instant)


class CredentialLimit(Base):
    """What narrows a credential that may read reports; one without any sees all of them (`bridge.narrowing`)."""

    __tablename__ = "credential_limit"
    __table_args__ = (CheckConstraint("kind in ('program', 'team', 'course')", name="kind"),)

    credential: Mapped[str] = mapped_column(ForeignKey("credential.key", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text, primary_key=True)


class LiveEventState(StrEnum):
    WAITING = "waiting"
    STORED = "stored"
    """Its statement is stored."""
    NONE = "none"
    """It is no statement; the reason says why."""
    FAILED = "failed"
    """It could not be worked off; the reason says why."""


class LiveEvent(Base):
    """An event that an LMS sent: stored before it is answered, then made a statement of (`bridge.live_events`)."""

    __tablename__ = "live_event"
    __table_args__ = (
        UniqueConstraint("source", "event"),
        CheckConstraint("state in ('waiting', 'stored', 'none', 'failed')", name="state"),
        Index("ix_live_event_waiting", "source", "id", postgresql_where=text("state = 'waiting'")),
        Index("ix_live_event_received_at", "received_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    event: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the event's id, or of all that it holds where it has none."""
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The event as JSON; null when its statement is stored, which holds what counts."""
    received_at: Mapped[datetime] = mapped_column(Instant)
    state: Mapped[str] = mapped_column(Text, server_default="waiting")
    statement: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    """Failed ones."""
    next_try_at: Mapped[datetime | None] = mapped_column(Instant)
    """Not before then; null: at once."""
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    reason: Mapped[str | None] = mapped_column(Text)
    """Why it is no statement, or what the last try failed by."""


class ForwardState(StrEnum):
    ACTIVE = "active"
    FAILED = "failed"
    """The target said no, or was away for too long; a person must ask for it again."""


class Forward(Base):
    """Statements on their way to another LRS, by a `forward` document; the row says how that goes."""

    __tablename__ = "forward"
    __table_args__ = (CheckConstraint("state in ('active', 'failed')", name="state"),)

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    document_hash: Mapped[str] = mapped_column(Text)
    """Of all that decides which statements go where; another one begins with the first statement again."""
    state: Mapped[str] = mapped_column(Text, server_default="active", default="active")
    taken: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    """Statements that the target took since it began, counted anew when they are sent again."""
    attempts: Mapped[int] = mapped_column(Integer, server_default="0", default=0)
    """Failed ones since it last came any further."""
    last_error: Mapped[str | None] = mapped_column(Text)
    next_try_at: Mapped[datetime | None] = mapped_column(Instant)
    succeeded_at: Mapped[datetime | None] = mapped_column(Instant)


class ForwardLane(Base):
    """How far one lane of all statements has been forwarded."""

    __tablename__ = "forward_lane"

    forward: Mapped[str] = mapped_column(ForeignKey("forward.name", ondelete="CASCADE"), primary_key=True)
    lane: Mapped[int] = mapped_column(Integer, primary_key=True)
    xid: Mapped[int] = mapped_column(TransactionId, server_default=text("'0'"))
    seq: Mapped[int] = mapped_column(BigInteger, server_default="0")


class DeadLetter(Base):
    """A statement that a target will not take, or of which it cannot be told whether it is to go there."""

    __tablename__ = "dead_letter"

    forward: Mapped[str] = mapped_column(ForeignKey("forward.name", ondelete="CASCADE"), primary_key=True)
    statement: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    status: Mapped[int | None] = mapped_column(Integer)
    """What the target answered with, where it was asked."""
    error: Mapped[str] = mapped_column(Text)
    tries: Mapped[int] = mapped_column(Integer, server_default="1")
    first_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    last_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())


class Erasure(Base):
    """That a person was erased: when, by whom, and how much; nothing by which the person can be known.

    While it is under way `work` holds what is looked for, so that whoever comes after a kill can end it.
    """

    __tablename__ = "erasure"
    __table_args__ = (CheckConstraint("work is null or ended_at is null", name="work_ends"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    requested_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now())
    requested_by: Mapped[str] = mapped_column(Text)
    keep_out: Mapped[bool] = mapped_column(server_default=true(), default=True)
    """Whether what comes of the person later is refused; false: forgotten once, and taken in when it comes again."""
    work: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """By what the person is known (`bridge.traces.Traces`), and how far it has come; null when it has ended."""
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    counts: Mapped[dict[str, int]] = mapped_column(JSONB, server_default="{}", default=dict)
    """Rows deleted or cleaned, by table."""
    left_over: Mapped[list[str]] = mapped_column(JSONB, server_default="[]", default=list)
    """Places (`table.column`, file names) where a last look found something that only a person can take away."""
    published: Mapped[list[list[str]]] = mapped_column(JSONB, server_default="[]", default=list)
    """[feed, key] of the rows that became tombstones."""
    elsewhere: Mapped[list[str]] = mapped_column(JSONB, server_default="[]", default=list)
    """Names of forwards that may have handed statements of the person on to LRSs that are not ours."""
    key_mark: Mapped[bytes] = mapped_column(LargeBinary)
    """HMAC of a fixed word: tells whether the hashes were made under the secret key of today."""
    kept_out: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    """Source records that came since and were not taken in, or not whole."""
    last_kept_out_at: Mapped[datetime | None] = mapped_column(Instant)
    lifted_at: Mapped[datetime | None] = mapped_column(Instant)
    """Since then nothing is refused any more."""
    lifted_by: Mapped[str | None] = mapped_column(Text)


class ErasedWord(Base):
    """A keyed hash of something by which an erased person was known (`bridge.traces`)."""

    __tablename__ = "erased_word"
    __table_args__ = (Index("ix_erased_word_erasure_id", "erasure_id"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    erasure_id: Mapped[int] = mapped_column(ForeignKey("erasure.id", ondelete="CASCADE"), primary_key=True)
