"""People: which rule leads an alias to its learner, what people decided, and attributes that change.

Who is who is derived but for the decisions: rosters are read and aliases settled anew.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

Instant = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.execute("delete from built where part = 'learners'")
    op.execute("delete from identity_problem")
    op.drop_table("claim")
    op.add_column("learner", sa.Column("name_key", sa.Text(), nullable=True))
    op.create_index("ix_learner_name_key", "learner", ["name_key"])
    op.add_column("alias", sa.Column("rule", sa.Text(), nullable=True))
    op.add_column("alias", sa.Column("settled", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_alias_unsettled", "alias", ["id"], postgresql_where=sa.text("not settled"))
    op.create_table(
        "learner_attribute",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("learner_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["learner_id"], ["learner.id"], name=op.f("fk_learner_attribute_learner_id_learner"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_learner_attribute")),
    )
    for column in ("learner_id", "valid_from", "valid_to"):
        op.create_index(f"ix_learner_attribute_{column}", "learner_attribute", [column])
    op.create_table(
        "roster_row",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("roster", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("version_id", sa.BigInteger(), nullable=False),
        sa.Column("learner_key", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("attributes", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("periodic", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("holds", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.ForeignKeyConstraint(
            ["record_id"], ["source_record.id"], name=op.f("fk_roster_row_record_id_source_record")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roster_row")),
        sa.UniqueConstraint("roster", "record_id", name=op.f("uq_roster_row_roster_record_id")),
    )
    op.create_index("ix_roster_row_learner_key", "roster_row", ["learner_key"])
    op.create_table(
        "claim",
        sa.Column("alias_id", sa.BigInteger(), nullable=False),
        sa.Column("row_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["alias_id"], ["alias.id"], name=op.f("fk_claim_alias_id_alias"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["row_id"], ["roster_row.id"], name=op.f("fk_claim_row_id_roster_row"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("alias_id", "row_id", name=op.f("pk_claim")),
    )
    op.create_index("ix_claim_row_id", "claim", ["row_id"])
    op.create_table(
        "alias_link",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("alias_id", sa.BigInteger(), nullable=False),
        sa.Column("row_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["alias_id"], ["alias.id"], name=op.f("fk_alias_link_alias_id_alias"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["row_id"], ["roster_row.id"], name=op.f("fk_alias_link_row_id_roster_row"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alias_link")),
    )
    op.create_index("ix_alias_link_token", "alias_link", ["token", "alias_id"])
    op.create_index("ix_alias_link_alias_id", "alias_link", ["alias_id"])
    op.create_index("ix_alias_link_row_id", "alias_link", ["row_id"])
    op.create_table(
        "identity_decision",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=True),
        sa.Column("other", sa.Text(), nullable=True),
        sa.Column("aliases", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("former", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("because", sa.Text(), nullable=True),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", Instant, server_default=sa.text("now()"), nullable=False),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.Column("undone_at", Instant, nullable=True),
        sa.Column("undone_because", sa.Text(), nullable=True),
        sa.CheckConstraint("kind in ('merge', 'split')", name=op.f("ck_identity_decision_kind")),
        sa.CheckConstraint("(kind = 'merge') = (other is not null)", name=op.f("ck_identity_decision_merge_has_other")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_decision")),
    )
    op.create_index(
        "ix_identity_decision_other", "identity_decision", ["other"], postgresql_where=sa.text("undone_at is null")
    )
    op.create_table(
        "stale_learner",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("learner_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stale_learner")),
    )
    for column, table in (("row_id", "roster_row"), ("alias_id", "alias"), ("learner_id", "learner")):
        op.add_column("identity_problem", sa.Column(column, sa.BigInteger(), nullable=True))
        op.create_index(f"ix_identity_problem_{column}", "identity_problem", [column])
        name = op.f(f"fk_identity_problem_{column}_{table}")
        op.create_foreign_key(name, "identity_problem", table, [column], ["id"], ondelete="CASCADE")


def downgrade() -> None:
    op.execute("delete from built where part = 'learners'")
    op.execute("delete from identity_problem")
    for column in ("learner_id", "alias_id", "row_id"):
        op.drop_column("identity_problem", column)
    for table in ("stale_learner", "identity_decision", "alias_link", "claim", "roster_row", "learner_attribute"):
        op.drop_table(table)
    op.drop_index("ix_alias_unsettled", "alias")
    op.drop_column("alias", "settled")
    op.drop_column("alias", "rule")
    op.drop_index("ix_learner_name_key", "learner")
    op.drop_column("learner", "name_key")
    op.create_table(
        "claim",
        sa.Column("alias_id", sa.BigInteger(), nullable=False),
        sa.Column("learner_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["alias_id"], ["alias.id"], name=op.f("fk_claim_alias_id_alias"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["learner_id"], ["learner.id"], name=op.f("fk_claim_learner_id_learner"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("alias_id", "learner_id", name=op.f("pk_claim")),
    )
    op.create_index("ix_claim_learner_id", "claim", ["learner_id"])
