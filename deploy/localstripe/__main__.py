"""The door before localstripe as a process: python -m deploy.localstripe."""

from __future__ import annotations

import click
from aiohttp import web

from deploy.localstripe.door import application


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", required=True, type=int, help="Port to listen on.")
@click.option("--behind", required=True, help="The URL of the localstripe behind it.")
def main(host: str, port: int, behind: str) -> None:
    """Make localstripe take the calls Stripe takes."""
    web.run_app(application(behind), host=host, port=port, access_log=None, print=None)


if __name__ == "__main__":
    main()
