"""How far something long has come, and when it may be over: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SAY_EVERY_S: Final = 10.0
"""Into a file, so often."""


class Bar:
    """Counts what is done of *total*, in any unit; any thread may advance it, one shows it."""

    def __init__(
        self,
        what: str,
        total: int,
        progress: Progress | None,
        say: Callable[[str], None],
        *,
        say_every_s: float = SAY_EVERY_S,
    ) -> None:
        self._what, self._total, self._progress, self._say = what, total, progress, say
        self._task = progress.add_task(what, total=total) if progress is not None else None
        self._lock = threading.Lock()
        self._done, self._began = 0, time.monotonic()
        self._said_at, self._say_every_s = self._began, say_every_s

    def advance(self, done: int) -> None:
        """So much more is done."""
        with self._lock:
            self._done += done

    def show(self) -> None:
        """Show how far it has come."""
        now = time.monotonic()
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self._done)
        elif now - self._said_at >= self._say_every_s:
            self._said_at = now
            self._say(f"  {self._what}: {self._told(now - self._began)}")

    def _told(self, seconds: float) -> str:
        part = self._done / max(1, self._total)
        left = f", some {seconds / part - seconds:,.0f} s left" if part else ""
        return f"{part:.0%} after {seconds:.0f} s{left}"


@contextmanager
def shown(what: str, total: int, say: Callable[[str], None]) -> Iterator[Bar]:
    """A bar until the end of the block, on standard error as standard output is the report's; *say* tells its lines
    where that is no terminal."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield Bar(what, total, None, say)
        return
    columns = (TextColumn("  {task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as progress:
        yield Bar(what, total, progress, say)
