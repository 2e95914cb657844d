"""Who our tenants are and what each has set for itself."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from shared.store.tables import tenants

MOST_PER_MINUTE: Final = 1_000_000
"""The highest rate limit that can be set: load tests need it, and above it a limit protects nothing."""

LONGEST_OFFER_S: Final = 31 * 86_400
"""An offer lives no longer than idempotency keys do."""


class TenantSettings(BaseModel):
    """What a tenant may set; None: the default of the contract or of the installation.

    Names it does not know are ignored, so that a process of the last release reads what this one wrote.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    offer_life_s: int | None = Field(default=None, ge=1, le=LONGEST_OFFER_S)
    """How long a resolved offer may be ordered (None: Settings.offer_life_s)."""
    single_use_offers: bool = True
    """Whether an offer we resolve may be ordered only once."""
    changes_per_minute: int | None = Field(default=None, ge=1, le=MOST_PER_MINUTE)
    changes_burst: int | None = Field(default=None, ge=1, le=MOST_PER_MINUTE)
    status_per_minute: int | None = Field(default=None, ge=1, le=30 * MOST_PER_MINUTE)
    status_burst: int | None = Field(default=None, ge=1, le=30 * MOST_PER_MINUTE)
    return_url: str | None = Field(default=None, max_length=2_048)
    """Where a shopper goes after a challenge (contract section 6): there exactly, whatever their request says."""
    default_storefront: str | None = Field(default=None, max_length=255)
    """The storefront of a request that names none, where the tenant has several."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant."""

    tenant_id: uuid.UUID
    name: str
    settings: TenantSettings


def save(conn: Connection, tenant: Tenant) -> None:
    """Create *tenant*, or give the one with its id this name and these settings."""
    values = {"name": tenant.name, "settings": tenant.settings.model_dump(mode="json", exclude_unset=True)}
    conn.execute(
        insert(tenants)
        .values(tenant_id=tenant.tenant_id, **values)
        .on_conflict_do_update(index_elements=[tenants.c.tenant_id], set_=values)
    )


def listed(conn: Connection) -> list[Tenant]:
    """Every tenant, by name."""
    rows = conn.execute(select(tenants.c.tenant_id, tenants.c.name, tenants.c.settings).order_by(tenants.c.name))
    return [Tenant(row.tenant_id, row.name, TenantSettings.model_validate(row.settings)) for row in rows]


def ids(conn: Connection) -> list[uuid.UUID]:
    """Every tenant's id."""
    return list(conn.execute(select(tenants.c.tenant_id).order_by(tenants.c.tenant_id)).scalars())


def get(conn: Connection, tenant_id: uuid.UUID) -> Tenant | None:
    """The tenant with this id."""
    row = conn.execute(select(tenants.c.name, tenants.c.settings).where(tenants.c.tenant_id == tenant_id)).one_or_none()
    return row and Tenant(tenant_id, row.name, TenantSettings.model_validate(row.settings))
