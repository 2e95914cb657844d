"""Finds loopback ports that stay free while a server of ours is down for a moment.

A port from the kernel's ephemeral range may be taken by any outgoing connection between the death of a server and
its restart, and the chaos tests make thousands of those. So ports are drawn below that range.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
LOWEST: Final = 15_000
"""Below it live the servers people install by name."""
EPHEMERAL_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
EPHEMERAL_DEFAULT: Final = 32_768
TRIES: Final = 200
"""Of some 17,000 ports; so many refusals mean that no port can be bound at all."""


def is_free(port: int) -> bool:
    """Whether a server could listen on *port* now."""
    with socket.socket() as probe:
        return _bound(probe, port)


def free_ports(count: int, *, avoid: Iterable[int] = ()) -> list[int]:
    """*count* different free ports, none of them in *avoid*; raises OSError where none can be bound."""
    taken = set(avoid)
    found: list[int] = []
    with ExitStack() as held:
        for _ in range(TRIES):
            if len(found) == count:
                return found
            port = random.randrange(LOWEST, _ephemeral_start())  # noqa: S311 - to meet nobody, not to hide.
            probe = held.enter_context(socket.socket())
            if port not in taken and _bound(probe, port):
                taken.add(port)
                found.append(port)
    raise OSError(f"no free port on {HOST} between {LOWEST} and {_ephemeral_start()}")


def _bound(probe: socket.socket, port: int) -> bool:
    # As servers do: connections of a dead predecessor that still linger do not make a port taken.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((HOST, port))
        probe.listen(1)
    except OSError:
        return False
    return True


def _ephemeral_start() -> int:
    if not EPHEMERAL_RANGE.exists():
        return EPHEMERAL_DEFAULT
    start = int(EPHEMERAL_RANGE.read_text().split()[0])
    return start if start > LOWEST + TRIES else EPHEMERAL_DEFAULT
