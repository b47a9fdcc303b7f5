"""Rows that a comparison left out, for they were on their way.

Revision ID: 0025
Revises: 0024
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reconciliation", sa.Column("waiting", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("reconciliation", "waiting")
