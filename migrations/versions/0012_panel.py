"""The person x week panel, behaviours and evidence of records.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

Instant = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.add_column("record", sa.Column("remembered_score", sa.Float(), nullable=True))
    op.add_column("record", sa.Column("tiers", postgresql.JSONB(), server_default="{}", nullable=False))
    op.add_column("record", sa.Column("match", sa.Text(), nullable=True))
    op.create_table(
        "record_behaviour",
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("behaviour", sa.Text(), nullable=False),
        sa.Column("before_uses", sa.Float(), nullable=False),
        sa.Column("before_opportunities", sa.Float(), nullable=True),
        sa.Column("since_uses", sa.Float(), nullable=False),
        sa.Column("since_opportunities", sa.Float(), nullable=True),
        sa.Column("first_at", Instant, nullable=True),
        sa.ForeignKeyConstraint(
            ["record_id"], ["record.id"], name=op.f("fk_record_behaviour_record_id_record"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("record_id", "behaviour", name=op.f("pk_record_behaviour")),
    )
    op.create_table(
        "weekly_metric",
        sa.Column("learner_id", sa.BigInteger(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("week", sa.Date(), nullable=False),
        sa.Column("cases", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("total", sa.Float(), nullable=False),
        sa.Column("log_weight", sa.Float(), nullable=False),
        sa.Column("log_total", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["learner_id"], ["learner.id"], name=op.f("fk_weekly_metric_learner_id_learner"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("learner_id", "metric", "week", name=op.f("pk_weekly_metric")),
    )
    _build_records_again()


def downgrade() -> None:
    op.drop_table("weekly_metric")
    op.drop_table("record_behaviour")
    op.drop_column("record", "match")
    op.drop_column("record", "tiers")
    op.drop_column("record", "remembered_score")
    _build_records_again()


def _build_records_again() -> None:
    """Let the next job build all records, with what they did not have."""
    op.execute("delete from built where part = 'records'")
