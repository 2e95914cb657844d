"""c2a events: what PSPs told us, and telling it again."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any, Final

import click

from shared.cli.database import installation, keyring_of
from shared.cli.order_actions import CODES, asked, asks_why, desk, surely, told
from shared.cli.show import json_option, show_table
from shared.operate import document, news, story
from shared.operate.actions import OtherAction
from shared.operate.news import Meant, NoSuchEvent
from shared.plain import plain
from shared.store import inbox_search
from shared.store.engine import one_moment, statements
from shared.store.inbox_search import Event

MOST: Final = 200


@click.group(
    "events",
    epilog="""\b
Examples:
  c2a events list
  c2a events replay evt_3NxKQ2 --why "the order is there now" """,
)
def group() -> None:
    """See what PSPs told by their webhooks, and have it settled again."""


@group.command(
    "list",
    epilog="""\b
Exit codes: 0 listed (also where there is none), 1 the database is away, 2 called wrongly.

\b
Examples:
  c2a events list
  c2a events list --order trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA
  c2a events list --psp-reference pi_3NxKQ2eZvKYlo2C1 --json""",
)
@click.option("--tenant", "tenant_id", type=click.UUID, help="One tenant; without it all of them.")
@click.option("--order", "number", metavar="TRK", help="What was told of this order's charges.")
@click.option("--psp-reference", metavar="REF", help="What was told of the charge of this name.")
@click.option("--after", metavar="PLACE", help="The page after the one that ended there.")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True, help="Events a page.")
@json_option
def list_events(
    tenant_id: uuid.UUID | None,
    number: str | None,
    psp_reference: str | None,
    after: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the events that are parked: kept, and not settled, because no attempt of ours is known for them.

    With --order or --psp-reference those of a charge, the settled ones among them.
    """
    if number is not None:
        _print(_of_order(number), None, as_json=as_json)
        return
    with installation() as (_, engine), statements(engine) as conn:
        if psp_reference is not None:
            found = inbox_search.of_charge(conn, psp_reference, tenant_id=tenant_id, limit=limit)
            _print([_line(one) for one in found], None, as_json=as_json)
            return
        found = inbox_search.parked(conn, tenant_id=tenant_id, after=_place(after), limit=limit + 1)
    shown = found[:limit]
    more = f"{shown[-1].received_at.isoformat()} {shown[-1].event_id}" if len(found) > limit else None
    _print([_line(one) for one in shown], more, as_json=as_json)


@group.command(
    "replay",
    epilog=f"""{CODES}
\b
Examples:
  c2a events replay evt_3NxKQ2 --why "the order is there now"
  c2a events replay evt_3NxKQ2 --order trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA --why "the PSP's console names it" """,
)
@click.argument("event_id", metavar="EVENT")
@asks_why
@click.option("--tenant", "tenant_id", type=click.UUID, help="Whose event it is, where two have the same id.")
@click.option("--provider", metavar="NAME", help="Which PSP told it, where two have the same id.")
@click.option("--order", "number", metavar="TRK", help="Whose charge it speaks of, where the event alone does not say.")
@click.option("--attempt", "attempt_no", type=click.IntRange(1), help="Which attempt of that order.")
def replay(
    event_id: str,
    tenant_id: uuid.UUID | None,
    provider: str | None,
    number: str | None,
    attempt_no: int | None,
    who: str,
    why: str,
    action_id: uuid.UUID | None,
    as_json: bool,
) -> None:
    """Settle a parked EVENT now, as if it had just arrived.

    One that was settled is refused: it had its effect. `c2a orders retry` asks the PSP itself.
    """
    if attempt_no is not None and number is None:
        raise click.UsageError("--attempt: name its order with --order")
    by = asked(who, why, action_id)
    with desk() as own:
        with statements(own.engine) as conn:
            found = inbox_search.named(conn, event_id, tenant_id=tenant_id, limit=MOST)
        mine = [one for one in found if provider in (None, one.provider)]
        if not mine:
            raise click.ClickException("EVENT: the inbox has no such event; `c2a events list` shows the parked ones")
        if len(mine) > 1:
            raise click.ClickException("EVENT: several have this id; name --provider and --tenant")
        meant = None if number is None else Meant(number, attempt_no)
        try:
            with surely(by):
                acted = news.replay(own, news.name_of(mine[0]), by, meant)
        except NoSuchEvent:
            raise click.ClickException("EVENT: the inbox has no such event any more") from None
        except OtherAction as error:
            raise click.ClickException(f"--id: {error}") from None
    told(acted, as_json=as_json)


def _of_order(number: str) -> list[dict[str, Any]]:
    with installation() as (settings, engine):
        ring = keyring_of(settings)
        with one_moment(engine) as conn:
            order = story.find(conn, number)
            if order is None:
                raise click.ClickException("--order: there is no such order")
            return list(document.of_story(story.read(conn, order, ring))["webhooks"])


def _line(one: Event) -> dict[str, Any]:
    return {
        "eventId": one.event_id,
        "provider": one.provider,
        "tenant": str(one.tenant_id),
        "kind": one.kind,
        "pspReference": one.psp_reference,
        "merchantReference": one.merchant_reference,
        "receivedAt": one.received_at.isoformat(),
        "settledAt": None if one.settled_at is None else one.settled_at.isoformat(),
    }


def _print(lines: list[dict[str, Any]], more: str | None, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"events": lines, "next": more}))
        return
    if lines:
        show_table(
            [{name: None if value is None else plain(str(value)) for name, value in one.items()} for one in lines]
        )
    else:
        click.echo("No such event; without --order or --psp-reference, parked ones alone are listed.")
    if more is not None:
        click.echo(f'More: add --after "{plain(more)}"')


def _place(after: str | None) -> inbox_search.Place | None:
    if after is None:
        return None
    moment, _, event_id = after.partition(" ")
    try:
        return datetime.fromisoformat(moment), event_id
    except ValueError:
        raise click.UsageError("--after: what the page before ended with") from None
