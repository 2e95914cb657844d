"""Takes a process of a running stack away for as long as a test wants: dead, or alive and silent.

Only processes that the stack's own stack.json names, and their supervisor, which brings a dead one back.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

import httpx
import psutil

from deploy.stack import lock
from tests.support import stopping
from tests.support.psp import until
from tests.support.stack import Stack

NAMES: Final = (
    *("api", "worker-offer-lock", "worker-payment", "worker-tokenization", "worker-upkeep"),
    *("psp", "postgres", "redis-vault"),
)
"""The processes of stack.json, but for the broker's."""
ASKED_AT_ONCE: Final = 16
"""On a connection each: a process takes one at a time, so that none of the API is likely to be asked nothing."""
BACK_WITHIN_S: Final = 60.0
"""The supervisor's longest pause (5 s), the server's start and, of PostgreSQL, its recovery, on a busy machine."""


def until_well(stack: Stack) -> None:
    """Wait until every process of the stack runs and its API reaches its database and its vault."""
    until(lambda: all(map(stack.pids, (*NAMES, stack.broker))) and is_ready(stack), seconds=BACK_WITHIN_S)


def is_ready(stack: Stack) -> bool:
    """Whether the API reaches its database and its vault, each of its processes."""
    each_its_own = httpx.Limits(max_keepalive_connections=0)
    with (
        suppress(httpx.TransportError),  # The API itself is on its way back.
        httpx.Client(base_url=stack.base_url, timeout=10, trust_env=False, limits=each_its_own) as client,
        ThreadPoolExecutor(ASKED_AT_ONCE) as pool,
    ):
        asked = [pool.submit(client.get, "/readyz") for _ in range(ASKED_AT_ONCE)]
        return all(one.result().status_code == httpx.codes.OK for one in asked)
    return False


def kill(stack: Stack, name: str) -> None:
    """kill -9 the process *name*, once; returns when its supervisor has ended all that came of it."""
    pid = stack.pids(name)[0]
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in stack.pids(name), seconds=BACK_WITHIN_S)


@contextmanager
def dead(stack: Stack, name: str) -> Iterator[None]:
    """*name* is dead within: its supervisor is stopped (SIGSTOP), and brings it back when it goes on."""
    supervisor = lock.holder(stack.home / "lock")
    assert supervisor is not None
    first = stack.pids(name)[0]
    with stopping.stopped(supervisor):
        family = _stopped(first)
        for process in reversed(family):
            with suppress(psutil.NoSuchProcess):  # It ended by itself.
                process.kill()
        until(lambda: all(map(stopping.is_dead, family)))
        yield
    until(lambda: first not in stack.pids(name), seconds=BACK_WITHIN_S)


@contextmanager
def silent(stack: Stack, name: str) -> Iterator[None]:
    """*name* keeps its connections and says nothing within (SIGSTOP, of all that came of it)."""
    family = _stopped(stack.pids(name)[0])
    try:
        yield
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _stopped(pid: int) -> list[psutil.Process]:
    """The process *pid* and all that came of it, each stopped."""
    first = psutil.Process(pid)
    stopping.stop(first)  # Before its children are asked for: it makes no more.
    children = first.children(recursive=True)
    for child in children:
        with suppress(psutil.NoSuchProcess):  # It ended by itself.
            child.suspend()
        until(partial(_stands_still, child))
    return [first, *children]


def _stands_still(process: psutil.Process) -> bool:
    return stopping.is_stopped(process.pid) or stopping.is_dead(process)
