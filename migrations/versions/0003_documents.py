"""Keep documents: state and profiles.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "document",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("context", sa.LargeBinary(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("activity", sa.Text()),
        sa.Column("agent", sa.Text()),
        sa.Column("registration", sa.Uuid()),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text()),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("updated", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_document"),
    )
    op.create_index("ix_document_context_updated", "document", ["context", "updated"])


def downgrade() -> None:
    op.drop_table("document")
