"""The bench's own stack: servers, schema, tenant and PSP in a fresh home, and whatever processes a part needs.

Nothing of the developer's is touched: data, logs and ports are its own, and every process that was started is ended
by its number, also after Ctrl-C. What a killed bench leaves behind, `deploy/down --home` ends.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import psutil

from deploy.measure import accounts, goods
from deploy.stack import account, leftovers, ports, servers, startup
from deploy.stack.home import Home
from deploy.stack.postgres import OWNER
from deploy.stack.product import Wiring
from deploy.stack.program import Program
from deploy.stack.psps import SANDBOX
from deploy.stack.seed import Seeded
from deploy.stack.show import Show
from deploy.stack.supervisor import Supervisor


class ProcessDied(RuntimeError):
    """A process ended while it was measured: what was measured means nothing."""


@dataclass(slots=True)
class Stand:
    """Servers that run, and what they hold for every part."""

    home: Home
    wiring: Wiring
    admin_url: str = field(repr=False)
    """The database as its superuser, to whom every row is shown."""
    show: Show
    seeded: Seeded
    offer: str
    """An offer that anybody may order, as often as they like."""
    servers: Mapping[str, psutil.Process]
    """PostgreSQL and the two Redis."""
    _serving: Supervisor
    """Who runs them."""
    _supervisors: list[Supervisor]
    had_trouble: bool = False
    """Whether a part could not be measured."""

    @property
    def submit_url(self) -> str:
        """Where orders are submitted."""
        return f"{self.wiring.base_url}{SUBMIT}"

    @property
    def headers(self) -> dict[str, str]:
        """How a storefront of the tenant shows who it is."""
        return {"x-api-key": self.seeded.api_key, "x-tn": str(self.seeded.tenant_id)}

    @contextmanager
    def running(self, *programs: Program) -> Iterator[dict[str, psutil.Process]]:
        """*programs*, each ready, until the end of the block; by name. Raises WaitedInVain or ProcessDied."""
        said: list[str] = []
        with _supervised(self.home, self._supervisors, said) as supervisor:
            supervisor.start(programs)
            supervisor.wait_until_ready(programs)
            families = _processes(supervisor)
            yield families
            if said:
                raise ProcessDied("; ".join(said))

    @contextmanager
    def postgres_with(self, **settings: str) -> Iterator[None]:
        """PostgreSQL with other *settings* than the product's, within the block alone; nobody else may be connected.

        Raises WaitedInVain.
        """
        own = next(program for program, _ in self._serving.running() if program.name == POSTGRES)
        more = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._serve(replace(own, argv=(*own.argv, *more)))
        try:
            yield
        finally:
            self._serve(own)

    def _serve(self, program: Program) -> None:
        """Have a server run as *program* says instead of as it does."""
        self._serving.stop_one(program.name)
        self._serving.start([program])
        self._serving.wait_until_ready([program])
        self.servers = _processes(self._serving)


POSTGRES: Final = "postgres"
SUBMIT: Final = "/api/v1/c2a/offer/checkout"
_noting: Final = threading.Lock()


@contextmanager
def opened(show: Show) -> Iterator[Stand]:
    """A stand in a folder of its own, gone at the end; after trouble its logs stay."""
    home = Home(Path(tempfile.mkdtemp(prefix="c2a-bench-"))).make()
    had_trouble = False
    try:
        with _stood(home, show) as stand:
            yield stand
            had_trouble = stand.had_trouble
    except Exception:
        had_trouble = True
        raise
    finally:
        account.forget(home.path)
        _forget(home, but=home.logs if had_trouble else None)
        if had_trouble:
            show.say(f"The logs are kept in {home.logs}")


def _forget(home: Home, *, but: Path | None) -> None:
    for entry in home.path.iterdir():
        if entry == but:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if but is None:
        home.path.rmdir()


@contextmanager
def _stood(home: Home, show: Show) -> Iterator[Stand]:
    own = servers.prepare(home, {})
    assert own.postgres is not None, "it is ours where no address was given"
    supervisors: list[Supervisor] = []
    said: list[str] = []
    with _supervised(home, supervisors, said) as supervisor:
        wiring = startup.wired(home, own, ports.kept(home, "api"))
        sandbox = SANDBOX.programs(home, wiring)
        with show.working("PostgreSQL, broker, vault and sandbox PSP", then=" answer"):
            supervisor.start([*own.programs, *sandbox])
            supervisor.wait_until_ready([*own.programs, *sandbox])
        own.provide()
        seeded = startup.prepare_database(home, wiring, SANDBOX)
        SANDBOX.register(seeded.account, wiring)
        accounts.open_at_once(wiring, seeded)
        admin_url = own.postgres.url(database=OWNER)
        offer = goods.laid_out(wiring.database_url, seeded.tenant_id)
        running = _processes(supervisor)
        yield Stand(home, wiring, admin_url, show, seeded, offer, running, supervisor, supervisors)
        if said:
            raise ProcessDied("; ".join(said))


@contextmanager
def _supervised(home: Home, all_of_them: list[Supervisor], said: list[str]) -> Iterator[Supervisor]:
    """A supervisor whose processes are noted beside those of the others, and ended with the block."""

    def note(_: Supervisor) -> None:
        with _noting:  # Each program has a thread that tells of it.
            leftovers.write_note(home, [entry for one in list(all_of_them) for entry in one.running()])

    supervisor = Supervisor(say=said.append, changed=note)
    all_of_them.append(supervisor)
    try:
        yield supervisor
    finally:
        supervisor.stop()
        all_of_them.remove(supervisor)


def _processes(supervisor: Supervisor) -> dict[str, psutil.Process]:
    return {program.name: psutil.Process(pid) for program, pid in supervisor.running()}
