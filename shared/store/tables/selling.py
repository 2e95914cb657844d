"""What is sold, to whom, and the ways to pay that shoppers let us keep."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.store.tables.columns import metadata, now, tenant

catalogue: Final = Table(
    "catalogue",
    metadata,
    tenant(),
    Column("kind", Text, nullable=False),
    Column("identifier", Text, nullable=False),
    Column("storefront_urn", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    PrimaryKeyConstraint("tenant_id", "kind", "identifier"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
    CheckConstraint("kind IN ('bundle', 'promotion')", name="catalogue_known_kind"),
)
"""What offers are resolved from; document: see shared/store/catalogue.py."""

customers: Final = Table(
    "customers",
    metadata,
    tenant(),
    Column("customer_urn", Text, nullable=False),
    now("created_at"),
    PrimaryKeyConstraint("tenant_id", "customer_urn"),
)
"""Whoever we resolved an offer for or keep a method of."""

offers: Final = Table(
    "offers",
    metadata,
    tenant(),
    Column("offer_identifier", Text, nullable=False),
    Column("customer_urn", Text),  # NULL: anybody's.
    Column("purchasable", Boolean, nullable=False),
    Column("single_use", Boolean, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("currency", Text, nullable=False),
    # What admission judges without parsing the snapshot: cart line -> most units, installment -> its bundle.
    Column("lines", JSONB, nullable=False),
    Column("installments", JSONB, nullable=False),
    Column("snapshot", JSONB, nullable=False),  # The offer as it was answered; its prices are what is charged.
    now("created_at"),
    PrimaryKeyConstraint("tenant_id", "offer_identifier"),
)
"""Immutable. A line is "item" for a bundle and "parent>item" for an add-on."""

stored_methods: Final = Table(
    "stored_methods",
    metadata,
    tenant(),
    Column("method_urn", Text, nullable=False),
    Column("customer_urn", Text, nullable=False),
    Column("number", Integer, nullable=False),  # The n of pm.<customer>.<n>.
    Column("channel", Text, nullable=False),
    Column("provider", Text, nullable=False),  # A token belongs to the PSP that minted it.
    Column("token", LargeBinary),  # Sealed by the keyring; NULL once deleted.
    Column("masked_number", Text),
    Column("card_type", Text),
    Column("expire_month", Text),
    Column("expire_year", Text),
    Column("alias", Text),
    Column("state", Text, nullable=False, server_default=text("'Active'")),
    Column("tracking_number", Text),  # The order that stored it, if one did.
    now("stored_at"),
    PrimaryKeyConstraint("tenant_id", "method_urn"),
    # One order stores at most one method, however often its step runs.
    Index(
        "stored_methods_one_per_order",
        "tenant_id",
        "tracking_number",
        unique=True,
        postgresql_where=text("tracking_number IS NOT NULL"),
    ),
    Index("stored_methods_of_customer", "tenant_id", "customer_urn"),
    CheckConstraint("state IN ('Active', 'Inactive', 'Deleted')", name="stored_methods_known_state"),
    CheckConstraint("(token IS NULL) = (state = 'Deleted')", name="stored_methods_deleted_has_no_token"),
)
