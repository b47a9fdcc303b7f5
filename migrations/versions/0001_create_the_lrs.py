"""Create the LRS.

Revision ID: 0001
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Instant = postgresql.TIMESTAMP(timezone=True)


class TransactionId(sa.types.UserDefinedType):
    cache_ok = True

    def get_col_spec(self, **_):
        return "xid8"


# Hands out `count` consecutive numbers and gives the first: microseconds since 1970, never lower than one given before.
#
# For as long as the transaction lasts it also holds an advisory lock that says "I may yet store statements numbered
# from here on": 0x4C5 in the upper 12 bits ("LR", near enough), then a number not above its first. `lrs.horizon` reads
# these. The lock must be there before the number is chosen, else a reader could miss the one and be overtaken by the other.
#
# The gate (0x4C6) is held for microseconds only. It is a lock of the session, so it is let go by hand, also on a cancel;
# letting go of what a cancelled wait never got is no more than a warning.
TAKE_STATEMENT_NUMBERS = """
create function take_statement_numbers(count int) returns bigint language plpgsql volatile as $$
declare
    gate constant bigint := x'4C60000000000000'::bigint;
    first_number bigint;
begin
    perform pg_advisory_xact_lock_shared(
        x'4C50000000000000'::bigint | (extract(epoch from clock_timestamp()) * 1000000)::bigint);
    begin
        perform pg_advisory_lock(gate);
        first_number := greatest(nextval('statement_seq'), (extract(epoch from clock_timestamp()) * 1000000)::bigint);
        perform setval('statement_seq', first_number + count - 1);
    exception when query_canceled or others then
        perform pg_advisory_unlock(gate);
        raise;
    end;
    perform pg_advisory_unlock(gate);
    return first_number;
end $$
"""


# A voiding statement points at it, and it is not one itself (xAPI 1.0.3, Data 2.3.2), in whatever order they came.
VOIDED_STATEMENT = """
create view voided_statement as
select target.seq
from reference voiding join statement target on target.id = voiding.target
where voiding.voids and not exists (select from reference own where own.seq = target.seq and own.voids)
"""


def upgrade() -> None:
    op.create_table(
        "credential",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", Instant, server_default=sa.func.now(), nullable=False),
        sa.Column("revoked_at", Instant),
        sa.PrimaryKeyConstraint("id", name="pk_credential"),
        sa.UniqueConstraint("key", name="uq_credential_key"),
    )
    op.create_table(
        "statement",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("xid", TransactionId(), server_default=sa.func.pg_current_xact_id(), nullable=False),
        sa.Column("stored", Instant, nullable=False),
        sa.Column("credential_id", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_statement"),
        sa.UniqueConstraint("id", name="uq_statement_id"),
    )
    op.create_index("ix_statement_lane", "statement", [sa.text("(seq % 8)"), "xid", "seq"])
    op.create_table(
        "term",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_term"),
        sa.UniqueConstraint("digest", name="uq_term_digest"),
    )
    op.create_table(
        "mention",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("key", "seq", name="pk_mention"),
    )
    op.create_table(
        "reference",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("target", sa.Uuid(), nullable=False),
        sa.Column("voids", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_reference"),
    )
    op.create_index("ix_reference_target", "reference", ["target"])
    op.execute("create sequence statement_seq")
    op.execute(TAKE_STATEMENT_NUMBERS)
    op.execute(VOIDED_STATEMENT)


def downgrade() -> None:
    op.execute("drop view voided_statement")
    op.execute("drop function take_statement_numbers(int)")
    op.execute("drop sequence statement_seq")
    for table in ("reference", "mention", "term", "statement", "credential"):
        op.drop_table(table)
