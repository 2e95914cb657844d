"""A RabbitMQ of one test's own: to be killed, stopped and looked into without hurting others."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from deploy.stack import binaries, rabbitmq
from deploy.stack.home import Home
from deploy.stack.program import Program, spawn, stop
from deploy.stack.waiting import until
from tests.support import stopping

READY_WITHIN_S: Final = 60.0
"""It starts in three seconds of a processor's time; beside other work in ten."""


def needed() -> None:
    """Where there is no RabbitMQ the test says so, and fails if CI needs it."""
    try:
        binaries.rabbitmq_server()
    except binaries.NotFound as why:
        if "rabbitmq" in os.environ.get("C2A_TEST_NEEDS", "").split():
            pytest.fail(str(why))
        pytest.skip(str(why))


@dataclass(slots=True)
class OwnRabbitMQ:
    """A node like the stack's, with a process that may be killed."""

    program: Program
    url: str = field(repr=False)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again on the same port and data."""
        self.process = spawn(self.program)
        until(self.program.is_ready, f"RabbitMQ answers (see {self.program.log})", within_s=READY_WITHIN_S)

    def kill(self) -> None:
        """kill -9; what it had started ends with it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """It keeps its connections and says nothing within (SIGSTOP)."""
        assert self.process is not None
        with stopping.stopped(self.process.pid):
            yield


@contextmanager
def running(folder: Path) -> Iterator[OwnRabbitMQ]:
    """A running node in *folder*, gone at the end."""
    needed()
    home = Home(folder).make()
    server = rabbitmq.prepare(home)
    node = OwnRabbitMQ(rabbitmq.program(server, home), server.url)
    try:
        node.start()
        yield node
    finally:
        if node.process is not None:
            stop(node.process, node.program)
