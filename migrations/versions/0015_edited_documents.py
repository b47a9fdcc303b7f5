"""Documents that were edited over the API and hold in place of the files of the same name.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

Instant = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "edited_document",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("at", Instant, server_default=sa.text("now()"), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_edited_document")),
    )


def downgrade() -> None:
    op.drop_table("edited_document")
