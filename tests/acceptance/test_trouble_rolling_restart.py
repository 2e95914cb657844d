"""A6: everything is restarted in turn, and the schema changed in between, while orders come: no second of errors."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, text

from shared.config import Settings
from shared.store import migrate
from shared.store.engine import create_engine
from tests.support import api_process, outage, process_environment
from tests.support.api_process import ApiProcess
from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.storefront import DONE, PREFIX, Storefront, code_of, new_correlation, new_customer
from tests.support.wire import Document, a_request, an_order, fresh_card

pytestmark = pytest.mark.usefixtures("well")

SHOPS: Final = 2
EVERY_S: Final = 0.25
"""Eight orders a second together: two cores restart six processes meanwhile."""
LONGEST_S: Final = 1.0
"""How long nobody may be served though somebody was refused (the row of the list of faults)."""
HANGS_S: Final = 3.0
"""The same where nobody was refused: who found nobody at one address went to the other, or was served late. Two cores
that start six processes beside six times as much other work took 1.6 s over it."""
WORKERS: Final = ("worker-offer-lock", "worker-payment", "worker-tokenization", "worker-upkeep")
TABLES: Final = ("orders", "psp_accounts")
"""Which a next version adds a column to, before any process of it runs: this one does not know of it."""
TRIES_IN_VAIN: Final = 1
"""How often a migration tries while a backup is in its way: it waits, lets those behind it pass, and comes again."""
SOLD_AT_LEAST: Final = 20
ROUNDS: Final = 3
"""A product that leaves a gap leaves it in each; a disk that stands still for a second does so in one."""


@pytest.fixture
def settings(stack: Stack) -> Settings:
    """By what a second API reaches the servers of the stack."""
    document = stack.document()
    return Settings.model_validate(
        {
            "DATABASE_URL": SecretStr(document["postgresDsn"]),
            "BROKER_URL": SecretStr(document["brokerUrl"]),
            "VAULT_URL": SecretStr(document["vaultUrl"]),
            "keyring": stack.home / "keyring.json",
            "public_url": stack.base_url,
        }
    )


@pytest.fixture
def second(settings: Settings, tmp_path: Path) -> Iterator[ApiProcess]:
    """A second API beside the stack's, as behind one balancer."""
    with api_process.running(process_environment.of(settings), tmp_path) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Try:
    """One request to one API, by its sender's clock in seconds. *told*: the status, or the error that came instead."""

    began: float
    ended: float
    told: int | str

    @property
    def is_refusal(self) -> bool:
        """Whether it was answered with 5xx."""
        return isinstance(self.told, int) and self.told >= httpx.codes.INTERNAL_SERVER_ERROR

    @property
    def is_served(self) -> bool:
        """Whether it was answered, however late."""
        return isinstance(self.told, int) and not self.is_refusal

    @property
    def is_trouble(self) -> bool:
        """Whether its sender was turned away, or found nobody, or waited longer than anybody should."""
        return not self.is_served or self.ended - self.began > LONGEST_S


@dataclass(slots=True)
class Balancer:
    """Two addresses of one API: a request that one cannot take goes to the other, as a balancer would send it."""

    bases: tuple[str, str]
    headers: dict[str, str]
    tries: list[Try] = field(default_factory=list)

    def post(self, path: str, document: Document) -> httpx.Response:
        """The first answer that is no 5xx; every request may be made twice."""
        for base in itertools.islice(itertools.cycle(self.bases), 40):
            began = time.monotonic()
            try:
                answer = httpx.post(
                    f"{base}{PREFIX}{path}", json=document, headers=self.headers, timeout=10, trust_env=False
                )
            except httpx.TransportError as error:  # It is on its way down, or up.
                self.tries.append(Try(began, time.monotonic(), type(error).__name__))
            else:
                tried = Try(began, time.monotonic(), answer.status_code)
                self.tries.append(tried)
                if tried.is_served:
                    return answer
            time.sleep(0.05)
        raise AssertionError(f"neither API took {path}")

    def gaps(self) -> list[tuple[float, list[Try]]]:
        """Every time between two answers, in seconds, and what troubled anybody meanwhile."""
        pairs = itertools.pairwise(sorted(one.ended for one in self.tries if one.is_served))
        return [(right - left, self._troubles(left, right)) for left, right in pairs]

    def _troubles(self, left: float, right: float) -> list[Try]:
        return [one for one in self.tries if one.is_trouble and one.began < right and one.ended > left]


def too_long(balancer: Balancer) -> list[str]:
    """The times in which nobody was served for too long, and what was told meanwhile."""
    return [
        f"{seconds:.1f} s: {dict(Counter(one.told for one in troubles))}"
        for seconds, troubles in balancer.gaps()
        if seconds >= (LONGEST_S if any(one.is_refusal for one in troubles) else HANGS_S) and troubles
    ]


