"""c2a plan: what a load needs, computed from measured costs and tried in a simulated run.

Unlike the other commands it asks no server anything: it reads one file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from shared.cli import plan_table
from shared.cli.show import json_option
from shared.planning import bench_report, plan, trial
from shared.planning.costs import OURS, Costs, NoCosts
from shared.planning.question import LEAST_FREE, LONGEST_PSP_MS, MOST_FREE, Question

DOES_NOT_HOLD: Final = 3
ORDERS: Final = click.FloatRange(0.01, 100_000)
"""A second: every card payment of the world is some tens of thousands."""
PSP_MS: Final = click.FloatRange(1, LONGEST_PSP_MS)
POLLS: Final = click.FloatRange(0, 1_000)
"""An order. Half an hour at the pace an answer asks for."""
FREE: Final = click.FloatRange(LEAST_FREE, MOST_FREE)
MORE_THAN_NONE: Final = click.FloatRange(0, min_open=True)
DEFAULTS: Final = Question(1, 1)


def _number(names: str, metavar: str, kind: click.ParamType[Any], told: str, **more: Any) -> Callable[..., Any]:
    """A number the plan is asked with; *names*: the option's, and Question's where that is another."""
    return click.option(*names.split(), type=kind, metavar=metavar, help=told, show_default=True, **more)


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
@_number("--orders-per-second", "N", ORDERS, "Orders that come in a second, at the busiest.", required=True)
@_number("--psp-ms", "P", PSP_MS, "What one call to the PSP takes on the average.", required=True)
@_number(
    "--polls-per-order",
    "K",
    POLLS,
    "How often a storefront asks where its order stands.",
    default=DEFAULTS.polls_per_order,
)
@_number(
    "--psp-limit-per-second",
    "L",
    MORE_THAN_NONE,
    "Calls a second that the PSP allows; nine tenths of them are used. Without it: as many as come.",
)
@_number(
    "--availability free",
    "HEADROOM",
    FREE,
    "The share of every part that stays free: for bursts, restarts, the loss of a machine.",
    default=DEFAULTS.free,
)
@_number(
    "--postgres-cores",
    "CORES",
    click.IntRange(1, 1_024),
    "Of the largest machine that a PostgreSQL may have.",
    default=DEFAULTS.postgres_cores,
)
@_number(
    "--wal-mb-per-second",
    "MB",
    MORE_THAN_NONE,
    "Write-ahead log that its disk, and its standby, take.",
    default=DEFAULTS.wal_mb_per_second,
)
@click.option(
    "--costs",
    "path",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    default=OURS,
    metavar="FILE",
    help=f"A report of `deploy/bench --only {bench_report.NEEDED_PARTS}` on your own machine.",
)
@_number("--seed", "S", click.IntRange(0), "Of the simulated run; the same seed, the same run.", default=1)
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
