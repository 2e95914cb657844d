"""Finds loopback ports that stay free while a server of ours is down for a moment.

A port from the kernel's ephemeral range may be taken by any outgoing connection between the death of a server and
its restart, and the chaos tests make thousands of those. So ports are drawn below that range.
"""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path
from typing import Final

from deploy.stack.home import Home, write_json

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
        # As servers do: connections of a dead predecessor that still linger do not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def kept(home: Home, name: str) -> int:
    """The port of *name* in *home*: the same at every start, so that a noted address stays true, unless it is taken.

    Raises OSError where no port can be bound.
    """
    file = home.path / "ports.json"
    known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    if name not in known or not is_free(known[name]):
        known[name] = _free_port(avoid=set(known.values()))
        write_json(file, known)
    return known[name]


def _free_port(*, avoid: set[int]) -> int:
    for _ in range(TRIES):
        port = random.randrange(LOWEST, _ephemeral_start())  # noqa: S311 - to meet nobody, not to hide.
        if port not in avoid and is_free(port):
            return port
    raise OSError(f"no free port on {HOST} between {LOWEST} and {_ephemeral_start()}")


def _ephemeral_start() -> int:
    if not EPHEMERAL_RANGE.exists():
        return EPHEMERAL_DEFAULT
    start = int(EPHEMERAL_RANGE.read_text().split()[0])
    return start if start > LOWEST + TRIES else EPHEMERAL_DEFAULT
