"""How a command's answer looks: a table for people, JSON for scripts.

What is to be copied (a number, a URL, a secret) is never broken: a line too long for the terminal goes on in the next
one, as the terminal does it. Only prose is folded, between words and below itself; and nothing is where the answer goes
into a file or through a pipe, so that there a record is a line that grep finds.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar

import click
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

GAP: Final = "  "
LEAST: Final = 24
"""Columns that prose needs to be read as such; where fewer are left it is not folded."""

json_option: Callable[..., Any] = click.option("--json", "as_json", is_flag=True, help="Answer one JSON document.")
tenant_option: Callable[..., Any] = click.option(
    "--tenant", "tenant_id", type=click.UUID, required=True, help="The tenant's UUID."
)
F = TypeVar("F", bound=Callable[..., Any])


def of_tenant(argument: str) -> Callable[[F], F]:
    """Names something that a tenant has, and the tenant."""

    def asks(command: F) -> F:
        named: F = click.argument(argument)(tenant_option(command))
        return named

    return asks


def show(record: Mapping[str, object], *, as_json: bool) -> None:
    """Print one record."""
    if as_json:
        click.echo(json.dumps(record))
        return
    console = Console(highlight=False)
    name_width = _widest(record)
    for line in record_lines(record, _width(console)):
        text = Text(line)
        text.stylize("bold", 0, name_width)
        console.print(text, soft_wrap=True)


def show_table(records: Sequence[Mapping[str, object]], styles: Mapping[str, str] = MappingProxyType({})) -> None:
    """Print records that have the same names, a line each; columns without any value are left out.

    *styles*: how a line looks on a terminal that begins with this word.
    """
    console = Console(highlight=False)
    for place, line in enumerate(table_lines(records, _width(console))):
        style = styles.get(line.partition(" ")[0], "") if place else "bold"
        console.print(Text(line, style=style), soft_wrap=True)


def record_lines(record: Mapping[str, object], width: int | None) -> list[str]:
    """A line a value, its name before it; *width*: of the terminal in columns, None where there is none."""
    name_width = _widest(record)
    return [line for name, value in record.items() for line in _row([_padded(name, name_width)], _text(value), width)]


def table_lines(records: Sequence[Mapping[str, object]], width: int | None) -> list[str]:
    """The names, then a line a record; *width*: of the terminal in columns, None where there is none."""
    names = [name for name in (records[0] if records else ()) if any(_text(one[name]) for one in records)]
    if not names:
        return []
    rows = [names, *([_text(one[name]) for name in names] for one in records)]
    widths = [_widest(column) for column in zip(*rows, strict=True)]
    return [line for row in rows for line in _row(list(map(_padded, row[:-1], widths)), row[-1], width)]


def _row(cells: list[str], last: str, width: int | None) -> list[str]:
    """*cells* and *last* on one line, or more of them where *last* is prose and the terminal leaves it room."""
    before = "".join(cell + GAP for cell in cells)
    room = (width or 0) - cell_len(before)
    if room < LEAST or cell_len(last) <= room:
        return [(before + last).rstrip()]
    first, *more = textwrap.wrap(last, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [before + first, *(" " * cell_len(before) + line for line in more)]


def _width(console: Console) -> int | None:
    return console.width if console.is_terminal else None


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return "" if value is None else str(value)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _widest(texts: Any) -> int:
    return max(map(cell_len, texts), default=0)
