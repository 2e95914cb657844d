"""c2a tenants: who may use this installation."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import click

from shared import urls as safe
from shared.cli.database import installation, need_tenant, transaction
from shared.cli.show import json_option, show, tenant_option
from shared.store import tenants
from shared.store.tenants import MOST_PER_MINUTE, Tenant, TenantSettings

STATUS_TIMES: Final = 30
"""How many more status reads than changes a tenant may make (contract section 1)."""


@click.group("tenants")
def group() -> None:
    """Create tenants and say where their shoppers and events go."""


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
Examples:
  c2a tenants urls --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --return-url https://shop.example/thanks
  c2a tenants urls --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --webhook-url https://hooks.shop.example/c2a"""
)
@tenant_option
@click.option("--return-url", help="Where shoppers go after a challenge; an empty text: our own plain page.")
@click.option("--webhook-url", help="Where events go; an empty text: nowhere.")
@json_option
def urls(tenant_id: uuid.UUID, return_url: str | None, webhook_url: str | None, as_json: bool) -> None:
    """Set where a tenant's shoppers and events go; both must be https, and events go to the public internet only."""
    with installation() as (settings, engine):
        given = {
            "return_url": _judged("--return-url", return_url, partial(safe.return_url, mode=settings.mode)),
            "webhook_url": _judged("--webhook-url", webhook_url, partial(safe.webhook_url, mode=settings.mode)),
        }
        with engine.begin() as conn:
            tenant = need_tenant(conn, tenant_id)
            changed = tenant.settings.model_copy(update={name: url for name, url in given.items() if url is not None})
            tenants.save(conn, replace(tenant, settings=changed))
    shown = {"tenant": str(tenant_id), "returnUrl": changed.return_url, "webhookUrl": changed.webhook_url}
    show(shown, as_json=as_json)


def _judged(option: str, url: str | None, judge: Callable[[str], str]) -> str | None:
    """*url* if it may be kept; exits 1 with the reason, which does not repeat it."""
    if not url:
        return url
    try:
        return judge(url)
    except safe.UnsafeUrl as error:
        raise click.ClickException(f"{option}: {error}") from None


def _urls_of(tenant: Tenant | None) -> dict[str, str | None]:
    """What a new name and limit leave as it was."""
    if tenant is None:
        return {}
    kept = {"return_url": tenant.settings.return_url, "webhook_url": tenant.settings.webhook_url}
    return {name: url for name, url in kept.items() if url is not None}


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
