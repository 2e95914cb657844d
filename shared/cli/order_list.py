"""c2a orders list: which orders are there, or are stuck?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from shared.cli.database import installation
from shared.cli.show import json_option, show_table
from shared.domain.states import OrderState
from shared.operate import document
from shared.operate.search import MOST, WINDOW, Page, search
from shared.plain import plain
from shared.store.engine import statements
from shared.store.order_search import Found, Wanted

FORMATS: Final = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d")
LONGEST_MIN: Final = 366 * 24 * 60


@click.command(
    "list",
    epilog="""\b
Exit codes: 0 listed (also where there is none), 1 the database is away, 2 called wrongly.

\b
Examples:
  c2a orders list --stuck
  c2a orders list --correlation order-10042
  c2a orders list --psp-reference pi_3NxKQ2eZvKYlo2C1 --json
  c2a orders list --state failed --last 60
  c2a orders list --customer cu.00.482 --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f""",
)
@click.option("--tenant", "tenant_id", type=click.UUID, help="One tenant; without it all of them.")
@click.option("--number", "tracking_number", metavar="TRK", help="Its tracking number.")
@click.option("--correlation", "correlation_id", metavar="ID", help="The storefront's correlationId.")
@click.option("--customer", "customer_urn", metavar="URN", help="Whose order it is.")
@click.option("--psp-reference", metavar="REF", help="What a PSP calls its charge.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice([s.value for s in OrderState]), help="Once for each."
)
@click.option(
    "--stuck", is_flag=True, help="Live, and parked, overdue, or where it is for 15 minutes without a reason."
)
@click.option("--last", type=click.IntRange(1, LONGEST_MIN), metavar="MINUTES", help="Admitted since then.")
@click.option("--since", type=click.DateTime(FORMATS), help="Admitted at this time (UTC) or later.")
@click.option("--until", type=click.DateTime(FORMATS), help="Admitted before this time (UTC).")
@click.option("--before", metavar="TRK", help="The page after the one that ended with this tracking number.")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True, help="Orders a page.")
@json_option
def list_orders(
    states: tuple[str, ...],
    last: int | None,
    since: datetime | None,
    until: datetime | None,
    before: str | None,
    limit: int,
    as_json: bool,
    **named: Any,
) -> None:
    """List orders, the newest first, a page at a time.

    Without a name, --stuck or a live --state, those of the last 24 hours.
    """
    if last is not None and since is not None:
        raise click.UsageError("--last and --since say the same: give one of them")
    now = datetime.now(UTC)
    first = now - timedelta(minutes=last) if last is not None else _utc(since)
    wanted = Wanted(states=frozenset(map(OrderState, states)), since=first, until=_utc(until), **named)
    with installation() as (_, engine), statements(engine) as conn:
        page = search(conn, wanted, now=now, before=before, limit=limit)
    if as_json:
        click.echo(json.dumps({"orders": [document.of_found(one) for one in page.orders], "next": page.next}))
        return
    _print(page, wanted)


def _print(page: Page, wanted: Wanted) -> None:
    if page.orders:
        show_table([_line(one) for one in page.orders])
    else:
        click.echo(_none(page, wanted))
    if page.next is not None:
        click.echo(f"More: add --before {page.next}")


def _none(page: Page, wanted: Wanted) -> str:
    """That nothing was found, where was looked, and where else one may."""
    if wanted.stuck:
        return "No such order is stuck. Those still within their time: `c2a queues` counts them, --state lists them."
    if page.since:
        return f"No such order in the last {WINDOW.total_seconds() / 3600:g} hours (--since looks further back)."
    return "No such order. It may have another name: see the options in `c2a orders list --help`."


def _line(one: Found) -> dict[str, object]:
    amount = "" if one.amount_minor is None else f"{one.amount_minor} {one.currency}"
    return {
        "order": one.tracking_number,
        "state": f"{one.state}, parked" if one.parked and one.due_at else one.state,
        "amount": amount,
        "admitted": f"{one.admitted_at:%Y-%m-%d %H:%M:%S}",
        "due": "" if one.due_at is None else f"{one.due_at:%Y-%m-%d %H:%M:%S}",
        "why": one.failure or (f"in the row of {one.waits_for}" if one.waits_for else ""),
        "customer": plain(one.customer_urn),
        "correlation": None if one.correlation_id is None else plain(one.correlation_id),
    }


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
