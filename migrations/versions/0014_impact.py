"""What became of programs (launched, refused, an order drawn), and the impacts that were estimated.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

Instant = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "program_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("at", Instant, server_default=sa.text("now()"), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("because", sa.Text(), nullable=True),
        sa.Column("contract", postgresql.JSONB(), nullable=False),
        sa.Column("contract_hash", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.CheckConstraint("what in ('launched', 'refused', 'drawn')", name=op.f("ck_program_event_what")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_program_event")),
    )
    op.create_index("ix_program_event_program", "program_event", ["program", "id"])
    op.create_table(
        "impact",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("computed_at", Instant, server_default=sa.text("now()"), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("data_hash", sa.Text(), nullable=False),
        sa.Column("contract_hash", sa.Text(), nullable=False),
        sa.Column("result", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_impact")),
        sa.UniqueConstraint(
            "program",
            "engine",
            "data_hash",
            "contract_hash",
            name=op.f("uq_impact_program_engine_data_hash_contract_hash"),
        ),
    )


def downgrade() -> None:
    op.drop_table("impact")
    op.drop_table("program_event")
