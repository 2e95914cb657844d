"""Overdue rows are found a state at a time, and moves are counted by when they happened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this revision."""
    live = sa.text("due_at IS NOT NULL")
    op.drop_index("orders_due", table_name="orders", postgresql_where=live)
    op.create_index("orders_due", "orders", ["state", "due_at"], unique=False, postgresql_where=live)
    op.create_index(
        "order_events_by_time",
        "order_events",
        ["at"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on", "pages_per_range": "32"},
    )


def downgrade() -> None:
    """Take back."""
    live = sa.text("due_at IS NOT NULL")
    op.drop_index("order_events_by_time", table_name="order_events", postgresql_using="brin")
    op.drop_index("orders_due", table_name="orders", postgresql_where=live)
    op.create_index("orders_due", "orders", ["due_at"], unique=False, postgresql_where=live)
