"""Keep attachments.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attachment",
        sa.Column("sha2", sa.LargeBinary(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("sha2", name="pk_attachment"),
    )
    # Not compressed: most of them are already, and a piece can then be read without the whole.
    op.execute("alter table attachment alter column data set storage external")
    op.create_table(
        "statement_attachment",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sha2", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", "sha2", name="pk_statement_attachment"),
        sa.ForeignKeyConstraint(["sha2"], ["attachment.sha2"], name="fk_statement_attachment_sha2_attachment"),
    )


def downgrade() -> None:
    op.drop_table("statement_attachment")
    op.drop_table("attachment")
