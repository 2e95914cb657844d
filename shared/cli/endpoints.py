"""c2a endpoints: where a tenant's events go."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import click
from sqlalchemy import Connection

from shared import urls as safe
from shared.cli import endpoint_log
from shared.cli.database import installation, keyring_of, need_tenant, transaction
from shared.cli.endpoint_log import known
from shared.cli.show import json_option, of_tenant, show, show_table, tenant_option
from shared.domain.tenant_events import EventKind
from shared.store import endpoints
from shared.store.endpoints import Endpoint

OVERLAP_H: Final = 24
"""How long the old secret signs beside the new one: a working day to bring it to the receiver."""
LONGEST_OVERLAP_H: Final = 7 * 24


@click.group(
    "endpoints",
    epilog="""\b
Examples:
  c2a endpoints add https://shop.example/c2a-events --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f
  c2a endpoints list --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f""",
)
def group() -> None:
    """Say where a tenant's events go (Standard Webhooks), and see what became of each."""


@group.command(
    epilog="""\b
Examples:
  c2a endpoints add https://shop.example/c2a-events --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f
  c2a endpoints add https://shop.example/sales --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --event checkout.done"""
)
@of_tenant("url")
@click.option(
    "--event", "kinds", multiple=True, type=click.Choice([kind.value for kind in EventKind]), help="Without it: all."
)
@json_option
def add(url: str, tenant_id: uuid.UUID, kinds: tuple[str, ...], as_json: bool) -> None:
    """Send the tenant's events to URL, from now on, and print the secret that signs them: this once.

    URL must be https, and its host on the public internet, unless C2A_MODE is development.
    """
    with installation() as (settings, engine):
        ring = keyring_of(settings)
        try:
            safe.webhook_url(url, settings.mode)
        except safe.UnsafeUrl as error:
            raise click.ClickException(f"URL: {error}") from None
        with engine.begin() as conn:
            need_tenant(conn, tenant_id)
            try:
                made, secret = endpoints.add(
                    conn, ring, tenant_id, url, [EventKind(kind) for kind in kinds or EventKind]
                )
            except endpoints.TooMany as error:
                raise click.ClickException(f"--tenant: {error}") from None
    shown = {"endpointId": made.endpoint_id, "tenant": str(tenant_id), "url": url, "events": made.kinds}
    show(shown | {"secret": secret}, as_json=as_json)


@group.command(
    "list",
    epilog="""\b
Example:
  c2a endpoints list --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f""",
)
@tenant_option
@json_option
def list_endpoints(tenant_id: uuid.UUID, as_json: bool) -> None:
    """List the tenant's endpoints and how they are doing; secrets are never shown."""
    with transaction() as conn:
        need_tenant(conn, tenant_id)
        found = endpoints.listed(conn, tenant_id)
    if as_json:
        click.echo(json.dumps({"endpoints": [_record(one) for one in found]}))
    else:
        show_table([_record(one) | {"events": _kinds(one)} for one in found])


@group.command(
    epilog="""\b
Example:
  c2a endpoints rotate ep_0f3a5c2aa1bf5da6 --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f"""
)
@of_tenant("endpoint_id")
@click.option(
    "--overlap-hours",
    type=click.IntRange(0, LONGEST_OVERLAP_H),
    default=OVERLAP_H,
    show_default=True,
    help="How long the old secret signs beside the new one.",
)
@json_option
def rotate(endpoint_id: str, tenant_id: uuid.UUID, overlap_hours: int, as_json: bool) -> None:
    """Give ENDPOINT_ID a new secret and print it: this once. Until the overlap ends, both sign."""
    with installation() as (settings, engine):
        ring = keyring_of(settings)
        with engine.begin() as conn:
            need_tenant(conn, tenant_id)
            with known():
                overlap = timedelta(hours=overlap_hours)
                secret = endpoints.rotate(conn, ring, tenant_id, endpoint_id, overlap=overlap)
    show({"endpointId": endpoint_id, "tenant": str(tenant_id), "secret": secret}, as_json=as_json)


@group.command(
    epilog="""\b
Example:
  c2a endpoints pause ep_0f3a5c2aa1bf5da6 --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f"""
)
@of_tenant("endpoint_id")
@json_option
def pause(endpoint_id: str, tenant_id: uuid.UUID, as_json: bool) -> None:
    """Send ENDPOINT_ID nothing until it is resumed; its events wait, for 31 days at most."""
    _set(endpoints.pause, tenant_id, endpoint_id, "paused", as_json=as_json)


@group.command(
    epilog="""\b
Example:
  c2a endpoints resume ep_0f3a5c2aa1bf5da6 --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f"""
)
@of_tenant("endpoint_id")
@json_option
def resume(endpoint_id: str, tenant_id: uuid.UUID, as_json: bool) -> None:
    """Send ENDPOINT_ID what waits for it: one event first, and the rest once it took that."""
    _set(endpoints.resume, tenant_id, endpoint_id, "active", as_json=as_json)


@group.command(
    epilog="""\b
Example:
  c2a endpoints remove ep_0f3a5c2aa1bf5da6 --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f"""
)
@of_tenant("endpoint_id")
@json_option
def remove(endpoint_id: str, tenant_id: uuid.UUID, as_json: bool) -> None:
    """Forget ENDPOINT_ID and its secrets; it is told nothing more."""
    _set(endpoints.remove, tenant_id, endpoint_id, "removed", as_json=as_json)


def _set(
    change: Callable[[Connection, uuid.UUID, str], None],
    tenant_id: uuid.UUID,
    endpoint_id: str,
    state: str,
    *,
    as_json: bool,
) -> None:
    with transaction() as conn:
        need_tenant(conn, tenant_id)
        with known():
            change(conn, tenant_id, endpoint_id)
    show({"endpointId": endpoint_id, "tenant": str(tenant_id), "state": state}, as_json=as_json)


def _kinds(one: Endpoint) -> str:
    return "all" if set(one.kinds) == set(EventKind) else ", ".join(one.kinds)


def _record(one: Endpoint) -> dict[str, object]:
    def shown(moment: datetime | None) -> str | None:
        return None if moment is None else moment.isoformat(timespec="seconds")

    return {
        "endpointId": one.endpoint_id,
        "state": one.state if one.paused_why is None else f"{one.state}: {one.paused_why}",
        "failures": one.failures,
        "failingSince": shown(one.failing_since),
        "heldUntil": shown(one.held_until),
        "oldSecretUntil": shown(one.secret_before_until),
        "createdAt": shown(one.created_at),
        "events": one.kinds,
        "url": one.url,
    }


group.add_command(endpoint_log.list_deliveries)
group.add_command(endpoint_log.replay)
