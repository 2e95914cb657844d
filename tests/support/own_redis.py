"""A Redis of one test's own: to be killed, restarted and looked into without hurting others."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import redis

from deploy.stack import ports
from deploy.stack import redis as servers
from deploy.stack.home import Home
from deploy.stack.program import Program, spawn
from deploy.stack.redis import RedisServer
from deploy.stack.waiting import until
from tests.support import stopping

READY_WITHIN_S = 10.0
"""It starts in a tenth of a second; a machine at its limit may need more."""


@dataclass(slots=True)
class OwnRedis:
    """A broker like the stack's, with a process that may be killed."""

    program: Program
    url: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again on the same port."""
        self.process = spawn(self.program)
        until(self.program.is_ready, "the test's own Redis answers", within_s=READY_WITHIN_S)

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """It takes what is sent to it and says nothing within (SIGSTOP)."""
        assert self.process is not None
        with stopping.stopped(self.process.pid):
            yield

    def client(self) -> redis.Redis:
        """A client of it; close it after use."""
        return redis.Redis.from_url(self.url, socket_timeout=5)


@contextmanager
def own_redis(
    folder: Path, kind: Callable[..., RedisServer] = servers.broker, settings: Mapping[str, str] | None = None
) -> Iterator[OwnRedis]:
    """A running broker (or a vault) in *folder*, gone at the end; *settings*: what it has otherwise."""
    home = Home(folder).make()
    server = kind(home, port=ports.kept(home, "redis-own"))
    server = replace(server, settings={**server.settings, **(settings or {})})
    running = OwnRedis(servers.program(server, home), server.url)
    running.start()
    try:
        yield running
    finally:
        running.kill()
