"""Takes a process of a running stack away for as long as a test wants: dead, or alive and silent.

Only processes that the stack's own stack.json names; its supervisor brings a dead one back.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import httpx
import psutil

from tests.support.psp import until
from tests.support.stack import Stack

NAMES: Final = (
    *("api", "worker-offer-lock", "worker-payment", "worker-tokenization", "worker-upkeep"),
    *("psp", "postgres", "redis-broker", "redis-vault"),
)
"""The processes of stack.json."""
KILL_EVERY_S: Final = 0.02
"""Faster than any of our servers begins to listen after its start."""
BACK_WITHIN_S: Final = 60.0
"""The supervisor's longest pause (5 s), the server's start and, of PostgreSQL, its recovery, on a busy machine."""


def until_well(stack: Stack) -> None:
    """Wait until every process of the stack runs and its API reaches its database and its vault."""
    with httpx.Client(base_url=stack.base_url, timeout=10, trust_env=False) as client:

        def is_well() -> bool:
            if not all(stack.pids(name) for name in NAMES):
                return False
            with suppress(httpx.TransportError):  # The API itself is on its way back.
                return client.get("/readyz").status_code == httpx.codes.OK
            return False

        until(is_well, seconds=BACK_WITHIN_S)


def kill(stack: Stack, name: str) -> None:
    """kill -9 the process *name*, once; returns when its supervisor has ended all that came of it."""
    pid = stack.pids(name)[0]
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in stack.pids(name), seconds=BACK_WITHIN_S)


@contextmanager
def dead(stack: Stack, name: str) -> Iterator[None]:
    """*name* is dead within, however often its supervisor starts it; afterwards that may bring it back."""
    stopping = threading.Event()
    first = stack.pids(name)[0]
    killer = threading.Thread(target=_keep_dead, args=(stack, name, stopping))
    killer.start()
    try:
        until(lambda: first not in stack.pids(name), seconds=BACK_WITHIN_S)
        yield
    finally:
        stopping.set()
        killer.join()


@contextmanager
def silent(stack: Stack, name: str) -> Iterator[None]:
    """*name* keeps its connections and says nothing within (SIGSTOP, of all that came of it)."""
    first = psutil.Process(stack.pids(name)[0])
    first.suspend()  # Before its children are asked for: it makes no more.
    stopped = [first, *first.children(recursive=True)]
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            process.resume()


def _keep_dead(stack: Stack, name: str, stopping: threading.Event) -> None:
    while not stopping.is_set():
        for pid in stack.pids(name)[:1]:
            with suppress(ProcessLookupError):  # Dead, and not yet written down as dead.
                os.kill(pid, signal.SIGKILL)
        stopping.wait(KILL_EVERY_S)
