"""An order knows whose row it stands in, so that its poller is told the truth and the rescuer rings for it in time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.add_column("orders", sa.Column("waits_for", sa.Text))


def downgrade() -> None:
    """Take back."""
    op.drop_column("orders", "waits_for")
