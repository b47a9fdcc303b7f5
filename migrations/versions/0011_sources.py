"""Sources: pulls that lost their lock store nothing, pausing, reading the past in slices, kept tokens, sweeps.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

Instant = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.add_column("source_state", sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("source_state", sa.Column("started_after", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("source_state", sa.Column("paused_at", Instant, nullable=True))
    op.add_column("source_state", sa.Column("paused_why", sa.Text(), nullable=True))
    op.add_column("source_state", sa.Column("sweep_error", sa.Text(), nullable=True))
    op.create_table(
        "backfill_slice",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("low", Instant, nullable=False),
        sa.Column("high", Instant, nullable=False),
        sa.Column("state", postgresql.JSONB(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("planned_at", Instant, nullable=False),
        sa.Column("started_at", Instant, nullable=True),
        sa.Column("done_at", Instant, nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("next_try_at", Instant, nullable=True),
        sa.Column("rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("versions", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfill_slice")),
    )
    op.create_index(
        "ix_backfill_slice_open",
        "backfill_slice",
        ["source", "low", "high"],
        unique=True,
        postgresql_where=sa.text("done_at is null"),
    )
    op.add_column("source_problem", sa.Column("slice_id", sa.BigInteger(), nullable=True))
    op.create_index("ix_source_problem_slice_id", "source_problem", ["slice_id"])
    op.create_foreign_key(
        op.f("fk_source_problem_slice_id_backfill_slice"),
        "source_problem",
        "backfill_slice",
        ["slice_id"],
        ["id"],
        ondelete="CASCADE",
    )
    op.create_table(
        "sweep_piece",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("began_after", sa.BigInteger(), nullable=False),
        sa.Column("records", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep_piece")),
    )
    op.create_index("ix_sweep_piece_source", "sweep_piece", ["source"])
    op.create_table(
        "source_token",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", Instant, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_source_token")),
    )


def downgrade() -> None:
    op.drop_table("source_token")
    op.drop_table("sweep_piece")
    op.drop_column("source_problem", "slice_id")
    op.drop_table("backfill_slice")
    for column in ("sweep_error", "paused_why", "paused_at", "started_after", "fence"):
        op.drop_column("source_state", column)
