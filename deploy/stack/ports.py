"""Finds loopback ports that stay free while a server of ours is down for a moment.

A port from the kernel's ephemeral range may be taken by any outgoing connection between the death of a server and
its restart, and the chaos tests make thousands of those. So ports are drawn below that range.

Between the draw and the moment its server listens, seconds later, nothing shows that a port is taken, and two stacks
that start side by side would now and then draw the same. So who draws claims it by a name that the kernel gives to one
process at a time, in the network namespace that has the port, and takes back when the process ends.
"""

from __future__ import annotations

import json
import os
import random
import socket
import sys
from collections import deque
from collections.abc import Collection, Sequence
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
CLAIMS: Final = 64
"""A process keeps its last so many: a stack draws fourteen, and a test's server listens long before so many more."""

_claims: Final[deque[int]] = deque()
"""As file descriptors: a process that ends lets go of them without a word."""


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
        known[name] = draw(avoid=known.values())
        write_json(file, known)
    return known[name]


def draw(*, among: Sequence[int] | None = None, avoid: Collection[int] = ()) -> int:
    """A port *among* those of its range that is free, and that nobody else on this machine was given meanwhile.

    Raises OSError where none of those it tried can be bound.
    """
    ports = among or range(LOWEST, _ephemeral_start())
    for _ in range(TRIES):
        port = random.choice(ports)  # noqa: S311 - to meet nobody, not to hide.
        if port not in avoid and _claim(port) and is_free(port):
            return port
    raise OSError(f"no free port on {HOST} between {min(ports)} and {max(ports)}")


def _claim(port: int) -> bool:
    """Whether *port* is this process's from now on; where names belong to no namespace, anybody's."""
    if sys.platform != "linux":
        return True
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0c2a-port-{port}")
    except OSError:  # Somebody else's.
        claim.close()
        return False
    _claims.append(claim.detach())
    if len(_claims) > CLAIMS:
        os.close(_claims.popleft())
    return True


def _ephemeral_start() -> int:
    if not EPHEMERAL_RANGE.exists():
        return EPHEMERAL_DEFAULT
    start = int(EPHEMERAL_RANGE.read_text().split()[0])
    return start if start > LOWEST + TRIES else EPHEMERAL_DEFAULT
