"""c2a plan: what a load needs, computed from measured costs and tried in a simulated run.

Unlike the other commands it asks no server anything: it reads one file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import click

from shared.cli import plan_table
from shared.cli.show import json_option
from shared.planning import bench_report, plan, trial
from shared.planning.costs import OURS, Costs, NoCosts
from shared.planning.question import LEAST_FREE, LONGEST_PSP_MS, MOST_FREE, Question

DOES_NOT_HOLD: Final = 3
MOST_ORDERS: Final = 100_000
"""A second: every card payment of the world is some tens of thousands."""
LEAST_ORDERS: Final = 0.01
MOST_POLLS: Final = 1_000
"""An order. Half an hour at the pace an answer asks for."""
DEFAULTS: Final = Question(1, 1)


@click.command(
    "plan",
    epilog="""\b
Exit codes:
  0  the plan holds in the simulated run
  1  the costs cannot be read
  2  called wrongly
  3  the plan does not hold: the PSP takes too few calls, or a queue grows in the simulated run

\b
Examples:
  c2a plan --orders-per-second 100 --psp-ms 200
  c2a plan --orders-per-second 1000 --psp-ms 350 --psp-limit-per-second 1200 --availability 0.5
  deploy/bench && c2a plan --orders-per-second 50 --psp-ms 200 --costs .local/bench.json --json""",
)
@click.option(
    "--orders-per-second",
    type=click.FloatRange(LEAST_ORDERS, MOST_ORDERS),
    required=True,
    metavar="N",
    help="Orders that come in a second, at the busiest.",
)
@click.option(
    "--psp-ms",
    type=click.FloatRange(1, LONGEST_PSP_MS),
    required=True,
    metavar="P",
    help="What one call to the PSP takes on the average.",
)
@click.option(
    "--polls-per-order",
    type=click.FloatRange(0, MOST_POLLS),
    default=DEFAULTS.polls_per_order,
    show_default=True,
    metavar="K",
    help="How often a storefront asks where its order stands.",
)
@click.option(
    "--psp-limit-per-second",
    type=click.FloatRange(0, min_open=True),
    metavar="L",
    help="Calls a second that the PSP allows; nine tenths of them are used. Without it: as many as come.",
)
@click.option(
    "--availability",
    "free",
    type=click.FloatRange(LEAST_FREE, MOST_FREE),
    default=DEFAULTS.free,
    show_default=True,
    metavar="HEADROOM",
    help="The share of every part that stays free: for bursts, restarts, the loss of a machine.",
)
@click.option(
    "--postgres-cores",
    type=click.IntRange(1, 1_024),
    default=DEFAULTS.postgres_cores,
    show_default=True,
    metavar="CORES",
    help="Of the largest machine that a PostgreSQL may have.",
)
@click.option(
    "--wal-mb-per-second",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULTS.wal_mb_per_second,
    show_default=True,
    metavar="MB",
    help="Write-ahead log that its disk, and its standby, take.",
)
@click.option(
    "--costs",
    "path",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    default=OURS,
    metavar="FILE",
    help=f"A report of `deploy/bench --only {bench_report.NEEDED_PARTS}` on your own machine.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    metavar="S",
    help="Of the simulated run; the same seed, the same run.",
)
@json_option
def command(path: Path, seed: int, as_json: bool, **asked: Any) -> None:
    """Plan an installation for a load: processes, connections, servers; what is full first, and what to change then.

    The costs are measured: of this release on the machine the answer names, or on yours (--costs). What becomes of them
    at a load nobody has put on them is computed, and tried in a simulated run.
    """
    made = plan.make(Question(**asked), _costs(path))
    tried = trial.of(made, seed=seed)
    if as_json:
        click.echo(json.dumps(made.document() | {"simulation": tried.document(), "holds": not _faults(made, tried)}))
    else:
        plan_table.show(made, tried)
    if faults := _faults(made, tried):
        for fault in faults:
            click.echo(f"The plan does not hold. {fault}.", err=True)
        sys.exit(DOES_NOT_HOLD)


def _costs(path: Path) -> Costs:
    try:
        return bench_report.load(path)
    except (NoCosts, OSError) as trouble:
        raise click.ClickException(f"--costs: {trouble}") from None


def _faults(made: plan.Plan, tried: trial.Trial) -> list[str]:
    return [*made.faults, *tried.faults]
