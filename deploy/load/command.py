"""c2a load: shoppers at a steady rate, as real storefronts and pollers would bring them.

Found by shared/cli/main.py through the entry points of the group c2a.commands, as shared may not import deploy.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import click

from deploy.load.mix import Mix
from deploy.load.run import FINISH_S, Asked, Progress, is_loopback
from deploy.load.run import load as run_load
from deploy.load.show import bar, report
from shared.client import NoAnswer, Refused

EPILOG = """\b
Shoppers come whatever the answers take. Each asks for an offer, thinks, orders, and polls when it is told to, thirty
times at most; challenges are approved on the sandbox PSP's page. When the last has come, all have 90 s to finish.
Real orders are made: it goes to this machine unless --elsewhere says otherwise.

\b
Exit codes:
  0  every order that was accepted ended
  1  a call was refused or not answered, or an order did not end; the report tells which
  2  it could not be run

\b
Examples:
  c2a load --rate 20 --seconds 60
  C2A_KEY=sk_dev_... c2a load --url https://staging.example --tenant TENANT --elsewhere --json"""
share = click.FloatRange(0, 1)


@click.command("load", epilog=EPILOG)
@click.option("--rate", type=click.FloatRange(min=0.1, max=1_000), default=5.0, show_default=True, help="Shoppers a s.")
@click.option(
    "--seconds", type=click.FloatRange(1, 86_400), default=30.0, show_default=True, help="How long they come."
)
@click.option("--think", type=click.FloatRange(0, 600), default=2.0, show_default=True, help="Seconds, on average.")
@click.option("--challenges", type=share, default=0.1, show_default=True, help="Share whose bank asks them.")
@click.option("--stored", type=share, default=0.2, show_default=True, help="Share who pay with a stored card.")
@click.option("--declines", type=share, default=0.05, show_default=True, help="Share whose card is declined.")
@click.option("--held", type=share, default=0.0, show_default=True, help="Share who let answers be held, not polled.")
@click.option("--seed", type=int, help="Deals out the same shoppers again; without it new ones.")
@click.option(
    "--stack",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(".local/stack.json"),
    show_default=True,
    help="What deploy/up wrote of the running stack.",
)
@click.option("--url", help="Another API than the stack's; its key in C2A_KEY.")
@click.option("--tenant", help="The key's tenant, with --url.")
@click.option("--elsewhere", is_flag=True, help="Allow an address that is not on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Answer one JSON document.")
def load(as_json: bool, **options: Any) -> None:
    """Put the load of real storefronts and their pollers on a running API, and report what it answered."""
    asked = _asked(**options)
    try:
        document = asyncio.run(_run(asked))
    except (Refused, NoAnswer) as error:  # Before the first shopper came.
        click.echo(f"c2a load: {error}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(document))
    else:
        report(document)
    sys.exit(1 if document["left"] else 0)


async def _run(asked: Asked) -> dict[str, Any]:
    progress = Progress()
    async with bar(progress, asked.seconds + FINISH_S):
        return await run_load(asked, progress)


def _asked(**options: Any) -> Asked:
    """The run that was asked for. Raises click.UsageError."""
    url, tenant, key = _address(options["stack"], options["url"], options["tenant"])
    if not (options["elsewhere"] or is_loopback(url)):
        raise click.UsageError(f"{url} is not on this machine; --elsewhere allows it")
    try:
        mix = Mix(options["challenges"], options["stored"], options["declines"])
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return Asked(
        url=url,
        tenant=tenant,
        key=key,
        rate=options["rate"],
        seconds=options["seconds"],
        think_s=options["think"],
        mix=mix,
        held=options["held"],
        seed=secrets.randbelow(10**6) if options["seed"] is None else options["seed"],
        elsewhere=options["elsewhere"],
    )


def _address(stack: Path, url: str | None, tenant: str | None) -> tuple[str, str, str]:
    """Where, for whom, with which key; the key is no option, as others may read a command's line."""
    if url is not None:
        key = os.environ.get("C2A_KEY")
        if not (tenant and key):
            raise click.UsageError("--url needs --tenant, and the key in C2A_KEY")
        return url, tenant, key
    if not stack.exists():
        raise click.UsageError(f"{stack} is not there: start a stack with deploy/up, or name its file, or a --url")
    document = json.loads(stack.read_text())
    return document["baseUrl"], document["tenant"], document["apiKey"]
