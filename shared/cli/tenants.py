"""c2a tenants: who may use this installation."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import click
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from shared import urls as safe
from shared.cli.database import installation, need_tenant, transaction
from shared.cli.show import json_option, show, show_table, tenant_option
from shared.config import Mode
from shared.plain import plain
from shared.store import tenants
from shared.store.tenants import LONGEST_OFFER_S, MOST_PER_MINUTE, Tenant, TenantSettings

STATUS_TIMES: Final = 30
"""How many more status reads than changes a tenant may make (contract section 1)."""
_NAMES: Final = {
    "return_url": "return_url",
    "offer_life_s": "offer_life_s",
    "single_use": "single_use_offers",
    "storefront": "default_storefront",
}
"""What an option sets, by its parameter."""

limit_option: Final = click.option(
    "--limit", type=click.IntRange(1, MOST_PER_MINUTE), help="Changes a minute; status reads are 30 times it."
)


@click.group(
    "tenants",
    epilog="""\b
Examples:
  c2a tenants create "Acme Media"
  c2a tenants list""",
)
def group() -> None:
    """Create tenants, list them, and set what each has for itself."""


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
@limit_option
@json_option
def create(name: str, tenant_id: uuid.UUID | None, limit: int | None, as_json: bool) -> None:
    """Create the tenant NAME, or give the one with this UUID a new name; what else it has set stays."""
    own = tenant_id or uuid.uuid4()
    with transaction() as conn:
        had = tenants.get(conn, own) or Tenant(own, name, TenantSettings())
        tenants.save(conn, Tenant(own, name, _with(had.settings, _limits(limit))))
    show({"tenant": str(own), "name": name}, as_json=as_json)


@group.command(
    "set",
    epilog="""\b
Examples:
  c2a tenants set --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --return-url https://shop.example/thanks
  c2a tenants set --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --offer-life 1800 --single-use no""",
)
@tenant_option
@limit_option
@click.option("--return-url", help="Where shoppers go after a challenge, https; an empty text: our own plain page.")
@click.option("--offer-life", "offer_life_s", type=click.IntRange(1, LONGEST_OFFER_S), help="Seconds an offer is good.")
@click.option("--single-use", type=click.BOOL, help="Whether an offer may be ordered only once (yes or no).")
@click.option("--storefront", help="The storefront of a request that names none; an empty text: none.")
@json_option
def set_(tenant_id: uuid.UUID, limit: int | None, as_json: bool, **given: Any) -> None:
    """Set what is named, and tell all that the tenant has set; what is not named stays.

    The API knows of it within seconds. (Where its events go: `c2a endpoints`.)
    """
    with installation() as (settings, engine):
        wanted = _limits(limit) | {_NAMES[name]: value for name, value in given.items() if value is not None}
        if wanted.get("return_url"):
            wanted["return_url"] = _judged("--return-url", wanted["return_url"], settings.mode)
        with engine.begin() as conn:
            tenant = need_tenant(conn, tenant_id)
            changed = _with(tenant.settings, wanted)
            tenants.save(conn, replace(tenant, settings=changed))
    show({"tenant": str(tenant_id), "name": plain(tenant.name), **_told(changed)}, as_json=as_json)


def _judged(option: str, url: str, mode: Mode) -> str:
    """*url* if it may be kept; exits 1 with the reason, which does not repeat it."""
    try:
        return safe.return_url(url, mode)
    except safe.UnsafeUrl as error:
        raise click.ClickException(f"{option}: {error}") from None


def _with(settings: TenantSettings, wanted: Mapping[str, Any]) -> TenantSettings:
    """*settings* but for what is wanted otherwise; an empty text is none. Exits 1 where a value may not be set."""
    try:
        return TenantSettings.model_validate(
            settings.model_dump(exclude_unset=True)
            | {name: None if value == "" else value for name, value in wanted.items()}
        )
    except ValidationError as error:
        names = ", ".join(str(fault["loc"][0]) for fault in error.errors(include_input=False))
        raise click.ClickException(f"out of bounds: {names}") from None


def _told(settings: TenantSettings) -> dict[str, Any]:
    """What a tenant has set, by the names of JSON; what is left to the installation is left out."""
    return {to_camel(name): value for name, value in settings.model_dump(exclude_none=True).items()}


def _limits(limit: int | None) -> dict[str, Any]:
    if limit is None:
        return {}
    burst = max(1, limit // 60)  # A second's worth at once.
    return {
        "changes_per_minute": limit,
        "changes_burst": burst,
        "status_per_minute": STATUS_TIMES * limit,
        "status_burst": STATUS_TIMES * burst,
    }
