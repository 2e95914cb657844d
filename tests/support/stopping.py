"""SIGSTOP that is over when it returns, and whether a process has come to its end.

Linux gives the signal to one thread of the process, and the others run on until that one has been on a processor:
beside other work that is milliseconds, in which a RabbitMQ answered a question that was asked after the signal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from tests.support.psp import until

STOPS_WITHIN_S: Final = 20.0
"""A thread in the middle of a write to a slow disk stops when that is done."""
STOPPED: Final = frozenset("Tt")
"""The states of Linux's proc(5): stopped on a signal, or by who traces it. One that is gone has another."""


def stop(process: psutil.Process) -> None:
    """SIGSTOP to *process*; returns when none of its threads runs any more."""
    process.suspend()
    until(lambda: is_stopped(process.pid), seconds=STOPS_WITHIN_S)


def is_stopped(pid: int) -> bool:
    """Whether each thread of the process *pid* stands still; no process that is gone does."""
    states = [state for thread in Path(f"/proc/{pid}/task").glob("[0-9]*") if (state := _state(thread))]
    return bool(states) and STOPPED.issuperset(states)


def is_dead(process: psutil.Process) -> bool:
    """Whether it runs no more, though its parent may not know yet, or may never ask."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process *pid* stands still within, and goes on afterwards."""
    process = psutil.Process(pid)
    try:
        stop(process)
        yield
    finally:
        process.resume()


def _state(thread: Path) -> str:
    """A thread's state, one letter; none if it ended since it was listed."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    return ""
