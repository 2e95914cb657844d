"""c2a orders: find an order, see why it stands where it does, and end it."""

from __future__ import annotations

import click

from shared.cli import order_actions, order_list, order_replay, order_show


@click.group(
    "orders",
    epilog="""\b
Examples:
  c2a orders list --stuck
  c2a orders explain trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA
  c2a orders cancel trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA --why "the shopper called, ticket 4711" """,
)
def group() -> None:
    """Find an order, see its whole story, and do what is allowed with it.

    Each command that changes something asks for --why and is recorded with who asked.
    """


group.add_command(order_list.list_orders)
group.add_command(order_show.show_order)
group.add_command(order_show.explain)
group.add_command(order_replay.replay_order)
group.add_command(order_actions.retry)
group.add_command(order_actions.unpark)
group.add_command(order_actions.cancel)
group.add_command(order_actions.refund)
group.add_command(order_actions.prove_by_hand)
