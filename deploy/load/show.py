"""What a person sees of a load: a bar while it runs, tables when it is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.load.run import Progress as State

REFRESH_S: Final = 0.5


@asynccontextmanager
async def bar(state: State, seconds: float) -> AsyncIterator[None]:
    """Show *state* on a terminal until the end of the block; on standard error, as standard output is the report's."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        showing = asyncio.create_task(_keep(progress, progress.add_task("begins", total=seconds), state))
        try:
            yield
        finally:
            showing.cancel()


async def _keep(progress: Progress, task: TaskID, state: State) -> None:
    while True:
        await asyncio.sleep(REFRESH_S)
        if (crowd := state.crowd) is not None:
            told = f"{crowd.arrived} came, {crowd.accepted} accepted, {crowd.open} here"
            progress.update(task, completed=time.monotonic() - state.started, description=told)


def report(document: dict[str, Any]) -> None:
    """The report as tables, on standard output."""
    console = Console(highlight=False)
    console.print(_calls(document["calls"]))
    for title, name in (("orders by their end", "ended"), ("shoppers who left without one", "left")):
        for what, count in document[name].items():
            console.print(f"{title}: {count} {what}", markup=False)
    polls = document["polls"]
    console.print(
        f"{document['arrived']} shoppers came, {document['arrivalsPerSecond']:g} a second (asked for: "
        f"{document['asked']['arrivalsPerSecond']:g}), the latest {document['latestArrivalMs']:g} ms after their time; "
        f"{document['accepted']} orders accepted; {polls['perOrder']:g} polls an order, {polls['most']} at most",
        markup=False,
        soft_wrap=True,
    )
    if document["heldBackSeconds"] > 0:
        console.print(f"too many were here: arrivals were held back for {document['heldBackSeconds']:g} s in all")


def _calls(calls: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("call", "count", "a second", "p50 ms", "p95 ms", "p99 ms", "longest", "answers"):
        table.add_column(name, justify="left" if name in ("call", "answers") else "right")
    for kind, one in calls.items():
        figures = (one[name] for name in ("count", "perSecond", "p50Ms", "p95Ms", "p99Ms", "longestMs"))
        codes = ", ".join(f"{code}: {count}" for code, count in one["codes"].items())
        table.add_row(kind, *(f"{figure:g}" for figure in figures), codes)
    return table
