"""An account has terms the router reads, and an attempt knows why its PSP was chosen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.add_column("psp_accounts", sa.Column("terms", JSONB, server_default=sa.text("'{}'"), nullable=False))
    op.add_column("payment_attempts", sa.Column("route", JSONB))


def downgrade() -> None:
    """Take back."""
    op.drop_column("payment_attempts", "route")
    op.drop_column("psp_accounts", "terms")
