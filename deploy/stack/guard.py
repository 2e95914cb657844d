"""Keeps one program running: waits for its death, says so, starts it again.

A thread a program, asleep in the kernel until its process dies: a death costs no time to notice and a life costs
no polling. A program that dies again and again is started ever more slowly, but is never given up: the cause may
be a server that is away, and the stack must come back by itself when it returns.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Final

from deploy.stack.program import Program, how_it_ended, kill_group, spawn

PAUSES_S: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Before the first restart, the second, ...; the last one is for all that follow."""
LIVED_S: Final = 5.0
"""A process that lived this long came up: its next death is a first one again."""


class Guard:
    """One program and the thread that keeps it running."""

    def __init__(self, program: Program, *, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        self.program = program
        self._say, self._changed = say, changed
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # Between sending a signal to a process and reaping it.
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name=program.name, daemon=True)

    def start(self) -> None:
        """Start the program and keep it running; returns at once."""
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process of this moment; None between two lives."""
        with self._lock:
            return self._process.pid if self._process else None

    def ask_to_stop(self) -> None:
        """End the program in its own way, and let it end."""
        self._stopping.set()
        self._signal(self.program.stop_signal)

    def stop(self) -> None:
        """End the program, killing it after its grace; returns when nothing of it is left."""
        self.ask_to_stop()
        self._thread.join(self.program.grace_s)
        if self._thread.is_alive():
            self._say(f"{self.program.name} did not stop within {self.program.grace_s:g} s: killed")
            self._signal(signal.SIGKILL)
            self._thread.join()

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if self._process is not None:
                os.kill(self._process.pid, number)

    def _keep(self) -> None:
        deaths = 0
        while self._start():
            started = time.monotonic()
            ending = self._wait()
            if self._stopping.is_set():
                return
            deaths = 0 if time.monotonic() - started > LIVED_S else deaths
            pause = PAUSES_S[min(deaths, len(PAUSES_S) - 1)]
            deaths += 1
            self._say(f"{self.program.name} {ending}: starting it again{f' in {pause:g} s' if pause else ''}")
            if self._stopping.wait(pause):
                return

    def _start(self) -> bool:
        """Start a process unless we are to stop; a program that cannot be started counts as one that died."""
        with self._lock:
            if self._stopping.is_set():
                return False
            try:
                self._process = spawn(self.program)
            except OSError as error:
                self._say(f"{self.program.name} cannot be started: {error}")
        self._changed()
        return True

    def _wait(self) -> str:
        process = self._process
        if process is None:
            return "did not start"
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            # Dead but not yet reaped: its number is still its own, so the group we end cannot be another's.
            kill_group(process.pid)
            ending = how_it_ended(process.wait())
            self._process = None
        self._changed()
        return f"(process {process.pid}) {ending}"
