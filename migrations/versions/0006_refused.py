"""Keep what was refused, what was repaired, and what was sent lately.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

Instant = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "refused_request",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("credential_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("statements", sa.Integer()),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("reasons", postgresql.JSONB(), nullable=False),
        sa.Column("times", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("received_at", Instant, server_default=sa.func.now(), nullable=False),
        sa.Column("last_received_at", Instant, server_default=sa.func.now(), nullable=False),
        sa.Column("replayed_at", Instant),
        sa.PrimaryKeyConstraint("id", name="pk_refused_request"),
        sa.ForeignKeyConstraint(
            ["credential_id"], ["credential.id"], name="fk_refused_request_credential_id_credential"
        ),
    )
    op.create_index("ix_refused_request_credential_id_id", "refused_request", ["credential_id", "id"])
    op.create_index(
        "uq_refused_request_waiting",
        "refused_request",
        ["credential_id", "digest"],
        unique=True,
        postgresql_where=sa.text("replayed_at is null"),
    )
    op.create_table(
        "repair",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("original", sa.Text(), nullable=False),
        sa.Column("repairs", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_repair"),
    )
    op.create_table(
        "sent_content",
        sa.Column("credential_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("sent_at", Instant, nullable=False),
        sa.PrimaryKeyConstraint("credential_id", "digest", name="pk_sent_content"),
    )
    op.create_index("ix_sent_content_credential_id_sent_at", "sent_content", ["credential_id", "sent_at"])


def downgrade() -> None:
    for table in ("sent_content", "repair", "refused_request"):
        op.drop_table(table)
