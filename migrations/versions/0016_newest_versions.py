"""Versions that come again: a record may go back to what it was without its cursor saying so.

What two that store at once would double is kept apart by a lock on the record instead of by a key. The index is in the
order in which versions are read: newest first.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

KEY = "uq_source_record_version_record_id_cursor_content_hash"


def upgrade() -> None:
    op.create_index(
        "ix_source_record_version_newest",
        "source_record_version",
        ["record_id", sa.text("cursor desc nulls last"), sa.text("id desc")],
    )
    op.drop_constraint(op.f(KEY), "source_record_version")


def downgrade() -> None:
    op.execute(
        """
        delete from source_record_version again using source_record_version first
        where first.record_id = again.record_id and first.cursor = again.cursor
            and first.content_hash = again.content_hash and first.id < again.id
        """
    )
    op.create_unique_constraint(op.f(KEY), "source_record_version", ["record_id", "cursor", "content_hash"])
    op.drop_index("ix_source_record_version_newest", table_name="source_record_version")