def test_a_rolling_restart_and_a_migration_cost_no_order_and_nobody_a_second(
    stack: Stack, shop: Storefront, psp: PspSide, settings: Settings, second: ApiProcess
) -> None:
    stories: list[list[str]] = []

    def was_served_throughout() -> bool:
        balancer = Balancer((stack.base_url, second.base_url), stack.headers)
        sold = sold_meanwhile(balancer, stack, settings, second)
        stories.append(too_long(balancer))
        assert {one.told for one in balancer.tries if one.is_refusal} <= {503}
        assert {code_of(shop.end(number)) for number in sold} == {DONE}
        assert [psp.money(correlation) for correlation in sold.values()] == [[(1499, "EUR")]] * len(sold)
        assert len(sold) >= SOLD_AT_LEAST
        return not stories[-1]

    assert any(was_served_throughout() for _ in range(ROUNDS)), stories


def sold_meanwhile(balancer: Balancer, stack: Stack, settings: Settings, second: ApiProcess) -> dict[str, str]:
    """Sell while every process is restarted and the schema changed; numbers and correlationIds of the orders."""
    over = threading.Event()
    with ThreadPoolExecutor(SHOPS) as shops, at_the_end_as_before(settings):
        selling = [shops.submit(sell, balancer, over) for _ in range(SHOPS)]
        try:
            with restarted(stack, WORKERS[:2]):
                second.stop()
                second.start()
            migrate_beside_a_backup(settings)
            with restarted(stack, ["api", *WORKERS[2:]]):
                pass
        finally:
            over.set()
        return dict(itertools.chain.from_iterable(one.result(60) for one in selling))


def sell(balancer: Balancer, over: threading.Event) -> list[tuple[str, str]]:
    """Order after order until it is *over*; their numbers and correlationIds."""
    sold: list[tuple[str, str]] = []
    while not over.wait(EVERY_S):
        customer, correlation = new_customer(), new_correlation()
        context = {"customerUrn": customer, "interactionType": "NewAcquisition", "storefrontUrn": "st.00.001"}
        offer = balancer.post("/c2a/offer/bundles", {"context": context}).json()["offer"]["offerIdentifier"]
        order = an_order(offer, customer, correlationId=correlation)
        answer = balancer.post("/c2a/offer/checkout", a_request(order, fresh_card()))
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        sold.append((answer.json()["trackingNumber"], correlation))
    return sold


@contextmanager
def restarted(stack: Stack, names: Iterable[str]) -> Iterator[None]:
    """Ask processes to end, as their supervisor would; at the end the next ones of their name work."""
    before = {name: stack.pids(name)[0] for name in names}
    for pid in before.values():
        os.kill(pid, signal.SIGTERM)
    yield
    for name, pid in before.items():
        until(lambda name=name, pid=pid: stack.pids(name) and pid not in stack.pids(name), seconds=outage.BACK_WITHIN_S)  # type: ignore[misc]
        until(lambda name=name: works(stack, name), seconds=outage.BACK_WITHIN_S)  # type: ignore[misc]


def works(stack: Stack, name: str) -> bool:
    """Whether a process has come up: a worker touches its file once it is connected."""
    return outage.is_ready(stack) if name == "api" else (stack.home / "run" / f"{name}.heartbeat").exists()


def migrate_beside_a_backup(settings: Settings) -> None:
    """Add a column to each of TABLES while somebody's long transaction has read them."""
    with ThreadPoolExecutor(1) as pool, psycopg.connect(settings.database_url.get_secret_value()) as backup:
        backup.execute("SELECT FROM orders, psp_accounts LIMIT 1")
        tries: list[float] = []
        migrating = pool.submit(changed, settings, "ADD COLUMN of_the_next_version text", tries)
        until(lambda: len(tries) > TRIES_IN_VAIN, seconds=10)
        backup.rollback()
        migrating.result(60)


def changed(settings: Settings, how: str, tries: list[float]) -> None:
    """Change each of TABLES, as a migration does; *tries*: when it tried."""
    engine = create_engine(settings)

    def change(conn: Connection) -> None:
        tries.append(time.monotonic())
        for table in TABLES:
            conn.execute(text(f"ALTER TABLE {table} {how}"))

    migrate.gently(engine, change)
    engine.dispose()


@contextmanager
def at_the_end_as_before(settings: Settings) -> Iterator[None]:
    """Without the new columns, whatever happens."""
    try:
        yield
    finally:
        changed(settings, "DROP COLUMN IF EXISTS of_the_next_version", [])
