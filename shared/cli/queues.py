"""c2a queues: how much work waits, and since when?"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any, Final

import click

from shared.cli.database import installation
from shared.cli.show import json_option, show_table
from shared.depth import Depths
from shared.operate.queues import Kind, Queues, look, steps_of
from shared.store.engine import statements

AWAY: Final = 3


@click.command(
    "queues",
    epilog="""\b
Exit codes: 0 shown, 1 the database is away, 2 called wrongly, 3 the rows are shown and the broker is away.

\b
Examples:
  c2a queues
  c2a queues --json""",
)
@json_option
def queues(as_json: bool) -> None:
    """Show what waits for each step: messages and readers as the broker tells, orders and their age as the rows do.

    The rows are the truth. Fewer messages than orders: some were lost, and are rung for again by themselves. Messages
    that nobody reads: start workers of that queue (Redis does not tell who reads).
    """
    with installation() as (settings, engine):
        depths = Depths(settings.broker_url.get_secret_value())
        try:
            with statements(engine) as conn:
                found = look(conn, depths)
        finally:
            depths.close()
    if as_json:
        click.echo(json.dumps(_document(found)))
    else:
        _print(found)
    sys.exit(0 if found.depths else AWAY)


def _print(found: Queues) -> None:
    show_table([_line(kind, found.now) for kind in found.kinds])
    click.echo("")
    if not found.depths:
        click.echo(f"The broker is {found.broker}: nothing is lost, orders are rung for when it is back.")
        return
    show_table(
        [
            {
                "queue": queue,
                "messages": depth.messages,
                "readers": "not told" if depth.consumers is None else depth.consumers,
                "for": steps_of(queue),
            }
            for queue, depth in found.depths.items()
        ]
    )


def _line(kind: Kind, now: datetime) -> dict[str, object]:
    rows = kind.rows
    return {
        "waiting": kind.name,
        "queue": kind.queue,
        "orders": rows.waiting,
        "due": rows.due,
        "oldest": _age(rows.oldest, now),
        "in a PSP's row": rows.in_row or "",
        "parked": rows.parked or "",
    }


def _document(found: Queues) -> dict[str, Any]:
    return {
        "broker": found.broker,
        "waiting": [
            {
                "kind": kind.name,
                "step": kind.step,
                "queue": kind.queue,
                "count": kind.rows.waiting,
                "due": kind.rows.due,
                "oldestSeconds": _seconds(kind.rows.oldest, found.now),
                "inRow": kind.rows.in_row,
                "parked": kind.rows.parked,
            }
            for kind in found.kinds
        ],
        "queues": [
            {"queue": queue, "messages": depth.messages, "consumers": depth.consumers, "for": steps_of(queue)}
            for queue, depth in found.depths.items()
        ],
    }


def _seconds(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else round(max(0.0, (now - since).total_seconds()), 1)


def _age(since: datetime | None, now: datetime) -> str:
    seconds = _seconds(since, now)
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"
