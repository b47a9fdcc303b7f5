"""Of a comparison, the rows that it left out, for they were on their way, and what differed by kind.

Revision ID: 0025
Revises: 0024
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reconciliation", sa.Column("waiting", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("reconciliation", sa.Column("kinds", postgresql.JSONB(), server_default="{}", nullable=False))
    op.add_column("difference", sa.Column("kind", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("difference", "kind")
    op.drop_column("reconciliation", "kinds")
    op.drop_column("reconciliation", "waiting")
