"""c2a psps: the accounts a tenant is paid through."""

from __future__ import annotations

import json
import uuid
from typing import Any

import click

from shared.cli import psp_check, psp_set, psp_story
from shared.cli.database import installation, need_tenant
from shared.cli.show import json_option, of_tenant, show, show_table, tenant_option
from shared.store import accounts
from shared.store.accounts import Listed


@click.group(
    "psps",
    epilog="""\b
Examples:
  c2a psps list --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f
  c2a psps check stripe --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f
  c2a psps explain --order trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA""",
)
def group() -> None:
    """Set up the PSP accounts of a tenant, try them, and see why an order went where it went."""


@group.command(
    "list",
    epilog="""\b
Example:
  c2a psps list --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --json""",
)
@tenant_option
@json_option
def list_accounts(tenant_id: uuid.UUID, as_json: bool) -> None:
    """List the tenant's accounts, the one that is asked first among equals in front; credentials are never shown."""
    with installation() as (_, engine), engine.begin() as conn:
        need_tenant(conn, tenant_id)
        found = accounts.listed(conn, tenant_id)
    if as_json:
        click.echo(json.dumps({"psps": [_document(one) for one in found]}))
    else:
        show_table([_line(one) for one in found])


@group.command(
    epilog="""\b
Example:
  c2a psps enable stripe --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f"""
)
@of_tenant("provider")
@json_option
def enable(provider: str, tenant_id: uuid.UUID, as_json: bool) -> None:
    """Let the account at PROVIDER take new payments."""
    _enable(tenant_id, provider, as_json=as_json, enabled=True)


@group.command(
    epilog="""\b
Example:
  c2a psps disable stripe --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f"""
)
@of_tenant("provider")
@json_option
def disable(provider: str, tenant_id: uuid.UUID, as_json: bool) -> None:
    """Send no new payments to the account at PROVIDER, from the next order on.

    What was charged or kept there stays in reach: it is looked up, given back and told of as before. Orders that name
    PROVIDER, or a method it keeps, are refused.
    """
    _enable(tenant_id, provider, as_json=as_json, enabled=False)


def _enable(tenant_id: uuid.UUID, provider: str, *, as_json: bool, enabled: bool) -> None:
    with installation() as (_, engine), engine.begin() as conn:
        need_tenant(conn, tenant_id)
        if not accounts.enable(conn, tenant_id, provider, enabled=enabled):
            raise click.ClickException("PROVIDER: this tenant has no such account; `c2a psps list` shows them")
    show({"provider": provider, "tenant": str(tenant_id), "enabled": enabled}, as_json=as_json)


def _document(one: Listed) -> dict[str, Any]:
    terms = one.terms
    return {
        "provider": one.provider,
        "adapter": one.adapter,
        "baseUrl": one.base_url,
        "channels": sorted(one.channels),
        "enabled": one.enabled,
        "rank": one.rank,
        "currencies": None if terms.currencies is None else sorted(terms.currencies),
        "homeCurrencies": sorted(terms.home_currencies),
        "feeBps": terms.fee_bps,
        "feeMinor": terms.fee_minor,
        "callsPerS": terms.calls_per_s,
    }


def _line(one: Listed) -> dict[str, object]:
    terms = one.terms
    return {
        "provider": one.provider,
        "adapter": one.adapter,
        "enabled": "yes" if one.enabled else "no",
        "rank": one.rank,
        "channels": " ".join(sorted(one.channels)),
        "currencies": "any" if terms.currencies is None else " ".join(sorted(terms.currencies)),
        "home": " ".join(sorted(terms.home_currencies)),
        "fee": f"{terms.fee_bps / 100:g} % + {terms.fee_minor}",
        "calls/s": terms.calls_per_s or "",
        "base URL": one.base_url,
    }


group.add_command(psp_set.set_account)
group.add_command(psp_check.check)
group.add_command(psp_story.explain)
