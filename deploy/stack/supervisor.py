"""Runs the programs of a stack together: starts them, waits until they work, stops them in the right order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Final

from deploy.stack.guard import Guard
from deploy.stack.program import Program
from deploy.stack.waiting import until

READY_WITHIN_S: Final = 60.0
"""A loaded two-core machine has needed 15 s for all of them at once; four times that is a fault."""


class Supervisor:
    """The guards of one stack, in the order they were started."""

    def __init__(self, *, say: Callable[[str], None], changed: Callable[[Supervisor], None]) -> None:
        self._say = say
        self._changed, self._one_tells = changed, Lock()
        self._guards: list[Guard] = []

    def start(self, programs: Iterable[Program]) -> None:
        """Start *programs* and keep them running; returns at once."""
        for program in programs:
            guard = Guard(program, say=self._say, changed=self._tell)
            self._guards.append(guard)
            guard.start()

    def _tell(self) -> None:
        """One at a time: each guard is a thread, and what is written last has to be what was seen last."""
        with self._one_tells:
            self._changed(self)

    def wait_until_ready(self, programs: Iterable[Program], *, within_s: float = READY_WITHIN_S) -> None:
        """Return once every one of *programs* works; raises WaitedInVain naming the first that does not."""
        for program in programs:
            until(program.is_ready, f"{program.name} is not ready, see {program.log}", within_s=within_s)

    def running(self) -> list[tuple[Program, int]]:
        """Every program that has a process at this moment, and its number."""
        guards = tuple(self._guards)  # Another thread may take one away meanwhile.
        return [(guard.program, pid) for guard in guards if (pid := guard.pid) is not None]

    def stop_one(self, name: str) -> None:
        """Stop the program of that *name*; it may be started again, also as another."""
        for guard in [guard for guard in self._guards if guard.program.name == name]:
            guard.stop()
            self._guards.remove(guard)

    def stop(self) -> None:
        """Stop everything, youngest stage first, so that nobody is left without what it stands on."""
        stages = sorted({guard.program.stage for guard in self._guards}, reverse=True)
        for stage in stages:
            ending = [guard for guard in self._guards if guard.program.stage == stage]
            with ThreadPoolExecutor(max_workers=len(ending)) as pool:
                list(pool.map(Guard.stop, ending))
        self._guards.clear()
