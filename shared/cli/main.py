"""c2a: what an operator does from a shell.

Every command answers with a table for people or, with --json, one JSON document for scripts; exits 0 when it did
what it was asked, 1 when it refused (and then changed nothing), 2 when it was called wrongly.
"""

from __future__ import annotations

from importlib.metadata import entry_points

import click

from shared import logs
from shared.cli import (
    catalogue,
    codes,
    doctor,
    endpoints,
    events,
    keyring,
    keys,
    offers,
    orders,
    plan,
    psps,
    queues,
    tenants,
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="""\b
Examples:
  c2a queues
  c2a orders list --stuck
  c2a orders explain trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA
  c2a doctor""",
)
@click.version_option(package_name="c2a-checkout", prog_name="c2a")
def main() -> None:
    """Run a C2A checkout: its orders and queues, its tenants, keys, catalogues, offers and PSPs.

    It needs DATABASE_URL, BROKER_URL, VAULT_URL and C2A_KEYRING as the workers have them; beside deploy/up,
    `. .local/env` makes a c2a that has.
    """


def run() -> None:
    """What `c2a` starts: what happens beside the answer goes to standard error, so that scripts read the answer."""
    logs.configure("WARNING")
    main()


main.add_command(catalogue.group)
main.add_command(doctor.doctor)
main.add_command(endpoints.group)
main.add_command(events.group)
main.add_command(keyring.group)
main.add_command(keys.group)
main.add_command(offers.group)
main.add_command(orders.group)
main.add_command(plan.command)
main.add_command(psps.group)
main.add_command(queues.queues)
main.add_command(tenants.group)
for more in entry_points(group="c2a.commands"):  # Commands of packages above this one, which it may not import.
    main.add_command(more.load())
codes.told(main)
