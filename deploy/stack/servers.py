"""The three servers everything stands on: the caller's own by URL, else ours.

Used by deploy/up, which supervises them, and by the tests, which only run them: `running` is for those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from deploy.stack import account, ports, postgres, redis
from deploy.stack.home import Home
from deploy.stack.postgres import Postgres
from deploy.stack.program import Program, spawn, stop
from deploy.stack.waiting import until

READY_WITHIN_S: Final = 30.0
"""A cold PostgreSQL on a slow disk starts in seconds; one that replays a crash may need more of them."""


@dataclass(frozen=True, slots=True)
class Servers:
    """The addresses, and the programs of those servers that are ours to run."""

    database_url: str = field(repr=False)
    broker_url: str = field(repr=False)
    vault_url: str = field(repr=False)
    programs: tuple[Program, ...]
    postgres: Postgres | None
    """Ours; None where DATABASE_URL was given."""

    def provide(self) -> None:
        """What the servers must hold before the product can use them; call it once they are ready."""
        if self.postgres is not None:
            postgres.provide_database(self.postgres)


def prepare(home: Home, given: Mapping[str, str]) -> Servers:
    """The servers of *home*; those whose URL is in *given* (an environment) are not ours.

    Raises what deploy.stack.postgres.prepare and deploy.stack.redis.program raise.
    """
    database, broker, vault = given.get("DATABASE_URL"), given.get("BROKER_URL"), given.get("VAULT_URL")
    programs: list[Program] = []
    cluster: Postgres | None = None
    if not database:
        cluster = postgres.prepare(home, port=ports.kept(home, "postgres"))
        programs.append(postgres.program(cluster, home))
        database = cluster.url(user=postgres.OWNER, database=postgres.OWNER)
    if not broker:
        broker = _own(redis.broker(home, port=ports.kept(home, "redis-broker")), home, programs)
    if not vault:
        vault = _own(redis.vault(home, port=ports.kept(home, "redis-vault")), home, programs)
    return Servers(database, broker, vault, tuple(programs), cluster)


def _own(server: redis.RedisServer, home: Home, programs: list[Program]) -> str:
    programs.append(redis.program(server, home))
    return server.url


@contextmanager
def running(home: Home) -> Iterator[Servers]:
    """Servers of our own in *home*, ready to use; stopped, with all they wrote, at the end."""
    servers = prepare(home.make(), {})
    with ExitStack() as stack:
        stack.callback(account.forget, home.path)
        with ThreadPoolExecutor() as pool:
            for stopper in pool.map(_start, servers.programs):
                stack.callback(stopper)
        servers.provide()
        yield servers


def _start(program: Program) -> Callable[[], object]:
    process = spawn(program)
    try:
        until(program.is_ready, f"{program.name} (see {program.log})", within_s=READY_WITHIN_S)
    except BaseException:
        stop(process, program)
        raise
    return partial(stop, process, program)
