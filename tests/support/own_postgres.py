"""A PostgreSQL of one test's own, at the newest schema: to be cut off and started again without hurting others."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, LiteralString

import psutil
import psycopg
from pydantic import SecretStr

from deploy.stack import account, ports, postgres
from deploy.stack.home import Home
from deploy.stack.postgres import Postgres
from deploy.stack.program import Program, spawn, stop
from deploy.stack.waiting import until
from shared.config import Settings
from shared.store import migrate
from shared.store.engine import create_engine
from tests.support import stopping

READY_WITHIN_S = 60.0
"""It starts in a second; a machine with seven times as much to do as it has cores needed ten."""

ULIMIT_UNIT: Final = 512
"""Bytes (POSIX, ulimit -f)."""


@dataclass(slots=True)
class OwnPostgres:
    """A cluster with a process that may be ended."""

    cluster: Postgres
    program: Program
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The product's database, as its owner."""
        return self.cluster.url(user=postgres.OWNER, database=postgres.OWNER)

    def ask(self, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query of its administrator, on a connection of its own; none where it answers none."""
        with psycopg.connect(self.cluster.url(), autocommit=True) as conn:
            asked = conn.execute(query, values)
            return asked.fetchall() if asked.description else []

    def start(self) -> None:
        """Start it, or start it again on the same port and data."""
        self.process = spawn(self.program)
        self._until_ready()

    def _until_ready(self) -> None:
        until(self.program.is_ready, "the test's own PostgreSQL answers", within_s=READY_WITHIN_S)

    def end(self) -> None:
        """Stop it, if it runs."""
        if self.process is not None and self.process.poll() is None:
            stop(self.process, self.program)

    def crash(self) -> None:
        """Its immediate shutdown: every session is cut and nothing is flushed, so the next start recovers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(READY_WITHIN_S)

    def start_on_full_disk(self, size: int) -> None:
        """Start it on what looks like a disk that is full: no file of its may grow beyond *size* bytes."""
        limited = ("/bin/sh", "-c", f'ulimit -S -f {size // ULIMIT_UNIT}; exec "$0" "$@"', *self.program.argv)
        self.process = spawn(replace(self.program, argv=limited))
        self._until_ready()

    def stop_writing(self) -> None:
        """Stop whoever writes the log of others: from now on only a commit that waits for it is on the disk."""
        [writer] = self.processes("walwriter")
        stopping.stop(writer)

    def processes(self, what: str) -> list[psutil.Process]:
        """Those of its processes that call themselves *what*."""
        return [one for one in self._family() if what in _command(one)]

    def kill(self) -> None:
        """SIGKILL to all of it at once, to its end: what its memory holds is gone.

        As long as one of them has hold of that memory, a new start is refused.
        """
        assert self.process is not None
        first = psutil.Process(self.process.pid)
        stopping.stop(first)  # Before its children are asked for: it makes no more.
        whole = [first, *self._family()]
        for one in whole:
            with suppress(psutil.NoSuchProcess):  # It ends by itself once its postmaster is gone.
                one.kill()
        self.process.wait(READY_WITHIN_S)
        until(lambda: all(map(stopping.is_dead, whole)), "all of PostgreSQL has ended", within_s=READY_WITHIN_S)

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
    running = OwnPostgres(cluster, postgres.program(cluster, home))
    try:
        running.start()
        postgres.provide_database(cluster)
        engine = create_engine(Settings.model_validate({"DATABASE_URL": SecretStr(running.url)}))
        migrate.upgrade(engine)
        engine.dispose()
        yield running
    finally:
        running.end()
        account.forget(home.path)
        folder.cleanup()
