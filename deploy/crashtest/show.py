"""What a person sees of a crash test: a line a fault, a bar on a terminal, one report at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.crashtest.run import Progress as State

REFRESH_S: Final = 0.5
SHOWN: Final = 20
"""Violations a person is shown; report.json lists them all."""


class Show:
    """Tells how a run goes, on standard error: standard output is the report's."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """One line, with the second of the run."""
        self._console.print(f"{time.monotonic() - self._started:6.1f} s  {text}", markup=False)

    @contextmanager
    def bar(self, state: State, seconds: float) -> Iterator[None]:
        """Show *state* on a terminal until the end of the block."""
        if not self._console.is_terminal:
            yield
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        done = threading.Event()
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task("begins", total=seconds)
            thread = threading.Thread(target=_keep, args=(progress, task, state, done), daemon=True)
            thread.start()
            try:
                yield
            finally:
                done.set()
                thread.join()


def _keep(progress: Progress, task: TaskID, state: State, done: threading.Event) -> None:
    while not done.wait(REFRESH_S):
        crowd = state.crowd
        told = f"{crowd.accepted} accepted, {crowd.open} open" if crowd else ""
        progress.update(task, completed=time.monotonic() - state.started, description=escape(f"{state.phase}: {told}"))


def report(document: dict[str, Any]) -> None:
    """The report as tables, on standard output."""
    console = Console(highlight=False)
    console.print(_facts(document))
    for title, name in (("orders by their end", "ends"), ("faults by class", "faults"), ("calls by answer", "calls")):
        console.print(_counted(title, document[name]))
    for number, violation in enumerate(document["violations"][:SHOWN], start=1):
        console.print(
            f"violation {number}: {violation['invariant']} {violation['about']}: {violation['seen']}", markup=False
        )
        for line in violation["story"]:
            console.print(f"    {line}", markup=False, soft_wrap=True)
    for reason in document["invalid"]:
        console.print(f"invalid run: {reason}", markup=False)
    console.print(_summary(document), markup=False)


def _facts(document: dict[str, Any]) -> Table:
    recovery = document["recovery"]
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    facts = {
        "seed": document["seed"],
        "orders": f"{document['orders']}, {document['ordersPerSecond']} a second came for {document['seconds']:g} s, "
        f"{document['acceptedPerSecond']} a second were accepted",
        "answers lost after their commit": document["answersLostAfterCommit"],
        "faults": f"{document['faultsTotal']}, {document['kills']} of them kills",
        "hitting work in flight": f"{document['hitWorkInFlight']:.0%}",
        "killed worker -> step running again": _spread(recovery["killedWorkerToRunningStepS"]),
        "lost answer -> truth": _spread(recovery["lostAnswerToTruthS"]),
        "PostgreSQL back -> next 202": _spread(recovery["postgresBackToNext202S"]),
        "faults over -> all terminal": _rest(recovery["faultsOverToAllTerminalS"]),
        "attempts with open money": document["openMoney"],
        "orders named by a stranger": document["namedByAStranger"],
        "looked through for cards": f"{document['scannedMiB']} MiB",
        "crowd": ", ".join(f"{name} {value:g}" for name, value in document["crowd"].items()),
    }
    for name, value in facts.items():
        table.add_row(name, escape(str(value)))
    return table


def _counted(title: str, counted: dict[str, int]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 2))
    for name, count in counted.items():
        table.add_row(str(count), escape(name))
    return table


def _spread(spread: dict[str, Any]) -> str:
    if not spread["count"]:
        return "not measured: it did not happen"
    return f"p50 {spread['p50']} s, p99 {spread['p99']} s, longest {spread['longest']} s (of {spread['count']})"


def _rest(seconds: float | None) -> str:
    return "never: what is unfinished below may only be late" if seconds is None else f"{seconds} s"


def _summary(document: dict[str, Any]) -> str:
    if document["violations"]:
        return "BROKEN: " + ", ".join(f"{name} {count} times" for name, count in document["violationsTotal"].items())
    bound = document["bound"]
    told = f"0 violations in {document['orders']} orders: with 95 % certainty fewer than {bound:.3%} of orders"
    return told if bound else "0 violations, and no orders"
