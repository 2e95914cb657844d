"""A tenant has endpoints that hear its events, with a log of what was sent to each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.store import row_security

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

API_MAY = {
    # Whether there is anybody to tell; where, and under which secret, is none of its business.
    "event_endpoints": "SELECT (tenant_id, state)",
    "tenant_events": row_security.ADDED,
    "event_deliveries": None,
}


def upgrade() -> None:
    """Bring the schema to this revision."""
    _add_endpoints()
    _add_events()
    _add_deliveries()
    for table, api_may in API_MAY.items():
        for statement in row_security.protect(table, api_may):
            op.execute(statement)


def _add_endpoints() -> None:
    op.create_table(
        "event_endpoints",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("endpoint_id", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("kinds", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("secret", sa.LargeBinary),
        sa.Column("secret_before", sa.LargeBinary),
        sa.Column("secret_before_until", sa.DateTime(timezone=True)),
        sa.Column("state", sa.Text, server_default=sa.text("'active'"), nullable=False),
        sa.Column("paused_why", sa.Text),
        sa.Column("failures", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("holds", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True)),
        sa.Column("held_until", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("read_to", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "endpoint_id"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
        sa.CheckConstraint("state IN ('active', 'paused', 'removed')", name="event_endpoints_known_state"),
        sa.CheckConstraint("(secret IS NULL) = (state = 'removed')", name="event_endpoints_removed_has_no_secret"),
    )


def _add_events() -> None:
    op.create_table(
        "tenant_events",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "event_id"),
    )


def _add_deliveries() -> None:
    op.create_table(
        "event_deliveries",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("endpoint_id", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text, server_default=sa.text("'waiting'"), nullable=False),
        sa.Column("tries", sa.SmallInteger, server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True)),
        sa.Column("answer", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "endpoint_id", "event_id"),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'parked')", name="event_deliveries_known_state"),
        sa.CheckConstraint("(ended_at IS NULL) = (state = 'waiting')", name="event_deliveries_ended_or_waiting"),
    )
    waiting = sa.text("state = 'waiting'")
    of_endpoint = ["tenant_id", "endpoint_id"]
    op.create_index("event_deliveries_due", "event_deliveries", [*of_endpoint, "due_at"], postgresql_where=waiting)
    op.create_index(
        "event_deliveries_in_order", "event_deliveries", [*of_endpoint, "subject", "place"], postgresql_where=waiting
    )
    op.create_index(
        "event_deliveries_claimed",
        "event_deliveries",
        [*of_endpoint, "claimed_until"],
        postgresql_where=sa.text("claimed_until IS NOT NULL"),
    )
    op.create_index("event_deliveries_by_age", "event_deliveries", ["created_at"], postgresql_using="brin")


def downgrade() -> None:
    """Take back."""
    for table in API_MAY:
        for statement in row_security.release(table):
            op.execute(statement)
        op.drop_table(table)
