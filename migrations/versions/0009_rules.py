"""Facts point to rules, so that a changed rule reads anew only what it can touch.

What facts were is derived: all of it is read again by the new tables' rules.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

Instant = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    _forget_what_is_derived()
    op.drop_table("quarantine")
    op.drop_table("fact")
    op.add_column("reading", sa.Column("verbs", postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column("reading", sa.Column("sources", postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column("reading", sa.Column("taken_over", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "source_record_version", sa.Column("deleted", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_table(
        "rule",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=True),
        sa.Column("metric", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint("kind in ('learning', 'performance')", name=op.f("ck_rule_kind")),
        sa.CheckConstraint("state in ('pending', 'active', 'dropped')", name=op.f("ck_rule_state")),
        sa.CheckConstraint("(fact is null) <> (metric is null)", name=op.f("ck_rule_fact_or_metric")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule")),
    )
    op.create_index(
        "uq_rule_in_force",
        "rule",
        ["kind", "document", "name", "state"],
        unique=True,
        postgresql_where=sa.text("state <> 'dropped'"),
    )
    op.create_table(
        "fact",
        sa.Column("rule_id", sa.Integer(), nullable=False),
        sa.Column("origin", sa.BigInteger(), nullable=False),
        sa.Column("alias_id", sa.BigInteger(), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=True),
        sa.Column("occurred_at", Instant, nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("weight", sa.Double(), server_default="1", nullable=False),
        sa.Column("success", sa.Boolean(), nullable=True),
        sa.Column("activity", sa.Text(), nullable=True),
        sa.Column("course", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Text(), nullable=True),
        sa.Column("detail", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("rule_id", "origin", "alias_id", name=op.f("pk_fact")),
    )
    op.create_index("ix_fact_alias_id_occurred_at", "fact", ["alias_id", "occurred_at"])
    op.create_table(
        "fact_history",
        sa.Column("rule_id", sa.Integer(), nullable=False),
        sa.Column("origin", sa.BigInteger(), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("alias_id", sa.BigInteger(), nullable=False),
        sa.Column("until_version_id", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", Instant, nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "origin", "version_id", "alias_id", name=op.f("pk_fact_history")),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("rule_id", sa.Integer(), nullable=False),
        sa.Column("origin", sa.BigInteger(), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=True),
        sa.Column("expression", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
    )
    op.create_index("ix_quarantine_rule_id_origin", "quarantine", ["rule_id", "origin"])
    op.execute("""
        create view counted_fact as
        select fact.*, rule.fact as kind, rule.metric, rule.document || '/' || rule.name as rule, rule.content_hash,
            case when rule.kind = 'learning' then fact.origin end as statement_seq,
            case when rule.kind = 'performance' then fact.origin end as record_id
        from fact join rule on rule.id = fact.rule_id and rule.state = 'active'
        where rule.kind = 'performance'
            or not exists (select from voided_statement voided where voided.seq = fact.origin)
    """)


def downgrade() -> None:
    _forget_what_is_derived()
    op.execute("drop view counted_fact")
    op.drop_table("quarantine")
    op.drop_table("fact_history")
    op.drop_table("fact")
    op.drop_table("rule")
    op.execute("delete from source_record_version where deleted")
    op.drop_column("source_record_version", "deleted")
    op.drop_column("reading", "taken_over")
    op.drop_column("reading", "sources")
    op.drop_column("reading", "verbs")
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("reading_id", sa.Integer(), nullable=False),
        sa.Column("statement_seq", sa.BigInteger(), nullable=True),
        sa.Column("record_id", sa.BigInteger(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("expression", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["reading_id"], ["reading.id"], name=op.f("fk_quarantine_reading_id_reading"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
    )
    op.create_index("ix_quarantine_reading_id", "quarantine", ["reading_id", "statement_seq", "record_id"])
    op.create_table(
        "fact",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("reading_id", sa.Integer(), nullable=False),
        sa.Column("alias_id", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", Instant, nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("metric", sa.Text(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("success", sa.Boolean(), nullable=True),
        sa.Column("activity", sa.Text(), nullable=True),
        sa.Column("course", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Text(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("statement_seq", sa.BigInteger(), nullable=True),
        sa.Column("record_id", sa.BigInteger(), nullable=True),
        sa.Column("version_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(kind is null) <> (metric is null)", name=op.f("ck_fact_kind_or_metric")),
        sa.CheckConstraint("(statement_seq is null) <> (record_id is null)", name=op.f("ck_fact_one_origin")),
        sa.ForeignKeyConstraint(["alias_id"], ["alias.id"], name=op.f("fk_fact_alias_id_alias")),
        sa.ForeignKeyConstraint(
            ["reading_id"], ["reading.id"], name=op.f("fk_fact_reading_id_reading"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fact")),
    )
    op.create_index("ix_fact_alias_id", "fact", ["alias_id", "reading_id", "occurred_at"])
    op.create_index(
        "uq_fact_record",
        "fact",
        ["reading_id", "record_id", "metric"],
        unique=True,
        postgresql_where=sa.text("record_id is not null"),
    )
    op.create_index(
        "uq_fact_statement",
        "fact",
        ["reading_id", "statement_seq", "rule"],
        unique=True,
        postgresql_where=sa.text("statement_seq is not null"),
    )


def _forget_what_is_derived() -> None:
    """Without a reading everything is read anew, and without `built` all records are built anew."""
    for table in ("stale_alias", "reading_lane", "reading", "built"):
        op.execute(f"delete from {table}")
