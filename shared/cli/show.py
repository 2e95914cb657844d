"""How a command's answer looks: a table for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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


def show_table(records: Sequence[Mapping[str, object]]) -> None:
    """Print records that have the same names, a line each; the first value of a line is never cut or folded."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for place, name in enumerate(records[0] if records else ()):
        table.add_column(name, overflow="fold", no_wrap=place == 0)  # The first is to be copied.
    for record in records:
        table.add_row(*(Text("" if value is None else str(value)) for value in record.values()))
    Console().print(table)
