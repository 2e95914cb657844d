"""For PSPs that cannot be asked: what a shopper brought back, how a return went, how news finds its attempt."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.add_column("payment_attempts", sa.Column("brought", sa.LargeBinary))
    op.add_column(
        "payment_attempts", sa.Column("refusals", sa.SmallInteger, server_default=sa.text("0"), nullable=False)
    )
    op.add_column("payment_attempts", sa.Column("taken_at", sa.DateTime(timezone=True)))
    op.create_index(
        "payment_attempts_by_merchant_reference", "payment_attempts", ["tenant_id", "provider", "merchant_reference"]
    )
    op.add_column("psp_events", sa.Column("psp_reference", sa.Text))


def downgrade() -> None:
    """Take back."""
    op.drop_column("psp_events", "psp_reference")
    op.drop_index("payment_attempts_by_merchant_reference", "payment_attempts")
    op.drop_column("payment_attempts", "taken_at")
    op.drop_column("payment_attempts", "refusals")
    op.drop_column("payment_attempts", "brought")
