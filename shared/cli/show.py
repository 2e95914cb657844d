"""How a command's answer looks: a table for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

json_option: Callable[..., Any] = click.option("--json", "as_json", is_flag=True, help="Answer one JSON document.")
tenant_option: Callable[..., Any] = click.option(
    "--tenant", "tenant_id", type=click.UUID, required=True, help="The tenant's UUID."
)


def show(record: Mapping[str, object], *, as_json: bool) -> None:
    """Print one record."""
    if as_json:
        click.echo(json.dumps(record))
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in record.items():
        table.add_row(Text(name, style="bold"), Text(str(value), overflow="fold"))
    Console().print(table)
