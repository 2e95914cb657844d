"""c2a tenants: who may use this installation."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Final

import click

from shared import urls as safe
from shared.cli.database import installation, need_tenant, transaction
from shared.cli.show import json_option, show, show_table, tenant_option
from shared.config import Mode
from shared.plain import plain
from shared.store import tenants
from shared.store.tenants import MOST_PER_MINUTE, Tenant, TenantSettings

STATUS_TIMES: Final = 30
"""How many more status reads than changes a tenant may make (contract section 1)."""


@click.group(
    "tenants",
    epilog="""\b
Examples:
  c2a tenants create "Acme Media"
  c2a tenants list""",
)
def group() -> None:
    """Create tenants, list them, and say where their shoppers go."""


@group.command(
    "list",
    epilog="""\b
Examples:
  c2a tenants list
  c2a tenants list --json""",
)
@json_option
def list_tenants(as_json: bool) -> None:
    """List the tenants: the UUID that --tenant asks for, and the name."""
    with transaction() as conn:
        found = [{"tenant": str(one.tenant_id), "name": plain(one.name)} for one in tenants.listed(conn)]
    if as_json:
        click.echo(json.dumps({"tenants": found}))
    else:
        show_table(found)


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
    own = tenant_id or uuid.uuid4()
    with transaction() as conn:
        tenants.save(conn, Tenant(own, name, _limited(limit).model_copy(update=_urls_of(tenants.get(conn, own)))))
    show({"tenant": str(own), "name": name}, as_json=as_json)


@group.command(
    epilog="""\b
Example:
  c2a tenants urls --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --return-url https://shop.example/thanks"""
)
@tenant_option
@click.option(
    "--return-url", required=True, help="Where shoppers go after a challenge; an empty text: our own plain page."
)
@json_option
def urls(tenant_id: uuid.UUID, return_url: str, as_json: bool) -> None:
    """Set where a tenant's shoppers go, which must be https. (Where its events go: `c2a endpoints`.)"""
    with installation() as (settings, engine):
        judged = _judged("--return-url", return_url, settings.mode)
        with engine.begin() as conn:
            tenant = need_tenant(conn, tenant_id)
            changed = tenant.settings.model_copy(update={"return_url": judged})
            tenants.save(conn, replace(tenant, settings=changed))
    show({"tenant": str(tenant_id), "returnUrl": changed.return_url}, as_json=as_json)


def _judged(option: str, url: str, mode: Mode) -> str:
    """*url* if it may be kept; exits 1 with the reason, which does not repeat it."""
    if not url:
        return url
    try:
        return safe.return_url(url, mode)
    except safe.UnsafeUrl as error:
        raise click.ClickException(f"{option}: {error}") from None


def _urls_of(tenant: Tenant | None) -> dict[str, str]:
    """What a new name and limit leave as it was."""
    if tenant is None or tenant.settings.return_url is None:
        return {}
    return {"return_url": tenant.settings.return_url}


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
