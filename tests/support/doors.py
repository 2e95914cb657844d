"""A port of this machine that answers nobody and tells whether somebody came: for calls that must not be made.

A server that speaks HTTP hears nothing of a caller that wants TLS, so it cannot tell one from none.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Door:
    """It, and who waits before it."""

    listener: socket.socket

    @property
    def port(self) -> int:
        """Where it is."""
        return int(self.listener.getsockname()[1])

    def was_knocked_at(self) -> bool:
        """Whether somebody has connected since this was asked last."""
        try:
            knocking, _ = self.listener.accept()
        except BlockingIOError:
            return False
        knocking.close()
        return True


@contextmanager
def a_door(address: str = "127.0.0.1") -> Iterator[Door]:
    """One at a free port of *address*, until the test ends."""
    with socket.create_server((address, 0), family=_family(address)) as listener:
        listener.settimeout(0)
        yield Door(listener)


def has_address(address: str) -> bool:
    """Whether a door can be at *address* on this machine; some have no IPv6."""
    try:
        with a_door(address):
            return True
    except OSError:
        return False


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
