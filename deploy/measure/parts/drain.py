"""Drain: how many orders a second the engine room takes from admitted to done, beside the naive chain.

Once with a PSP that answers at once in the worker's own process, so that the engine's own work is all there is; once
with the sandbox over HTTP at 200 ms a call, where the places of the payment worker are the limit of both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import httpx
import psutil
import redis

from deploy.measure import backlog, database, processes
from deploy.measure.at_once import PROVIDER
from deploy.measure.database import Connection
from deploy.measure.parts import drained
from deploy.measure.parts.admission import prepare_rivals
from deploy.measure.parts.drained import Drained
from deploy.measure.parts.outcome import Outcome
from deploy.measure.plan import Plan
from deploy.measure.rivals import naive_tasks, programs
from deploy.measure.stand import Stand
from deploy.measure.turns import in_turn
from deploy.stack import product
from deploy.stack.psps import SANDBOX
from shared.config import Settings

PSP_MS: Final = 200
"""What a PSP takes for a card on a good day."""


def measure(stand: Stand, plan: Plan) -> Outcome:
    """The figures of drains. Raises Invalid, ProcessDied or StopAsked."""
    prepare_rivals(stand)
    _forget_admissions(stand)
    home, wiring = stand.home, stand.wiring
    workers, rivals = processes.workers(home, wiring), programs.naive_workers(home, wiring)
    with (
        stand.running(product.api(home, wiring), *workers, *rivals) as up,
        database.connected(stand.admin_url) as conn,
    ):
        ways = _Ways(stand, conn, up)
        ways.warm_up(plan.warm_orders)
        at_once = ways.drain(PROVIDER, plan.drained, plan.rounds)
        with _Slow(stand):
            over_http = ways.drain(SANDBOX.name, plan.drained_over_http, max(1, plan.rounds // 2))
    at_once["a worker a queue"] = _by_queue(stand, plan)
    return _figures(at_once, over_http)


def _by_queue(stand: Stand, plan: Plan) -> list[Drained]:
    """Ours with a worker a queue, as deploy/up starts them unless it is told otherwise."""
    home, wiring = stand.home, stand.wiring
    workers = processes.workers(home, wiring, product.WORKERS)
    with stand.running(product.api(home, wiring), *workers) as up, database.connected(stand.admin_url) as conn:
        ours = {name: root for name, root in up.items() if name != "api"}
        drain = partial(drained.ours, stand, conn, ours, provider=PROVIDER)
        drain(count=plan.warm_orders)
        several = [drain(count=plan.drained) for _ in range(max(1, plan.rounds // 2))]
    for one in several:
        stand.show.say(f"  drain, a worker a queue: {one}")
    return several


def _forget_admissions(stand: Stand) -> None:
    """Front doors ring for every order they take, the naive one as well: workers would find thousands that are gone by
    now, be held back in the middle of one, and hold its locks against whoever lays out the next."""
    with database.connected(stand.admin_url) as conn, redis.Redis.from_url(stand.wiring.broker_url) as broker:
        backlog.forget(stand, conn)
        broker.delete(*naive_tasks.QUEUES.values())


class _Ways:
    """Ours and the naive one, with and without results."""

    def __init__(self, stand: Stand, conn: Connection, up: Mapping[str, psutil.Process]) -> None:
        self._stand, self._conn = stand, conn
        self._naive = {name: up[name] for name in naive_tasks.QUEUES.values()}
        self._ours = {name: root for name, root in up.items() if name not in {*self._naive, "api"}}
        self._app = naive_tasks.create(Settings.model_validate(stand.wiring.settings()))

    def warm_up(self, count: int) -> None:
        """Let every process prepare what it will need."""
        drained.ours(self._stand, self._conn, self._ours, count, PROVIDER)
        drained.naive(self._stand, self._conn, self._naive, count, PROVIDER, app=self._app, results=True)

    def drain(self, provider: str, count: int, rounds: int) -> dict[str, list[Drained]]:
        """Each in turn."""
        them = (self._stand, self._conn, self._naive, count, provider)
        ways: dict[str, Callable[[], Drained]] = {
            "ours": partial(drained.ours, self._stand, self._conn, self._ours, count, provider),
            "naive": partial(drained.naive, *them, app=self._app, results=True),
            "naive without results": partial(drained.naive, *them, app=self._app, results=False),
        }
        return in_turn(
            ways,
            rounds,
            lambda number, name, seen: self._stand.show.say(f"  drain {number} ({provider}), {name}: {seen}"),
        )


class _Slow:
    """The sandbox takes PSP_MS for a call within the block."""

    def __init__(self, stand: Stand) -> None:
        self._url = f"{stand.wiring.psp_url}/faults"

    def __enter__(self) -> None:
        httpx.post(self._url, json={"latencyMs": PSP_MS}, trust_env=False).raise_for_status()

    def __exit__(self, *_: object) -> None:
        httpx.delete(self._url, trust_env=False).raise_for_status()


def _figures(at_once: dict[str, list[Drained]], over_http: dict[str, list[Drained]]) -> Outcome:
    outcome = Outcome()
    ours, naive, bare = (drained.rates(at_once[name]) for name in ("ours", "naive", "naive without results"))
    details = {name: drained.details(several) for name, several in at_once.items()}
    outcome.add("drain / naive chain", "orders/s", ours, naive, details=details, note="PSP in process, 0 ms")
    outcome.add("drain / naive chain without results", "orders/s", ours, bare, note="PSP in process, 0 ms")
    by_queue = drained.rates(at_once["a worker a queue"])
    outcome.add(
        "drain, a worker a queue / naive chain",
        "orders/s",
        by_queue,
        naive[: len(by_queue)],
        note="PSP in process, 0 ms",
    )
    slow, slow_naive = drained.rates(over_http["ours"]), drained.rates(over_http["naive"])
    details = {name: drained.details(several) for name, several in over_http.items()}
    places = sum(which.concurrency for which in product.ONE_POOL if which.queue == "payment")
    note = f"sandbox over HTTP, {PSP_MS} ms a call; {places} places allow {1_000 * places / PSP_MS:.0f} a second"
    outcome.add("drain over HTTP / naive chain", "orders/s", slow, slow_naive, details=details, note=note)
    return outcome
