"""c2a orders replay: does today's state machine make of an order's record what its row says?"""

from __future__ import annotations

import json
import sys

import click

from shared.cli.order_show import read_story
from shared.cli.show import json_option, show_table
from shared.operate.replay import replay

DIFFERS = 1


@click.command(
    "replay",
    epilog="""\b
Exit codes: 0 no difference, 1 a difference (or no such order), 2 called wrongly.

\b
Example:
  c2a orders replay trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA""",
)
@click.argument("number", metavar="TRK")
@json_option
def replay_order(number: str, as_json: bool) -> None:
    """Run an order's recorded moves through today's state machine and tell every difference; nothing is changed."""
    found = read_story(number)
    differences = list(replay(found.moves, state=found.order.state, version=found.order.version))
    rows: list[dict[str, object]] = [
        {"version": one.version, "recorded": one.recorded, "today": one.today} for one in differences
    ]
    if as_json:
        click.echo(json.dumps({"trackingNumber": number, "moves": len(found.moves), "differences": rows}))
    elif rows:
        show_table(rows)
    else:
        click.echo(
            f"{len(found.moves)} moves, all as today's state machine makes them; the order is {found.order.state}."
        )
    sys.exit(DIFFERS if rows else 0)
