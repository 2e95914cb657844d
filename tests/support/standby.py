"""A second PostgreSQL that follows a test's own one, as a standby does: behind it, with it, and in its place."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from deploy.stack import account, ports, postgres
from deploy.stack.home import Home
from tests.support import stopping
from tests.support.own_postgres import READY_WITHIN_S, OwnPostgres, own_postgres
from tests.support.psp import until

NAME: Final = "heir"
"""What the standby calls itself, and what a primary that waits for it knows it by."""


@dataclass(slots=True)
class Pair:
    """A primary and the standby that follows it, both running."""

    primary: OwnPostgres
    standby: OwnPostgres
    is_over: bool = False
    """Whether the standby has taken its place."""

    def wait_for_each_other(self) -> None:
        """From now on a commit is one when the standby has it on its disk, too: a synchronous standby."""
        self.primary.ask(f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'")
        self.primary.ask("SELECT pg_reload_conf()")
        until(lambda: self.primary.ask("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"))

    def catch_up(self) -> None:
        """Return once the standby has all that the primary has."""
        [(written,)] = self.primary.ask("SELECT pg_current_wal_flush_lsn()::text")
        until(lambda: self.standby.ask("SELECT 1 WHERE pg_last_wal_replay_lsn() >= %s::pg_lsn", written), seconds=20)

    def fall_behind(self) -> None:
        """From now on nothing reaches the standby: who sends to it is stopped, and dies with its server."""
        for sender in self.primary.processes("walsender"):
            stopping.stop(sender)

    def fail_over(self) -> None:
        """The primary dies with all it holds in memory, and the standby takes its place."""
        self.primary.kill()
        [(promoted,)] = self.standby.ask("SELECT pg_promote(true, 30)")
        assert promoted
        self.is_over = True


@dataclass(slots=True)
class Line:
    """A primary and those who came after it: a standby that took its place is the next one's primary."""

    current: OwnPostgres
    _count: int = 0

    @contextmanager
    def followed(self) -> Iterator[Pair]:
        """The current primary with a standby beside it, made by pg_basebackup; one of them is left at the end."""
        self._count += 1
        pair = Pair(self.current, _standby_of(self.current, f"standby-{self._count}"))
        try:
            pair.standby.start()
            yield pair
        finally:
            gone, self.current = (pair.primary, pair.standby) if pair.is_over else (pair.standby, pair.primary)
            gone.end()


@contextmanager
def line() -> Iterator[Line]:
    """A line that begins with a new primary; whoever is left of it is stopped at the end."""
    with own_postgres() as first:
        made = Line(first)
        try:
            yield made
        finally:
            made.current.end()


def _standby_of(primary: OwnPostgres, name: str) -> OwnPostgres:
    cluster, home = primary.cluster, Home(primary.program.log.parents[1])
    follower = replace(cluster, folder=cluster.folder.with_name(name), port=ports.kept(home, name))
    if follower.account is None:
        follower.folder.mkdir(mode=0o700)
    else:
        account.give(follower.folder, follower.account)
    _copy(cluster, follower)
    return OwnPostgres(follower, replace(postgres.program(follower, home), log=home.log_of(name)))


def _copy(cluster: postgres.Postgres, follower: postgres.Postgres) -> None:
    """A base backup that becomes a standby when it is started (-R)."""
    runner = follower.account
    where = f"{cluster.url()}?application_name={NAME}"
    subprocess.run(
        [follower.bin_folder / "pg_basebackup", "-D", follower.data, "-d", where, "-R", "-X", "stream", "-c", "fast"],
        check=True,
        capture_output=True,
        text=True,
        timeout=READY_WITHIN_S,
        cwd=follower.folder,
        env={"PATH": f"{follower.bin_folder}:/usr/bin:/bin", "LC_ALL": "C"},
        user=runner.uid if runner else None,
        group=runner.gid if runner else None,
        extra_groups=() if runner else None,
    )
