"""The two Redis servers: a broker that keeps its messages, and a vault that keeps nothing.

The broker's append-only file lets queues survive a restart (with at most a second lost, which the rescuer mends).
The vault holds sealed cards for minutes: no snapshot, no log of changes, no slow log and no crash report, so that
neither a file nor a diagnosis ever holds one. Both refuse writes when full rather than evict: a message or a card
that vanished would cost an order its step, where a refused write costs a caller a 503 and a second try.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis as client

from deploy.stack import binaries
from deploy.stack.home import Home
from deploy.stack.ports import HOST
from deploy.stack.program import HOME_MARK, Program

COMMON: Final = {
    "bind": HOST,
    "protected-mode": "yes",
    "maxmemory-policy": "noeviction",
    "timeout": "0",
    "tcp-keepalive": "60",
    "save": '""',
}
BROKER: Final = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    # Some 500,000 waiting messages of 1 kB: an alert long before, a refusal before the machine swaps.
    "maxmemory": "512mb",
}
VAULT: Final = {
    "appendonly": "no",
    "slowlog-log-slower-than": "-1",
    "slowlog-max-len": "0",
    "crash-log-enabled": "no",
    # Some 200,000 sealed cards of 1 kB: 15 minutes of 200 orders a second.
    "maxmemory": "256mb",
}


@dataclass(frozen=True, slots=True)
class RedisServer:
    """One redis-server of ours."""

    name: str
    folder: Path
    port: int
    password: str
    settings: Mapping[str, str]

    @property
    def url(self) -> str:
        """The address, password included."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def is_ready(self) -> bool:
        """Whether the server answers and has loaded what it kept."""
        try:
            with client.Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1) as conn:
                return bool(conn.ping())
        except client.RedisError:
            return False


def broker(home: Home, *, port: int) -> RedisServer:
    """The broker of *home*."""
    return _server("redis-broker", home, port, BROKER)


def vault(home: Home, *, port: int) -> RedisServer:
    """The vault of *home*."""
    return _server("redis-vault", home, port, VAULT)


def _server(name: str, home: Home, port: int, settings: Mapping[str, str]) -> RedisServer:
    return RedisServer(name, home.path / name, port, home.password_of(name), {**COMMON, **settings})


def program(server: RedisServer, home: Home) -> Program:
    """How to run *server*; its settings go through a file, because a password in arguments is everybody's to read.

    Raises NotFound.
    """
    server.folder.mkdir(mode=0o700, exist_ok=True)
    config = server.folder / "redis.conf"
    config.touch(mode=0o600)
    settings = {**server.settings, "port": str(server.port), "requirepass": server.password}
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    return Program(
        name=server.name,
        argv=(str(binaries.redis_server()), str(config)),
        log=home.log_of(server.name),
        cwd=server.folder,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", HOME_MARK: str(home.path)},
        is_ready=server.is_ready,
        grace_s=10.0,  # One fsync of the append-only file.
    )
