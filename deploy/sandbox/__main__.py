"""The door of the sandbox PSP: python -m deploy.sandbox."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from deploy.sandbox.app import serve
from deploy.sandbox.ledger import LedgerBroken


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8090, show_default=True, help="Port to listen on; 0 takes a free one and prints it.")
@click.option(
    "--ledger",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file that remembers every charge, as JSON lines; made if it is not there.",
)
@click.option("--public-url", help="Where shoppers reach this process; else taken from each request's Host.")
def main(host: str, port: int, ledger: Path, public_url: str | None) -> None:
    """A payment service provider to try things with: real HTTP, a durable ledger, and faults on demand.

    Test cards, amounts, routes and faults: deploy/sandbox/README.md.
    """
    try:
        asyncio.run(serve(host, port, ledger, public_url and public_url.rstrip("/")))
    except (LedgerBroken, OSError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
