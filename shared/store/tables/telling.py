"""Where tenants are told of their events, and what is still to be sent there."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)

from shared.store.tables.columns import metadata, now, tenant, time

event_endpoints: Final = Table(
    "event_endpoints",
    metadata,
    tenant(),
    Column("endpoint_id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("kinds", ARRAY(Text), nullable=False),  # Of which events it is told.
    Column("secret", LargeBinary),  # Sealed by the keyring; NULL once removed.
    Column("secret_before", LargeBinary),  # The one before a rotation: signs beside the new one for a while.
    time("secret_before_until"),
    Column("state", Text, nullable=False, server_default=text("'active'")),
    Column("paused_why", Text),  # operator, failing, gone.
    Column("failures", Integer, nullable=False, server_default=text("0")),  # Tries in vain since one was not.
    Column("holds", Integer, nullable=False, server_default=text("0")),  # How often it was left alone since then.
    time("failing_since"),
    time("held_until"),
    now("created_at"),
    # Every move of its tenant up to here, by the database's clock, has its delivery: see shared/store/reader.py.
    now("read_to"),
    PrimaryKeyConstraint("tenant_id", "endpoint_id"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
    CheckConstraint("state IN ('active', 'paused', 'removed')", name="event_endpoints_known_state"),
    CheckConstraint("(secret IS NULL) = (state = 'removed')", name="event_endpoints_removed_has_no_secret"),
)
"""Where a tenant is told of its events."""

tenant_events: Final = Table(
    "tenant_events",
    metadata,
    tenant(),
    Column("event_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("place", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    PrimaryKeyConstraint("tenant_id", "event_id"),
)
"""Events that no move of an order tells, written by the transaction that makes them true, until deliveries are made of
them. What a move tells is read from order_events."""

event_deliveries: Final = Table(
    "event_deliveries",
    metadata,
    tenant(),
    Column("endpoint_id", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("place", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),  # When it happened.
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    Column("tries", SmallInteger, nullable=False, server_default=text("0")),
    now("due_at"),
    time("claimed_until"),  # Somebody sends it now; who has not said what came of it by then is dead.
    Column("answer", Text),  # To the last try: its status, or why there was none.
    now("created_at"),
    time("ended_at"),
    PrimaryKeyConstraint("tenant_id", "endpoint_id", "event_id"),
    CheckConstraint("state IN ('waiting', 'delivered', 'parked')", name="event_deliveries_known_state"),
    CheckConstraint("(ended_at IS NULL) = (state = 'waiting')", name="event_deliveries_ended_or_waiting"),
    Index("event_deliveries_due", "tenant_id", "endpoint_id", "due_at", postgresql_where=text("state = 'waiting'")),
    Index(
        "event_deliveries_in_order",
        "tenant_id",
        "endpoint_id",
        "subject",
        "place",
        postgresql_where=text("state = 'waiting'"),
    ),
    Index(
        "event_deliveries_claimed",
        "tenant_id",
        "endpoint_id",
        "claimed_until",
        postgresql_where=text("claimed_until IS NOT NULL"),
    ),
    Index("event_deliveries_by_age", "created_at", postgresql_using="brin"),
)
"""One row for each event and endpoint: what is still to be sent, and the log of what was."""
