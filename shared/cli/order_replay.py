"""c2a orders replay: does today's state machine make of an order's record what its row says?"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

import click
from sqlalchemy import Connection, Engine

from shared.cli.database import installation
from shared.cli.order_list import LONGEST_MIN
from shared.cli.show import json_option, show_table
from shared.operate import story
from shared.operate.replay import Difference, replay
from shared.operate.search import MOST, search
from shared.store import order_stories
from shared.store.engine import one_moment
from shared.store.order_search import Wanted
from shared.store.orders import Order

DIFFERS: Final = 1
SHOWN: Final = 100
"""Differences that are shown: more have one cause."""
Differing = tuple[str, Difference]


@click.command(
    "replay",
    epilog="""\b
Exit codes: 0 no difference, 1 a difference (or no such order), 2 called wrongly.

\b
Examples:
  c2a orders replay trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA
  c2a orders replay --last 1440     # every order of the last day, as before an upgrade""",
)
@click.argument("number", metavar="TRK", required=False)
@click.option("--last", type=click.IntRange(1, LONGEST_MIN), metavar="MINUTES", help="Every order admitted since then.")
@json_option
def replay_order(number: str | None, last: int | None, as_json: bool) -> None:
    """Run an order's recorded moves through today's state machine and tell every difference; nothing is changed."""
    if (number is None) == (last is None):
        raise click.UsageError("name one order, or many by --last MINUTES")
    with installation() as (_, engine):
        count, found = _one(engine, number) if number is not None else _many(engine, timedelta(minutes=last or 0))
    rows: list[dict[str, Any]] = [
        {"order": whose, "version": one.version, "recorded": one.recorded, "today": one.today} for whose, one in found
    ]
    if as_json:
        click.echo(json.dumps({"orders": count, "differences": rows}))
    elif rows:
        show_table(rows)
    else:
        click.echo(f"{count} {'order' if count == 1 else 'orders'}: every move is as today's state machine makes it.")
    sys.exit(DIFFERS if rows else 0)


def _one(engine: Engine, number: str) -> tuple[int, list[Differing]]:
    with one_moment(engine) as conn:
        order = story.find(conn, number)
        if order is None:
            raise click.ClickException("TRK: there is no such order; `c2a orders list` finds it by other names")
        return 1, [(number, one) for one in _differs(conn, order)]


def _differs(conn: Connection, order: Order) -> list[Difference]:
    """What differs in the record of *order*, of which the first are enough."""
    moves = order_stories.every_move(conn, order.tenant_id, order.tracking_number)
    return list(islice(replay(moves, state=order.state, version=order.version), SHOWN))


def _many(engine: Engine, last: timedelta) -> tuple[int, list[Differing]]:
    """How many orders were replayed, and the first differences; the bar goes by time, for nobody counts them before."""
    began = datetime.now(UTC)
    count, differing = 0, []
    with click.progressbar(
        length=round(last.total_seconds()), label="replay", file=sys.stderr, hidden=_is_hidden()
    ) as bar:
        for order, found in _replayed(engine, began - last):
            count += 1
            bar.update(max(0, round((began - order.admitted_at).total_seconds()) - bar.pos))
            differing += [(order.tracking_number, one) for one in found]
            if len(differing) >= SHOWN:
                break
        bar.update(bar.length - bar.pos if bar.length else 0)
    return count, list(islice(differing, SHOWN))


def _replayed(engine: Engine, since: datetime) -> Iterator[tuple[Order, list[Difference]]]:
    """Every order admitted *since*, the newest first, with what differs; a page of them at one moment."""
    before = None
    while True:
        with one_moment(engine) as conn:
            page = search(conn, Wanted(since=since), now=since, before=before, limit=MOST)
            made = [(one, story.find(conn, one.tracking_number)) for one in page.orders]
            differing = [(order, _differs(conn, order)) for _, order in made if order is not None]
        yield from differing
        if (before := page.next) is None:
            return


def _is_hidden() -> bool:
    return not sys.stderr.isatty()
