"""Brings one stack up in order, and down again: servers, schema, demo tenant, PSP, API and workers.

What does not wait for another starts beside it: the PSP needs no server, and what this process must load
itself is loaded while PostgreSQL comes up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from deploy.stack import options, ports, product, servers, shell, shop_page
from deploy.stack.home import Home
from deploy.stack.product import Wiring, Worker
from deploy.stack.program import Program
from deploy.stack.psps import StackPsp
from deploy.stack.record import Record
from deploy.stack.seed import Seeded, seed
from deploy.stack.shop_page import ShopPage
from deploy.stack.show import Show
from deploy.stack.supervisor import Supervisor
from shared import keyring
from shared.config import Settings
from shared.store import migrate
from shared.store.engine import create_engine

DEFAULT_PORT: Final = 8080


class PortTaken(RuntimeError):
    """The port that was asked for is somebody else's."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that runs."""

    home: Home
    wiring: Wiring
    psp: StackPsp
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a stack is whoever starts it to choose."""

    psp: StackPsp
    workers: tuple[Worker, ...] = product.WORKERS
    broker: str = options.BROKERS[0]
    port: int | None = None
    """The API's; None: the default, or a free one where that is taken."""


@contextmanager
def started(home: Home, choice: Choice, show: Show) -> Iterator[Stack]:
    """The stack of *home*, ready to use, supervised and recorded until the end of the block.

    Raises PortTaken, WaitedInVain, and what deploy.stack.servers.prepare raises.
    """
    record = Record(home)
    supervisor = Supervisor(say=show.say, changed=record.update)
    try:
        stack = _start(home, choice, show, supervisor)
        record.publish(stack.facts, supervisor)
        shell.write(home, stack.facts, stack.wiring.settings())
        yield stack
    finally:
        home.shell_file.unlink(missing_ok=True)
        with show.spinner("stopping"):
            supervisor.stop()
        record.close()


def _start(home: Home, choice: Choice, show: Show, supervisor: Supervisor) -> Stack:
    api_port, psp = _api_port(home, choice.port, show), choice.psp
    own = servers.prepare(home, os.environ, choice.broker)
    if own.postgres is not None and own.postgres.note:
        show.say(own.postgres.note)
    wiring = wired(home, own, api_port)
    strangers = psp.programs(home, wiring)
    with show.working("PostgreSQL, broker and vault", then=" answer"):
        supervisor.start([*own.programs, *strangers])
        supervisor.wait_until_ready(own.programs)
    with show.working("schema and demo tenant", then=" are there"):
        own.provide()
        seeded = prepare_database(home, wiring, psp)
        page = _shop_page(home, wiring, psp)
    ours = product.programs(home, wiring, choice.workers, page.settings if page else None)
    with show.working("PSP, API and workers", then=" are healthy"):
        supervisor.start(ours)
        supervisor.wait_until_ready(strangers)
        for account in (seeded.account, *([page.account] if page else [])):
            psp.register(account, wiring)
        supervisor.wait_until_ready(ours)
    return Stack(home, wiring, psp, _facts(wiring, seeded, ours) | ({"shopUrl": page.url} if page else {}))


def _api_port(home: Home, asked: int | None, show: Show) -> int:
    if asked is not None:
        if not ports.is_free(asked):
            raise PortTaken(f"port {asked} is taken: stop what listens on it, or choose another with --port")
        return asked
    if ports.is_free(DEFAULT_PORT):
        return DEFAULT_PORT
    port = ports.kept(home, "api")
    show.say(f"Port {DEFAULT_PORT} is taken: the API listens on {port}")
    return port


def wired(home: Home, own: servers.Servers, api_port: int) -> Wiring:
    """Where everything of *home* is found, its keyring made if it is new."""
    ring = home.path / "keyring.json"
    if not ring.exists():
        keyring.save(keyring.fresh(), ring)
    return Wiring(
        database_url=own.database_url,
        api_database_url=own.api_database_url,
        broker_url=own.broker_url,
        vault_url=own.vault_url,
        api_port=api_port,
        psp_port=ports.kept(home, "psp"),
        keyring=ring,
        metrics_ports=product.metrics_ports(home),
    )


def prepare_database(home: Home, wiring: Wiring, psp: StackPsp) -> Seeded:
    """The newest schema, and the demo tenant in it with its account at *psp*."""
    engine = create_engine(Settings.model_validate(wiring.settings()))
    try:
        migrate.upgrade(engine)
        return seed(home, engine, keyring.load(wiring.keyring), wiring, psp)
    finally:
        engine.dispose()


def _shop_page(home: Home, wiring: Wiring, psp: StackPsp) -> ShopPage | None:
    """The shop page that this stack serves, if it does."""
    engine = create_engine(Settings.model_validate(wiring.settings()))
    try:
        return shop_page.opened(home, engine, keyring.load(wiring.keyring), wiring, psp)
    finally:
        engine.dispose()


def _facts(wiring: Wiring, seeded: Seeded, ours: list[Program]) -> dict[str, Any]:
    """What stack.json tells beside the processes; others drive the system by these names."""
    return {
        "baseUrl": wiring.base_url,
        "tenant": str(seeded.tenant_id),
        "apiKey": seeded.api_key,
        "operatorKey": seeded.operator_key,
        "postgresDsn": wiring.database_url,
        "brokerUrl": wiring.broker_url,
        "vaultUrl": wiring.vault_url,
        "psp": {"baseUrl": wiring.psp_url},
        "metrics": {one.name: f"http://{ports.HOST}:{wiring.metrics_ports[one.name]}/metrics" for one in ours},
    }
