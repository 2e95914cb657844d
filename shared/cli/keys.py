"""c2a keys: what a tenant's programs show to be let in."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import click

from shared.cli.database import need_tenant, transaction
from shared.cli.show import json_option, show, tenant_option
from shared.store import keys
from shared.store.keys import KeyRole


@click.group("keys")
def group() -> None:
    """Create API keys."""


@group.command(
    epilog="""\b
Examples:
  c2a keys create --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --role storefront
  c2a keys create --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --role read_only --live --days 90"""
)
@tenant_option
@click.option("--role", type=click.Choice([role.value for role in KeyRole]), required=True, help="What it may do.")
@click.option("--live", is_flag=True, help="A live key (sk_live_, pk_live_); without it one for development.")
@click.option("--days", type=click.IntRange(1, 3650), help="How many days it is good for; without it for ever.")
@json_option
def create(tenant_id: uuid.UUID, role: str, live: bool, days: int | None, as_json: bool) -> None:
    """Create a key and print it: this once, for only its digest is kept."""
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with transaction() as conn:
        need_tenant(conn, tenant_id)
        key = keys.create(conn, tenant_id, KeyRole(role), live=live, expires_at=expires_at)
    show({"apiKey": key, "role": role, "tenant": str(tenant_id)}, as_json=as_json)
