"""c2a psps explain: what was asked of whom for an order, why of these, and who would be asked now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from shared.cli.database import installation, keyring_of, records_of
from shared.cli.show import json_option
from shared.domain.states import OrderState
from shared.keyring import CannotOpen, Keyring
from shared.plain import plain
from shared.psp.factory import psp_for
from shared.psp.record import Records
from shared.psp.router import choose
from shared.psp.scores import WEIGHTS
from shared.routing import candidates_of, need_of
from shared.store import accounts, attempt_stories, attempts, methods, orders
from shared.store.attempt_stories import AttemptStory
from shared.store.orders import Order

AWAITS_PAYMENT: Final = frozenset({OrderState.OFFER_LOCKED})
_SHORT: Final = {"response_time": "time", "geography": "home"}
FORMULA: Final = "score = " + " + ".join(f"{weight:.2f} {_SHORT.get(part, part)}" for part, weight in WEIGHTS.items())


@click.command(
    epilog="""\b
Example:
  c2a psps explain --order trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA"""
)
@click.option("--order", "number", required=True, metavar="TRACKING_NUMBER", help="The order.")
@json_option
def explain(number: str, as_json: bool) -> None:
    """Tell the story of an order's payment: who was asked, with all scores as they stood, and who would be now.

    An order that waits to be paid shows what it would do next; any other, what a new order like it would do.
    """
    with installation() as (settings, engine):
        ring = keyring_of(settings)
        with engine.begin() as conn:
            order = orders.get(conn, number)
            if order is None:
                raise click.ClickException("--order: there is no such order")
            story = attempt_stories.of_order(conn, order.tenant_id, number)
            now = _now(conn, ring, order, records_of(settings))
    if as_json:
        click.echo(json.dumps(_document(order, story, now)))
    else:
        _print(order, story, now)


def _now(conn: Connection, ring: Keyring, order: Order, records: Records) -> dict[str, Any] | None:
    """Whom the router would choose at this moment; None before the order's amount is fixed."""
    if order.amount_minor is None:
        return None
    waits = order.state in AWAITS_PAYMENT
    earlier = attempts.of_order(conn, order.tenant_id, order.tracking_number) if waits else []
    method = methods.get(conn, order.tenant_id, order.stored_method_urn) if order.stored_method_urn else None
    try:
        enabled = accounts.for_tenant(conn, ring, order.tenant_id)
    except CannotOpen:
        raise click.ClickException("the accounts' credentials open with no key of C2A_KEYRING") from None
    need = need_of(order, earlier, token_at=method.provider if method else None)
    route = choose(candidates_of(enabled, psp_for, records(enabled)), need)
    return route.document() | {"for": "this order" if waits else "a new order like it"}


def _document(order: Order, story: list[AttemptStory], now: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "trackingNumber": order.tracking_number,
        "tenant": str(order.tenant_id),
        "state": order.state,
        "failure": order.failure,
        "channel": order.channel,
        "amountMinor": order.amount_minor,
        "currency": order.currency,
        "forcedProvider": order.forced_provider,
        "storedMethod": order.stored_method_urn is not None,
        "attempts": [
            {
                "attempt": one.attempt_no,
                "provider": one.provider,
                "outcome": one.outcome,
                "reason": one.reason,
                "pspReference": one.psp_reference,
                "startedAt": one.started_at.isoformat(),
                "askedAt": one.asked_at.isoformat(),
                "settledAt": None if one.settled_at is None else one.settled_at.isoformat(),
                "lookUps": one.looks,
                "route": one.route,
            }
            for one in story
        ],
        "now": now,
    }


def _print(order: Order, story: list[AttemptStory], now: dict[str, Any] | None) -> None:
    console = Console()
    for line in _head(order):
        console.print(line, soft_wrap=True)
    for one in story:
        console.print(_told(one), soft_wrap=True)
        _print_route(console, one.route)
    if now is None:
        console.print(Text("\nIts amount is not fixed yet: nobody was asked."))
        return
    chosen = now["chosen"] or "nobody"
    console.print(Text(f"\nNow the router would choose {chosen} for {now['for']}", style="bold"), soft_wrap=True)
    _print_route(console, now)
    console.print(Text(f"  {FORMULA}"), soft_wrap=True)


def _head(order: Order) -> Iterator[Text]:
    amount = "" if order.amount_minor is None else f", {order.amount_minor} {order.currency} (minor units)"
    failure = f" ({order.failure})" if order.failure else ""
    yield Text(f"{order.tracking_number}: {order.state}{failure}, {order.channel}{amount}", style="bold")
    if order.forced_provider:
        yield Text(f"The storefront asked for {plain(order.forced_provider)}: nobody else is asked.")
    if order.stored_method_urn:
        yield Text("It is paid with a stored method: only the PSP that keeps it is asked.")


def _told(one: AttemptStory) -> Text:
    said = f": {one.reason}" if one.reason else ""
    reference = f", their {plain(one.psp_reference)}" if one.psp_reference else ""
    ended = f", settled {_at(one.settled_at)}" if one.settled_at else ""
    again = f", last asked {_at(one.asked_at)}" if one.asked_at != one.started_at else ""
    when = f"asked {_at(one.started_at)}{again}{ended}"
    return Text(f"\nAttempt {one.attempt_no} at {one.provider}: {one.outcome}{said} ({when}{reference})", style="bold")


def _print_route(console: Console, route: Mapping[str, Any] | None) -> None:
    if route is None:
        console.print(Text("  Why of this one was not kept."))
        return
    if route["ranked"]:
        console.print(_table(route["ranked"]))
    for one in route["leftOut"]:
        console.print(Text(f"  {one['provider']} was left out: {one['why']}"), soft_wrap=True)


def _table(ranked: list[Mapping[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("  ", "score", *(_SHORT.get(part, part) for part in WEIGHTS)):
        table.add_column(column, no_wrap=True)
    table.add_column("of late", overflow="fold")
    for one in ranked:
        parts = [f"{one[part]:.3f}" for part in WEIGHTS]
        late = f"{one['successes']}/{one['calls']} in {one['meanMs']} ms" if one["calls"] else "not called"
        table.add_row(f"  {one['provider']}", f"{one['score']:.3f}", *parts, late)
    return table


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
