"""Create the bridge.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Instant = postgresql.TIMESTAMP(timezone=True)


class TransactionId(sa.types.UserDefinedType):
    cache_ok = True

    def get_col_spec(self, **_):
        return "xid8"


def upgrade():
    op.create_table(
        "built",
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("built_at", Instant, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("part", name=op.f("pk_built")),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="due", nullable=False),
        sa.Column("changes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("checksum", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("next_try_at", Instant, nullable=True),
        sa.Column("delivered_at", Instant, nullable=True),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.CheckConstraint("state in ('due', 'done', 'retry', 'failed')", name=op.f("ck_delivery_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("report", "destination", name=op.f("uq_delivery_report_destination")),
    )
    op.create_table(
        "identity_problem",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_problem")),
    )
    op.create_table(
        "learner",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("attributes", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learner")),
        sa.UniqueConstraint("key", name=op.f("uq_learner_key")),
    )
    op.create_table(
        "mapping_problem",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("column", sa.Integer(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("seen_at", Instant, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mapping_problem")),
    )
    op.create_table(
        "mapping_version",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("rules_hash", sa.Text(), nullable=False),
        sa.Column("documents", sa.Text(), nullable=False),
        sa.Column("loaded_at", Instant, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mapping_version")),
    )
    op.create_table(
        "reading",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("rules_hash", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", Instant, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state in ('active', 'pending')", name=op.f("ck_reading_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading")),
    )
    op.create_index("uq_reading_state", "reading", ["state"], unique=True)
    op.create_table(
        "setting",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_setting")),
    )
    op.create_table(
        "source_problem",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=True),
        sa.Column("column", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("seen_at", Instant, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_problem")),
    )
    op.create_index("ix_source_problem_source", "source_problem", ["source"], unique=False)
    op.create_table(
        "source_record",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_record")),
        sa.UniqueConstraint("source", "key", name=op.f("uq_source_record_source_key")),
    )
    op.create_table(
        "source_state",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", postgresql.JSONB(), nullable=True),
        sa.Column("document_hash", sa.Text(), nullable=True),
        sa.Column("started_at", Instant, nullable=True),
        sa.Column("succeeded_at", Instant, nullable=True),
        sa.Column("failed_at", Instant, nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("next_pull_at", Instant, nullable=True),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_source_state")),
    )
    op.create_table(
        "alias",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("learner_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("named_at", Instant, nullable=True),
        sa.ForeignKeyConstraint(
            ["learner_id"], ["learner.id"], name=op.f("fk_alias_learner_id_learner"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alias")),
        sa.UniqueConstraint("key", name=op.f("uq_alias_key")),
    )
    op.create_index("ix_alias_learner_id", "alias", ["learner_id"], unique=False)
    op.create_index("ix_alias_unmatched", "alias", ["id"], unique=False, postgresql_where=sa.text("learner_id is null"))
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
    op.create_index(
        "ix_quarantine_reading_id", "quarantine", ["reading_id", "statement_seq", "record_id"], unique=False
    )
    op.create_table(
        "reading_lane",
        sa.Column("reading_id", sa.Integer(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("xid", TransactionId(), server_default=sa.text("'0'"), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["reading_id"], ["reading.id"], name=op.f("fk_reading_lane_reading_id_reading"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("reading_id", "stream", "lane", name=op.f("pk_reading_lane")),
    )
    op.create_table(
        "record",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("learner_id", sa.BigInteger(), nullable=False),
        sa.Column("enrolled_at", Instant, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("completed_at", Instant, nullable=True),
        sa.Column("best_score", sa.Double(), nullable=True),
        sa.Column("last_activity_at", Instant, nullable=True),
        sa.ForeignKeyConstraint(
            ["learner_id"], ["learner.id"], name=op.f("fk_record_learner_id_learner"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record")),
        sa.UniqueConstraint("program", "learner_id", name=op.f("uq_record_program_learner_id")),
    )
    op.create_index("ix_record_learner_id", "record", ["learner_id"], unique=False)
    op.create_table(
        "source_record_version",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("xid", TransactionId(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("cursor", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("pulled_at", Instant, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["record_id"], ["source_record.id"], name=op.f("fk_source_record_version_record_id_source_record")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_record_version")),
        sa.UniqueConstraint(
            "record_id", "cursor", "content_hash", name=op.f("uq_source_record_version_record_id_cursor_content_hash")
        ),
    )
    op.create_index(
        "ix_source_record_version_lane",
        "source_record_version",
        [sa.literal_column("mod(record_id, 8)"), "xid", "id"],
        unique=False,
    )
    op.create_table(
        "claim",
        sa.Column("alias_id", sa.BigInteger(), nullable=False),
        sa.Column("learner_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["alias_id"], ["alias.id"], name=op.f("fk_claim_alias_id_alias"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["learner_id"], ["learner.id"], name=op.f("fk_claim_learner_id_learner"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("alias_id", "learner_id", name=op.f("pk_claim")),
    )
    op.create_index("ix_claim_learner_id", "claim", ["learner_id"], unique=False)
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
    op.create_index("ix_fact_alias_id", "fact", ["alias_id", "reading_id", "occurred_at"], unique=False)
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
    op.create_table(
        "record_metric",
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("before_mean", sa.Double(), nullable=True),
        sa.Column("before_count", sa.Integer(), nullable=False),
        sa.Column("since_mean", sa.Double(), nullable=True),
        sa.Column("since_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["record_id"], ["record.id"], name=op.f("fk_record_metric_record_id_record"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("record_id", "metric", name=op.f("pk_record_metric")),
    )
    op.create_table(
        "stale_alias",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("alias_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["alias_id"], ["alias.id"], name=op.f("fk_stale_alias_alias_id_alias"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stale_alias")),
    )


def downgrade():
    op.drop_table("stale_alias")
    op.drop_table("record_metric")
    op.drop_index("uq_fact_statement", table_name="fact", postgresql_where=sa.text("statement_seq is not null"))
    op.drop_index("uq_fact_record", table_name="fact", postgresql_where=sa.text("record_id is not null"))
    op.drop_index("ix_fact_alias_id", table_name="fact")
    op.drop_table("fact")
    op.drop_index("ix_claim_learner_id", table_name="claim")
    op.drop_table("claim")
    op.drop_index("ix_source_record_version_lane", table_name="source_record_version")
    op.drop_table("source_record_version")
    op.drop_index("ix_record_learner_id", table_name="record")
    op.drop_table("record")
    op.drop_table("reading_lane")
    op.drop_index("ix_quarantine_reading_id", table_name="quarantine")
    op.drop_table("quarantine")
    op.drop_index("ix_alias_unmatched", table_name="alias", postgresql_where=sa.text("learner_id is null"))
    op.drop_index("ix_alias_learner_id", table_name="alias")
    op.drop_table("alias")
    op.drop_table("source_state")
    op.drop_table("source_record")
    op.drop_index("ix_source_problem_source", table_name="source_problem")
    op.drop_table("source_problem")
    op.drop_table("setting")
    op.drop_index("uq_reading_state", table_name="reading")
    op.drop_table("reading")
    op.drop_table("mapping_version")
    op.drop_table("mapping_problem")
    op.drop_table("learner")
    op.drop_table("identity_problem")
    op.drop_table("delivery")
    op.drop_table("built")
