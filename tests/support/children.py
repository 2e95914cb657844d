"""Child processes that may be killed: forked from a server that has imported the product once, so one costs 20 ms.

The server is the standard library's; it has no threads and no connections, so a child starts as a fresh process of
the product would.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any, Final

from tests.support import stopping
from tests.support.psp import until

ENDS_WITHIN_S: Final = 60.0
"""A child takes a tenth of a second; a PSP call may take 15 s, and the machine may be busy."""
GONE: Final = "child ended without an answer"

_server: Final = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.support.crash_jobs", "tests.support.planted"])


@dataclass(slots=True)
class Child:
    """One running child and what it says."""

    process: ForkServerProcess
    _told: Connection

    @property
    def is_stopped(self) -> bool:
        """Whether SIGSTOP has it."""
        assert self.process.pid is not None
        return stopping.is_stopped(self.process.pid)

    def until_stopped(self) -> None:
        """Wait until it has stopped; fails if it ended instead."""
        until(lambda: self.is_stopped or not self.process.is_alive(), seconds=ENDS_WITHIN_S)
        assert self.is_stopped, f"the child ended with {self.process.exitcode}"

    def signal(self, which: signal.Signals) -> None:
        """Send it *which*."""
        assert self.process.pid is not None
        os.kill(self.process.pid, which)

    def ended(self) -> int:
        """Its exit code, once it has ended; one that does not end in time is killed."""
        self.process.join(ENDS_WITHIN_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            raise AssertionError(f"the child did not end within {ENDS_WITHIN_S} s")
        code = self.process.exitcode
        assert code is not None
        return code

    def answer(self) -> Any:
        """What its job returned, or GONE if it died before."""
        try:
            return self._told.recv() if self._told.poll() else GONE
        except EOFError:
            return GONE


def start(job: Callable[..., Any], *args: Any) -> Child:
    """Run *job*, a function of a module that can be imported, with *args* in a child."""
    ours, theirs = _server.Pipe(duplex=False)
    process = _server.Process(target=_run, args=(theirs, job, args), daemon=True)
    process.start()
    theirs.close()
    return Child(process, ours)


def _run(told: Connection, job: Callable[..., Any], args: tuple[Any, ...]) -> None:
    told.send(job(*args))
    told.close()
