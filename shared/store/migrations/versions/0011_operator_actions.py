"""What operators did to orders, and why; and which webhooks told of a charge."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.store import row_security
from shared.store.row_security import CHANGED

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.create_table(
        "operator_actions",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("action_id", sa.Uuid, nullable=False),
        sa.Column("tracking_number", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("what", JSONB, server_default=sa.text("'{}'"), nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("told", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "action_id"),
        sa.CheckConstraint("outcome IN ('done', 'begun', 'refused')", name="operator_actions_known_outcome"),
    )
    op.create_index("operator_actions_of_order", "operator_actions", ["tenant_id", "tracking_number", "at"])
    op.create_index(
        "psp_events_by_charge",
        "psp_events",
        ["tenant_id", "provider", "psp_reference"],
        postgresql_where=sa.text("psp_reference IS NOT NULL"),
    )
    for statement in row_security.protect("operator_actions", CHANGED):
        op.execute(statement)


def downgrade() -> None:
    """Take back."""
    for statement in row_security.release("operator_actions"):
        op.execute(statement)
    op.drop_index("psp_events_by_charge", "psp_events")
    op.drop_table("operator_actions")
