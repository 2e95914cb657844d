"""A PostgreSQL of one test's own, at the newest schema: to be cut off and started again without hurting others."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from pydantic import SecretStr

from deploy.stack import account, ports, postgres
from deploy.stack.home import Home
from deploy.stack.program import Program, spawn, stop
from deploy.stack.waiting import until
from shared.config import Settings
from shared.store import migrate
from shared.store.engine import create_engine

READY_WITHIN_S = 60.0
"""It starts in a second; a machine with seven times as much to do as it has cores needed ten."""


@dataclass(slots=True)
class OwnPostgres:
    """A cluster with a process that may be ended."""

    program: Program
    url: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again on the same port and data."""
        self.process = spawn(self.program)
        until(self.program.is_ready, "the test's own PostgreSQL answers", within_s=READY_WITHIN_S)

    def crash(self) -> None:
        """Its immediate shutdown: every session is cut and nothing is flushed, so the next start recovers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(READY_WITHIN_S)

    def stop_writing(self) -> None:
        """Stop whoever writes the log of others: from now on only a commit that waits for it is on the disk."""
        [writer] = [one for one in self._family() if "walwriter" in _command(one)]
        writer.suspend()

    def kill(self) -> None:
        """SIGKILL to all of it at once: what its memory holds is gone."""
        assert self.process is not None
        for one in (psutil.Process(self.process.pid), *self._family()):
            with suppress(psutil.NoSuchProcess):  # It ends by itself once its postmaster is gone.
                one.kill()
        self.process.wait(READY_WITHIN_S)

    def _family(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)


def _command(one: psutil.Process) -> str:
    """What it was started as; nothing for a session that is just ending."""
    try:
        return " ".join(one.cmdline())
    except psutil.NoSuchProcess:  # Or its zombie, which psutil counts among these.
        return ""


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """A running cluster in a folder of its own, gone at the end."""
    folder = tempfile.TemporaryDirectory(prefix="c2a-own-postgres-")
    home = Home(Path(folder.name)).make()
    cluster = postgres.prepare(home, port=ports.kept(home, "postgres"))
    running = OwnPostgres(postgres.program(cluster, home), cluster.url(user=postgres.OWNER, database=postgres.OWNER))
    try:
        running.start()
        postgres.provide_database(cluster)
        engine = create_engine(Settings.model_validate({"DATABASE_URL": SecretStr(running.url)}))
        migrate.upgrade(engine)
        engine.dispose()
        yield running
    finally:
        if running.process is not None and running.process.poll() is None:
            stop(running.process, running.program)
        account.forget(home.path)
        folder.cleanup()
