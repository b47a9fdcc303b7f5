"""Waiting: a source that asked us to come back later is no failure.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("source_state", sa.Column("waits_for", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("source_state", "waits_for")
