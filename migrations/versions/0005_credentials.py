"""Give credentials limits, options and a last use.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Instant = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.alter_column("credential", "secret_hash", nullable=True)
    op.add_column("credential", sa.Column("former_secret_hash", sa.LargeBinary()))
    op.add_column("credential", sa.Column("former_until", Instant))
    op.add_column("credential", sa.Column("issuer", sa.Text()))
    op.add_column("credential", sa.Column("subject", sa.Text()))
    op.add_column("credential", sa.Column("last_used_at", Instant))
    op.add_column("credential", sa.Column("lenient", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("credential", sa.Column("partial", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("credential", sa.Column("deduplicate_seconds", sa.Integer()))
    op.add_column("credential", sa.Column("requests_per_minute", sa.Integer()))
    op.create_unique_constraint("uq_credential_issuer_subject", "credential", ["issuer", "subject"])
    op.create_check_constraint(
        "secret_or_issuer", "credential", "(secret_hash is null) = (issuer is not null and subject is not null)"
    )
    op.create_check_constraint("deduplicate_seconds_above_0", "credential", "deduplicate_seconds > 0")
    op.create_check_constraint("requests_per_minute_above_0", "credential", "requests_per_minute > 0")


def downgrade() -> None:
    for name in ("secret_or_issuer", "deduplicate_seconds_above_0", "requests_per_minute_above_0"):
        op.drop_constraint(op.f(f"ck_credential_{name}"), "credential", type_="check")
    op.drop_constraint("uq_credential_issuer_subject", "credential", type_="unique")
    for name in (
        "requests_per_minute",
        "deduplicate_seconds",
        "partial",
        "lenient",
        "last_used_at",
        "subject",
        "issuer",
        "former_until",
        "former_secret_hash",
    ):
        op.drop_column("credential", name)
    op.execute("delete from credential where secret_hash is null")  # the version before knows none without a secret
    op.alter_column("credential", "secret_hash", nullable=False)
