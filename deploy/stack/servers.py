"""The three servers everything stands on: the caller's own by URL, else ours.

Used by deploy/up, which supervises them, and by the tests, which only run them: `running` is for those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from deploy.stack import account, leftovers, ports, postgres, rabbitmq, redis
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

    @property
    def api_database_url(self) -> str:
        """The API's own login where the server is ours; where it is not, the one that was given takes the role."""
        if self.postgres is None:
            return self.database_url
        return self.postgres.url(user=postgres.API, database=postgres.OWNER)

    def provide(self) -> None:
        """What the servers must hold before the product can use them; call it once they are ready."""
        if self.postgres is not None:
            postgres.provide_database(self.postgres)


def prepare(home: Home, given: Mapping[str, str], broker_kind: str = "redis") -> Servers:
    """The servers of *home*; those whose URL is in *given* (an environment) are not ours.

    Raises what deploy.stack.postgres.prepare and the brokers' `program` raise.
    """
    database, broker, vault = given.get("DATABASE_URL"), given.get("BROKER_URL"), given.get("VAULT_URL")
    programs: list[Program] = []
    cluster: Postgres | None = None
    if not database:
        cluster = postgres.prepare(home, port=ports.kept(home, "postgres"))
        programs.append(postgres.program(cluster, home))
        database = cluster.url(user=postgres.OWNER, database=postgres.OWNER)
    if not broker:
        broker, program = _BROKERS[broker_kind](home)
        programs.append(program)
    if not vault:
        own = redis.vault(home, port=ports.kept(home, "redis-vault"))
        vault = own.url
        programs.append(redis.program(own, home))
    return Servers(database, broker, vault, tuple(programs), cluster)


def _redis(home: Home) -> tuple[str, Program]:
    server = redis.broker(home, port=ports.kept(home, "redis-broker"))
    return server.url, redis.program(server, home)


def _rabbitmq(home: Home) -> tuple[str, Program]:
    server = rabbitmq.prepare(home)
    return server.url, rabbitmq.program(server, home)


_BROKERS: Final[Mapping[str, Callable[[Home], tuple[str, Program]]]] = {"redis": _redis, "rabbitmq": _rabbitmq}
"""By the name that deploy/up --broker knows each by."""


@contextmanager
def running(home: Home) -> Iterator[Servers]:
    """Servers of our own in *home*, ready to use; stopped, with all they wrote elsewhere, at the end.

    They are noted, so that deploy/down ends them should this process be killed.
    """
    servers = prepare(home.make(), {})
    with ExitStack() as stack:
        stack.callback(account.forget, home.path)
        started = [(program, spawn(program)) for program in servers.programs]
        for program, process in started:
            stack.callback(stop, process, program)
        leftovers.write_note(home, ((program, process.pid) for program, process in started))
        for program, _ in started:
            until(program.is_ready, f"{program.name} (see {program.log})", within_s=READY_WITHIN_S)
        servers.provide()
        yield servers
