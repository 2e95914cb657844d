"""c2a crashtest: breaks a running stack on purpose and judges whether it kept its promises.

Found by shared/cli/main.py through the entry points of the group c2a.commands, as shared may not import deploy. What
the run needs (aiohttp, psutil: the extra `embedded`) is imported when it begins, so that `c2a --help` does not need it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
import traceback
from pathlib import Path

import click

EPILOG = """\b
It sends signals, so run it where the stack runs; only processes that stack.json names (and their children) are hurt.
Nobody else may use the stack meanwhile. Abandoned challenges last C2A_CHALLENGE_LIFE_S: 20 makes a short run.

\b
Exit codes:
  0  every promise was kept
  1  a promise was broken: the report tells each with its order's story
  2  no verdict: the run stayed below its floor of load or faults, or could not be made

\b
Example:
  C2A_CHALLENGE_LIFE_S=20 deploy/up --detach --no-demo --home /tmp/crash
  c2a crashtest --stack /tmp/crash/stack.json --minutes 30 --seed 7"""


@click.command("crashtest", epilog=EPILOG)
@click.option("--minutes", type=click.FloatRange(min=1), default=1.0, show_default=True, help="How long load lasts.")
@click.option("--seed", type=int, help="Repeats a run's plan of faults and shoppers; without it a new one.")
@click.option("--rate", type=click.FloatRange(min=1), default=25.0, show_default=True, help="Orders a second.")
@click.option(
    "--stack",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(".local/stack.json"),
    show_default=True,
    help="What deploy/up wrote of the running stack.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="A new folder for the run's records.")
@click.option("--json", "as_json", is_flag=True, help="Answer one JSON document.")
def crashtest(minutes: float, seed: int | None, rate: float, stack: Path, out: Path | None, as_json: bool) -> None:
    """Load a running stack, break it in a dozen ways, heal it, and check every order.

    Three records that do not trust each other are compared: what the clients heard, what the PSP's ledger holds, what
    the database says.
    """
    from deploy.crashtest.run import Asked, Progress, crash
    from deploy.crashtest.show import Show, report
    from deploy.crashtest.target import NoStack, Target

    seed = secrets.randbelow(10**6) if seed is None else seed
    folder = out or stack.resolve().parent / "crashtest" / f"{time.strftime('%Y%m%d-%H%M%S')}-{seed}"
    show, state = Show(), Progress()
    try:
        target = Target(stack.resolve())
        target.document()
        folder.mkdir(parents=True, mode=0o700)
        show.say(f"seed {seed}, {minutes:g} min at {rate:g} orders a second; records in {folder}")
        asked = Asked(target, folder, seed, minutes * 60, rate, show.say, state)
        with show.bar(state, minutes * 60):
            verdict = asyncio.run(crash(asked))
    except (NoStack, FileExistsError) as error:
        click.echo(f"c2a crashtest: {error}", err=True)
        sys.exit(2)
    except Exception:
        # Whatever broke here is no verdict: it must not leave with the code of a broken promise.
        traceback.print_exc()
        sys.exit(2)
    (folder / "report.json").write_text(json.dumps(verdict.document, indent=1) + "\n")
    if as_json:
        click.echo(json.dumps(verdict.document))
    else:
        report(verdict.document)
    sys.exit(verdict.exit_code)
