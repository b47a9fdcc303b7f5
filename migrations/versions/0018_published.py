"""Published: the rows that leave for an LMS, and what each destination has of them.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


class TransactionId(sa.types.UserDefinedType):
    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


Instant = postgresql.TIMESTAMP(timezone=True)
JSONB = postgresql.JSONB(none_as_null=True)


def upgrade() -> None:
    op.execute("create sequence published_version")
    op.create_table(
        "published_row",
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("learner_id", sa.BigInteger(), nullable=True),
        sa.Column("program", sa.Text(), nullable=True),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("courses", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("past_teams", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("past_courses", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("person", JSONB, nullable=True),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("checksum", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("nextval('published_version')"), nullable=False),
        sa.Column("xid", TransactionId(), server_default=sa.func.pg_current_xact_id(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("changed_at", Instant, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("feed", "key", name=op.f("pk_published_row")),
    )
    op.create_index("ix_published_row_feed_xid", "published_row", ["feed", "xid", "version"])
    op.create_index("ix_published_row_learner_id", "published_row", ["learner_id"])
    op.add_column("delivery", sa.Column("kind", sa.Text(), server_default="report", nullable=False))
    op.create_check_constraint(op.f("ck_delivery_kind"), "delivery", "kind in ('report', 'feed')")
    op.drop_constraint(op.f("uq_delivery_report_destination"), "delivery", type_="unique")
    op.create_unique_constraint(
        op.f("uq_delivery_kind_report_destination"), "delivery", ["kind", "report", "destination"]
    )
    op.create_table(
        "sent_row",
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("checksum", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="1", nullable=False),
        sa.Column("sent_at", Instant, server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["delivery.id"], name=op.f("fk_sent_row_delivery_id_delivery"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("delivery_id", "key", name=op.f("pk_sent_row")),
    )
    op.create_index(
        "ix_sent_row_open",
        "sent_row",
        ["delivery_id", "outcome"],
        postgresql_where=sa.text("outcome in ('unmatched', 'left out', 'refused')"),
    )


def downgrade() -> None:
    op.drop_table("sent_row")
    op.execute("delete from delivery where kind <> 'report'")
    op.drop_constraint(op.f("uq_delivery_kind_report_destination"), "delivery", type_="unique")
    op.create_unique_constraint(op.f("uq_delivery_report_destination"), "delivery", ["report", "destination"])
    op.drop_constraint(op.f("ck_delivery_kind"), "delivery", type_="check")
    op.drop_column("delivery", "kind")
    op.drop_table("published_row")
    op.execute("drop sequence published_version")
