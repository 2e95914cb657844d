"""Refuses every network socket while a unit test runs: a test that needs one belongs to another tier.

An audit hook sees every way Python has to a socket, whichever library takes it. It cannot be removed again, so it
asks a switch.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

NETWORK_EVENTS: Final = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"})


class NetworkUsed(AssertionError):
    """A unit test reached for the network."""


class _Switch:
    refusing = False
    installed = False
    bystanders: frozenset[int | None] = frozenset()
    """Threads that another tier left behind in this process: what they do is not this test's doing."""


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _Switch.refusing and event in NETWORK_EVENTS and threading.get_ident() not in _Switch.bystanders:
        raise NetworkUsed(f"{event} in a unit test: plain values only; move it to tests/integration")


@contextmanager
def refused() -> Iterator[None]:
    """No network within."""
    if not _Switch.installed:
        sys.addaudithook(_hook)
        _Switch.installed = True
    _Switch.bystanders = frozenset(one.ident for one in threading.enumerate()) - {threading.get_ident()}
    _Switch.refusing = True
    try:
        yield
    finally:
        _Switch.refusing = False
