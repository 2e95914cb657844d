"""What operators did, and what they were answered."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from shared.store.tables.columns import metadata, now, tenant

operator_actions: Final = Table(
    "operator_actions",
    metadata,
    tenant(),
    Column("action_id", Uuid, nullable=False),  # Minted by whoever asks, so that asking twice is acting once.
    Column("tracking_number", Text),  # NULL: a webhook that leads to no order.
    Column("action", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("what", JSONB, nullable=False, server_default=text("'{}'")),  # What was asked for beyond the action itself.
    Column("outcome", Text, nullable=False),
    Column("told", Text, nullable=False),  # What the operator was answered.
    now("at"),
    PrimaryKeyConstraint("tenant_id", "action_id"),
    Index("operator_actions_of_order", "tenant_id", "tracking_number", "at"),
    CheckConstraint("outcome IN ('done', 'begun', 'refused')", name="operator_actions_known_outcome"),
)
"""Every action of an operator, the refused ones included. begun: money is on its way, and the order's story tells how
it ends."""
