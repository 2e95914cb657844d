"""The stack a crash test may hurt, by what its stack.json tells: where it answers, and which processes are its own.

A signal goes only to a process that stack.json names and that started when the stack's own note says it did, or to a
child of one: numbers come round again, and nobody else's process may die of a test.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

SAME_START_S: Final = 1.0
"""The clock's correction between two readings of one start time stays below it."""


class NoStack(RuntimeError):
    """There is no running stack behind the file; says what is missing."""


@dataclass(frozen=True, slots=True)
class Target:
    """One running stack."""

    file: Path

    @property
    def home(self) -> Path:
        """The folder the stack keeps everything in."""
        return self.file.parent

    def document(self) -> dict[str, Any]:
        """stack.json as it is now. Raises NoStack."""
        try:
            document: dict[str, Any] = json.loads(self.file.read_text())
        except FileNotFoundError:
            raise NoStack(f"{self.file} is not there: start a stack with deploy/up, or name its file") from None
        return document

    def text(self, name: str) -> str:
        """One address, key or name of stack.json."""
        return str(self.document()[name])

    @property
    def psp_url(self) -> str:
        """Where the sandbox PSP answers."""
        return str(self.document()["psp"]["baseUrl"])

    @property
    def headers(self) -> dict[str, str]:
        """What every call of its tenant carries."""
        document = self.document()
        return {"x-api-key": document["apiKey"], "x-tn": document["tenant"]}

    def programs(self) -> frozenset[str]:
        """The programs that are the stack's own to lose; a server given by URL is not."""
        return frozenset(self.document()["processes"])

    def main_of(self, name: str) -> int | None:
        """The supervised process of *name*; None between two lives."""
        numbers = self.document()["processes"].get(name, [])
        return int(numbers[0]) if numbers else None

    def names(self, beginning: str) -> list[str]:
        """The programs of the stack whose names begin so."""
        return sorted(name for name in self.document()["processes"] if name.startswith(beginning))

    def family(self, name: str) -> list[psutil.Process]:
        """The supervised process of *name* first, then its children; empty between two lives."""
        number = self.main_of(name)
        started = self._noted().get(str(number))
        if number is None or started is None:
            return []
        try:
            main = psutil.Process(number)
            if abs(main.create_time() - started) > SAME_START_S:
                return []
            return [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def setting(self, name: str, default: str) -> str:
        """A setting as the running workers have it; *default* where it is not set."""
        family = self.family("worker-upkeep")
        return str(family[0].environ().get(name, default)) if family else default

    def _noted(self) -> dict[str, float | None]:
        note = self.home / "run" / "processes.json"
        noted: dict[str, float | None] = json.loads(note.read_text()) if note.exists() else {}
        return noted


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> int:
    """Send *number* to each that still runs (psutil compares start times first); how many it reached."""
    reached = 0
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
        reached += 1
    return reached
