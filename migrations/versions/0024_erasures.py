"""Persons who were erased, by nothing but keyed hashes.

Revision ID: 0024
Revises: 0023
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erased_agent",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("erasure", sa.BigInteger(), nullable=False),
        sa.Column("kept_out", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("digest", "erasure", name=op.f("pk_erased_agent")),
    )
    op.create_table(
        "erasure",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("requested_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("keep_out", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("work", postgresql.JSONB(), nullable=True),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("counts", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("left_over", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("published", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("elsewhere", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("key_mark", sa.LargeBinary(), nullable=False),
        sa.Column("kept_out", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_kept_out_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("lifted_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.CheckConstraint("work is null or ended_at is null", name=op.f("ck_erasure_work_ends")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
    )
    op.create_table(
        "erased_word",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("erasure_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["erasure_id"], ["erasure.id"], name=op.f("fk_erased_word_erasure_id_erasure"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", "erasure_id", name=op.f("pk_erased_word")),
    )
    op.create_index("ix_erased_word_erasure_id", "erased_word", ["erasure_id"])


def downgrade() -> None:
    for table in ("erased_word", "erasure", "erased_agent"):
        op.drop_table(table)
