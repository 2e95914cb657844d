"""What a person sees while the stack starts: a spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape


class Show:
    """Tells what happens, on standard output. Any thread may say something at any time."""

    def __init__(self) -> None:
        # Piped into a file, a line is a line: never broken at a width nobody asked for.
        self._console = Console(highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(text, markup=False)

    def mark(self, text: str, seconds: float) -> None:
        """One finished step and how long it took, in seconds."""
        self._console.print(f"[green]✓[/] {escape(text)} [dim]{seconds:.2f} s[/]")

    @contextmanager
    def working(self, text: str, *, then: str = "") -> Iterator[None]:
        """Show that *text* is going on, then *then* and how long it took; nothing is claimed if it fails."""
        started = time.monotonic()
        with self.spinner(text):
            yield
        self.mark(text + then, time.monotonic() - started)

    @contextmanager
    def spinner(self, text: str) -> Iterator[None]:
        """Show that *text* is going on, where there is a terminal to show it on."""
        if self._console.is_terminal:
            with self._console.status(escape(text)):
                yield
        else:
            yield
