"""Money of a done order that an operator gives back: written ahead, never more than was captured."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.store import row_security
from shared.store.row_security import CHANGED

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.add_column(
        "payment_attempts", sa.Column("refunded_minor", sa.BigInteger, server_default=sa.text("0"), nullable=False)
    )
    # NOT VALID: every row that is there has 0, so nobody need read them all while the table is locked.
    op.execute(
        "ALTER TABLE payment_attempts ADD CONSTRAINT payment_attempts_refunds_at_most_all"
        " CHECK (refunded_minor BETWEEN 0 AND amount_minor) NOT VALID"
    )
    op.create_table(
        "refunds",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("action_id", sa.Uuid, nullable=False),
        sa.Column("tracking_number", sa.Text, nullable=False),
        sa.Column("attempt_no", sa.SmallInteger, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("state", sa.Text, server_default=sa.text("'asked'"), nullable=False),
        sa.Column("refusals", sa.SmallInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("key_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()")),
        sa.Column("taken_at", sa.DateTime(timezone=True)),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "action_id"),
        sa.CheckConstraint("state IN ('asked', 'given', 'refused')", name="refunds_known_state"),
        sa.CheckConstraint("amount_minor > 0", name="refunds_of_something"),
        sa.CheckConstraint("(due_at IS NOT NULL) = (state = 'asked')", name="refunds_under_way_are_due"),
    )
    op.create_index(
        "refunds_one_at_a_time",
        "refunds",
        ["tenant_id", "tracking_number"],
        unique=True,
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.create_index("refunds_due", "refunds", ["due_at"], postgresql_where=sa.text("state = 'asked'"))
    op.create_index("refunds_of_order", "refunds", ["tenant_id", "tracking_number", "asked_at"])
    for statement in row_security.protect("refunds", CHANGED):
        op.execute(statement)


def downgrade() -> None:
    """Take back."""
    for statement in row_security.release("refunds"):
        op.execute(statement)
    op.drop_table("refunds")
    op.drop_column("payment_attempts", "refunded_minor")
