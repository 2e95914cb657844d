"""c2a orders: find an order, see why it stands where it does, and end it."""

from __future__ import annotations

import click

from shared.cli import order_actions, order_list, order_replay, order_show


@click.group("orders")
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
