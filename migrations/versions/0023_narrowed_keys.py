"""Keys that see some programs, teams or courses alone, and what each of them was given to see.

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

Instant = postgresql.TIMESTAMP(timezone=True)


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
    op.create_table(
        "shown_row",
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("published", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("changed_at", Instant, server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential"], ["credential.key"], name=op.f("fk_shown_row_credential_credential"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("credential", "feed", "key", name=op.f("pk_shown_row")),
        sa.UniqueConstraint("credential", "feed", "position", name=op.f("uq_shown_row_credential_feed_position")),
    )


def downgrade() -> None:
    # A key that was narrowed would see everything: it is ended instead.
    op.execute(
        "update credential set revoked_at = now() where revoked_at is null "
        "and key in (select credential from credential_limit)"
    )
    op.drop_table("shown_row")
    op.drop_table("credential_limit")
    op.drop_column("record", "courses")
