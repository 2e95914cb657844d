"""c2a endpoints deliveries, replay: what was sent to an endpoint, and sending it again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import click

from shared.cli.database import need_tenant, transaction
from shared.cli.show import json_option, of_tenant, show, show_table
from shared.domain.tenant_events import MOST_KEPT_DAYS
from shared.store import deliveries, endpoints
from shared.store.deliveries import Logged

SHOWN: Final = 50
MOST_SHOWN: Final = 10_000


@contextmanager
def known() -> Iterator[None]:
    """Exits 1 where an endpoint that is asked for within is not there."""
    try:
        yield
    except endpoints.NoSuchEndpoint:
        raise click.ClickException(
            "ENDPOINT_ID: this tenant has no such endpoint; `c2a endpoints list` shows them"
        ) from None


@click.command(
    "deliveries",
    epilog="""\b
Examples:
  c2a endpoints deliveries ep_0f3a5c2aa1bf5da6 --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f
  c2a endpoints deliveries ep_0f3a5c2aa1bf5da6 --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --state parked""",
)
@of_tenant("endpoint_id")
@click.option("--state", type=click.Choice(["waiting", "delivered", "parked"]), help="Those in one state alone.")
@click.option("--limit", type=click.IntRange(1, MOST_SHOWN), default=SHOWN, show_default=True)
@json_option
def list_deliveries(endpoint_id: str, tenant_id: uuid.UUID, state: str | None, limit: int, as_json: bool) -> None:
    """List what was sent, or is to be sent, to ENDPOINT_ID, the newest first."""
    with transaction() as conn:
        need_tenant(conn, tenant_id)
        with known():
            endpoints.need(conn, tenant_id, endpoint_id)
        found = [_record(one) for one in deliveries.logged(conn, tenant_id, endpoint_id, state=state, limit=limit)]
    if as_json:
        click.echo(json.dumps({"deliveries": found}))
    else:
        show_table(found)


@click.command(
    "replay",
    epilog="""\b
Examples:
  c2a endpoints replay ep_0f3a... --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --event-id evt_01J..._5
  c2a endpoints replay ep_0f3a... --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --parked
  c2a endpoints replay ep_0f3a... --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --last-hours 6""",
)
@of_tenant("endpoint_id")
@click.option("--event-id", "event_ids", multiple=True, help="These events.")
@click.option("--parked", is_flag=True, help="Those that were given up.")
@click.option("--last-hours", type=click.IntRange(1, MOST_KEPT_DAYS * 24), help="Those of the last hours.")
@json_option
def replay(
    endpoint_id: str,
    tenant_id: uuid.UUID,
    event_ids: tuple[str, ...],
    parked: bool,
    last_hours: int | None,
    as_json: bool,
) -> None:
    """Send ENDPOINT_ID again what was sent before, under the same ids; of what waits, nothing changes."""
    if not (event_ids or parked or last_hours):
        raise click.UsageError("say which: --event-id, --parked or --last-hours")
    since = None if last_hours is None else timedelta(hours=last_hours)
    with transaction() as conn:
        need_tenant(conn, tenant_id)
        with known():
            endpoints.need(conn, tenant_id, endpoint_id)
        count = deliveries.replay(conn, tenant_id, endpoint_id, events=event_ids, since=since, parked=parked)
    show({"endpointId": endpoint_id, "tenant": str(tenant_id), "sentAgain": count}, as_json=as_json)


def _record(one: Logged) -> dict[str, object]:
    ended = None if one.ended_at is None else one.ended_at.isoformat(timespec="seconds")
    return {
        "eventId": one.event_id,
        "type": one.kind,
        "about": one.subject,
        "state": one.state,
        "tries": one.tries,
        "answer": one.answer,
        "createdAt": one.created_at.isoformat(timespec="seconds"),
        "dueAt": one.due_at.isoformat(timespec="seconds") if one.state == "waiting" else None,
        "endedAt": ended,
    }
