"""c2a orders show and explain: one order's whole story, as tables or in plain sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from shared.cli.database import installation, keyring_of
from shared.cli.show import json_option, show, show_table
from shared.operate import document, sentences, story, waiting
from shared.operate.story import Story
from shared.plain import plain
from shared.store.engine import one_moment


def read_story(number: str) -> Story:
    """The story of an order at one moment; exits 1 if there is none of this number."""
    with installation() as (settings, engine):
        ring = keyring_of(settings)
        with one_moment(engine) as conn:
            order = story.find(conn, number)
            if order is None:
                raise click.ClickException("TRK: there is no such order; `c2a orders list` finds it by other names")
            return story.read(conn, order, ring)


@click.command(
    "show",
    epilog="""\b
Exit codes: 0 shown, 1 there is no such order, 2 called wrongly.

\b
Example:
  c2a orders show trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA --json""",
)
@click.argument("number", metavar="TRK")
@json_option
def show_order(number: str, as_json: bool) -> None:
    """Show an order with its moves, attempts, webhooks, lease, hold and what operators did."""
    found = read_story(number)
    if as_json:
        click.echo(json.dumps(document.of_story(found)))
        return
    told = document.of_story(found)
    lists = {name: told.pop(name) for name in (*AS_RECORDS, *AS_TABLES)}
    _print_record(told)
    for name, rows in lists.items():
        click.echo(f"\n{name}" if rows else f"\nno {name}")
        if name in AS_TABLES and rows:
            show_table([{key: _flat(value) for key, value in row.items()} for row in rows])
        for row in rows if name in AS_RECORDS else ():
            _print_record(row)


AS_RECORDS: Final = ("attempts", "webhooks", "refunds", "actions")
"""Few, and of many fields each."""
AS_TABLES: Final = ("moves", "allowed")
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
LEFT_OUT: Final = frozenset({"route"})
"""`c2a psps explain` shows it as the table it is."""


def _print_record(record: Mapping[str, object]) -> None:
    shown = {name: _flat(value) for name, value in record.items() if value is not None and name not in LEFT_OUT}
    show(shown, as_json=False)


def _flat(value: object) -> str | None:
    """*value* on one line; a time to the second, in UTC."""
    if value is None:
        return None
    if isinstance(value, dict):
        return ", ".join(f"{name} {_flat(part)}" for name, part in value.items())
    text = plain(str(value))
    return text[:19].replace("T", " ") if TIME.match(text) else text


@click.command(
    epilog="""\b
Exit codes: 0 explained, 1 there is no such order, 2 called wrongly.

\b
Example:
  c2a orders explain trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA"""
)
@click.argument("number", metavar="TRK")
@json_option
def explain(number: str, as_json: bool) -> None:
    """Tell an order's story in plain sentences: what happened, what it waits for, what comes next, where money is."""
    found = read_story(number)
    if as_json:
        click.echo(json.dumps(document.of_told(found)))
        return
    console = Console()
    for line in _told(found):
        console.print(line, soft_wrap=True)


def _told(found: Story) -> Iterator[Text]:
    order = found.order
    amount = "" if order.amount_minor is None else f", {order.amount_minor} {order.currency} (minor units)"
    head = f"{order.tracking_number}: {order.state}{amount}, {order.channel}, customer {plain(order.customer_urn)}"
    yield Text(head, style="bold")
    for line in sentences.happened(found):
        yield Text(f"  {line.at:%Y-%m-%d %H:%M:%S}  {line.text}")
    yield Text("Now", style="bold")
    yield from (Text(f"  {plain(one)}") for one in waiting.now(found))
    yield Text("Next", style="bold")
    yield Text(f"  {waiting.comes_next(found)}")
    yield Text("Money", style="bold")
    yield from (Text(f"  {one}") for one in waiting.money(found))
    yield Text("You may", style="bold")
    for action, why_not in found.allowed.items():
        yield Text(f"  {action}" if why_not is None else f"  not {action}: {why_not}")
