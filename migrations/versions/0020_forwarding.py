"""Forwarding: statements on their way to other LRSs, and those that a target will not take.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


class TransactionId(sa.types.UserDefinedType):
    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


Instant = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "forward",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document_hash", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("taken", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("next_try_at", Instant, nullable=True),
        sa.Column("succeeded_at", Instant, nullable=True),
        sa.CheckConstraint("state in ('active', 'failed')", name=op.f("ck_forward_state")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_forward")),
    )
    op.create_table(
        "forward_lane",
        sa.Column("forward", sa.Text(), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("xid", TransactionId(), server_default=sa.text("'0'"), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["forward"], ["forward.name"], name=op.f("fk_forward_lane_forward_forward"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("forward", "lane", name=op.f("pk_forward_lane")),
    )
    op.create_table(
        "dead_letter",
        sa.Column("forward", sa.Text(), nullable=False),
        sa.Column("statement", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="1", nullable=False),
        sa.Column("first_at", Instant, server_default=sa.func.now(), nullable=False),
        sa.Column("last_at", Instant, server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(
            ["forward"], ["forward.name"], name=op.f("fk_dead_letter_forward_forward"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("forward", "statement", name=op.f("pk_dead_letter")),
    )


def downgrade() -> None:
    op.drop_table("dead_letter")
    op.drop_table("forward_lane")
    op.drop_table("forward")
