"""Who sells through us: tenants, the keys they call with, and their accounts at PSPs."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.store.tables.columns import metadata, now, tenant, time

tenants: Final = Table(
    "tenants",
    metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("settings", JSONB, nullable=False, server_default=text("'{}'")),
    now("created_at"),
)
"""settings: see shared/store/tenants.py (TenantSettings)."""

api_keys: Final = Table(
    "api_keys",
    metadata,
    tenant(),
    Column("key_hash", LargeBinary, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("role", Text, nullable=False),
    now("created_at"),
    time("expires_at"),
    time("revoked_at"),
    PrimaryKeyConstraint("tenant_id", "key_hash"),
    # The key alone finds its row; 160 random bits never meet by chance, so this tells no tenant of another.
    Index("api_keys_by_hash", "key_hash", unique=True),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
    CheckConstraint("role IN ('storefront', 'read_only', 'operator')", name="api_keys_known_role"),
)

psp_accounts: Final = Table(
    "psp_accounts",
    metadata,
    tenant(),
    Column("provider", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("adapter", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("channels", ARRAY(Text), nullable=False),
    Column("credentials", LargeBinary, nullable=False),  # Sealed by the keyring.
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("rank", Integer, nullable=False, server_default=text("100")),  # Lower is asked first.
    Column("terms", JSONB, nullable=False, server_default=text("'{}'")),  # AccountTerms (shared/psp/port.py).
    PrimaryKeyConstraint("tenant_id", "provider"),
    UniqueConstraint("account_id", name="psp_accounts_one_webhook_address"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"]),
)
