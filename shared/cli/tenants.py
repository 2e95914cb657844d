"""c2a tenants: who may use this installation."""

from __future__ import annotations

import uuid
from typing import Final

import click

from shared.cli.database import transaction
from shared.cli.show import json_option, show
from shared.store import tenants
from shared.store.tenants import MOST_PER_MINUTE, Tenant, TenantSettings

STATUS_TIMES: Final = 30
"""How many more status reads than changes a tenant may make (contract section 1)."""


@click.group("tenants")
def group() -> None:
    """Create tenants."""


@group.command(
    epilog="""\b
Examples:
  c2a tenants create "Acme Media"
  c2a tenants create Demo --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --limit 1000000"""
)
@click.argument("name")
@click.option("--tenant", "tenant_id", type=click.UUID, help="Its UUID; without it a new one is made.")
@click.option(
    "--limit", type=click.IntRange(1, MOST_PER_MINUTE), help="Changes a minute; status reads are 30 times it."
)
@json_option
def create(name: str, tenant_id: uuid.UUID | None, limit: int | None, as_json: bool) -> None:
    """Create the tenant NAME, or give the one with this UUID a new name and limit."""
    tenant = Tenant(tenant_id or uuid.uuid4(), name, _limited(limit))
    with transaction() as conn:
        tenants.save(conn, tenant)
    show({"tenant": str(tenant.tenant_id), "name": name}, as_json=as_json)


def _limited(limit: int | None) -> TenantSettings:
    if limit is None:
        return TenantSettings()
    burst = max(1, limit // 60)  # A second's worth at once.
    return TenantSettings(
        changes_per_minute=limit,
        changes_burst=burst,
        status_per_minute=STATUS_TIMES * limit,
        status_burst=STATUS_TIMES * burst,
    )
