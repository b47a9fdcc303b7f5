"""Events that an LMS sends, kept until they are statements.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

Instant = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "live_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", Instant, nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("statement", sa.Uuid(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", Instant, nullable=True),
        sa.Column("ended_at", Instant, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("state in ('waiting', 'stored', 'none', 'failed')", name=op.f("ck_live_event_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_live_event")),
        sa.UniqueConstraint("source", "event", name=op.f("uq_live_event_source_event")),
    )
    op.create_index(
        "ix_live_event_waiting", "live_event", ["source", "id"], postgresql_where=sa.text("state = 'waiting'")
    )
    op.create_index("ix_live_event_received_at", "live_event", ["received_at"])


def downgrade() -> None:
    op.drop_index("ix_live_event_received_at", table_name="live_event")
    op.drop_index("ix_live_event_waiting", table_name="live_event", postgresql_where=sa.text("state = 'waiting'"))
    op.drop_table("live_event")
