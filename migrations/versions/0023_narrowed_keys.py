"""Keys that see some programs, teams or courses alone.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("record", sa.Column("courses", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False))
    # The next job builds all records, with what they did not have.
    op.execute("delete from built where part = 'records'")
    op.create_table(
        "credential_limit",
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.CheckConstraint("kind in ('program', 'team', 'course')", name=op.f("ck_credential_limit_kind")),
        sa.ForeignKeyConstraint(
            ["credential"],
            ["credential.key"],
            name=op.f("fk_credential_limit_credential_credential"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("credential", "kind", "value", name=op.f("pk_credential_limit")),
    )


def downgrade() -> None:
    # A key that was narrowed would see everything: it is ended instead.
    op.execute(
        "update credential set revoked_at = now() where revoked_at is null "
        "and key in (select credential from credential_limit)"
    )
    op.drop_table("credential_limit")
    op.drop_column("record", "courses")
