"""Cost: what one order takes of PostgreSQL and the broker: statements, round trips, write-ahead log, messages.

Counted, not timed. One process and one place for each kind of work, all of them warm, so that no connection is opened
and nothing is prepared while we count; a key is believed for as long as that lasts, and no upkeep runs beside. The
naive way is counted by the same counters. Beside them, what an order keeps (kept.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

import psutil
import redis
from psycopg import sql

from deploy.measure import database, gate, processes, wire
from deploy.measure.at_once import PROVIDER
from deploy.measure.crowd import Crowd
from deploy.measure.database import Connection
from deploy.measure.parts import kept
from deploy.measure.parts.admission import prepare_rivals
from deploy.measure.parts.outcome import Outcome
from deploy.measure.plan import Plan
from deploy.measure.rivals import naive_rows, naive_tasks, programs
from deploy.measure.stand import Stand
from deploy.measure.wire import Heard
from deploy.stack import product
from deploy.stack.ports import HOST
from deploy.stack.program import Program
from deploy.stack.waiting import until

WARM: Final = 40
"""Orders before we count; psycopg prepares a statement after its fifth run on a connection."""
DONE_WITHIN_S: Final = 120.0
RING_S: Final = 0.2
"""Many times what a ring takes to its broker."""
PUBLISHES: Final = ("cmdstat_lpush", "cmdstat_rpush")
"""How a message comes into a Redis list."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one order took, on the average."""

    statements: float
    transactions: float
    round_trips: float
    wal_bytes: float
    messages: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, name) + getattr(other, name) for name in Cost.__slots__))

    def document(self) -> dict[str, float]:
        """As the JSON report tells it."""
        return {name: getattr(self, name) for name in Cost.__slots__}


@dataclass(frozen=True, slots=True)
class _Scene:
    """One way of taking orders, through counters."""

    conn: Connection
    crowd: Crowd
    workers: Mapping[str, psutil.Process]
    front: Heard
    back: Heard
    broker: redis.Redis
    left: Callable[[], int]

    def warm_up(self) -> None:
        """Let everything connect and prepare, and its dead rows be gone."""
        self.crowd.submit(WARM, at_once=1)
        self.end()
        database.settled(self.conn)
        self.crowd.submit(WARM, at_once=1)
        self.end()

    def end(self) -> None:
        """Wait until every order is done."""
        until(lambda: self.left() == 0, "orders are not done", within_s=DONE_WITHIN_S)

    def priced(self, count: int) -> tuple[Cost, Cost]:
        """The cost of an admission, and of the rest of an order."""
        with gate.closed(self.workers.values()):
            before = self._read()
            self.crowd.submit(count, at_once=1)
            self._all_rung()
            admitted = self._read()
        self.end()
        return _a_piece(before, admitted, count), _a_piece(admitted, self._read(), count)

    def _all_rung(self) -> None:
        """Wait until no ring is on its way any more: ours are published beside the answers."""
        before = -1
        while (now := self._messages()) != before:
            before = now
            time.sleep(RING_S)

    def _messages(self) -> int:
        stats: Any = self.broker.info("commandstats")
        return sum(stats.get(name, {}).get("calls", 0) for name in PUBLISHES)

    def _read(self) -> tuple[float, ...]:
        ends = (self.front, self.back)
        return (
            sum(end.statements for end in ends),
            sum(end.transactions for end in ends),
            sum(end.round_trips for end in ends),
            database.written_bytes(self.conn),
            self._messages(),
        )


def _a_piece(before: tuple[float, ...], after: tuple[float, ...], count: int) -> Cost:
    return Cost(*((later - earlier) / count for earlier, later in zip(before, after, strict=True)))


def measure(stand: Stand, plan: Plan) -> Outcome:
    """The figures of cost. Raises Invalid, ProcessDied or StopAsked."""
    prepare_rivals(stand)
    with database.connected(stand.admin_url) as conn, redis.Redis.from_url(stand.wiring.broker_url) as broker:
        database.empty_orders(conn)
        ours = _priced(_ours, stand, conn, broker, plan.priced)
        theirs = _priced(_naive, stand, conn, broker, plan.priced)
    outcome = _figures(ours, theirs)
    kept.measure(stand, plan, outcome)
    return outcome


_Setting = Callable[[Stand, ExitStack, Connection, redis.Redis], _Scene]


def _priced(setting: _Setting, stand: Stand, conn: Connection, broker: redis.Redis, count: int) -> tuple[Cost, Cost]:
    with ExitStack() as stack:
        scene = setting(stand, stack, conn, broker)
        scene.warm_up()
        priced = scene.priced(count)
    whole = (priced[0] + priced[1]).document()
    stand.show.say("  cost: " + ", ".join(f"{name} {value:.4g}" for name, value in whole.items()))
    return priced


def _ours(stand: Stand, stack: ExitStack, conn: Connection, broker: redis.Redis) -> _Scene:
    front = stack.enter_context(wire.counted(stand.wiring.api_database_url))
    back = stack.enter_context(wire.counted(stand.wiring.database_url))
    wiring = replace(stand.wiring, api_database_url=front.url, database_url=back.url)
    api = of_one_process(product.api(stand.home, wiring))
    api = replace(api, env={**api.env, "C2A_KEY_CACHE_S": "600"})
    up = stack.enter_context(stand.running(api, *processes.single_workers(stand.home, wiring)))
    crowd = Crowd(stand.submit_url, stand.headers, stand.offer, PROVIDER)
    workers = {name: root for name, root in up.items() if name != "api"}
    return _Scene(conn, crowd, workers, front, back, broker, lambda: database.left(conn))


def _naive(stand: Stand, stack: ExitStack, conn: Connection, broker: redis.Redis) -> _Scene:
    front, back = (stack.enter_context(wire.counted(stand.wiring.database_url)) for _ in range(2))
    web = programs.naive(stand.home, replace(stand.wiring, database_url=front.url), processes=1)
    workers = programs.naive_workers(stand.home, replace(stand.wiring, database_url=back.url), single=True)
    up = stack.enter_context(stand.running(web, *workers))
    crowd = Crowd(f"http://{HOST}:{programs.port_of(programs.NAIVE, stand.home)}/orders", {}, stand.offer)
    steps = {name: up[name] for name in naive_tasks.QUEUES.values()}
    return _Scene(conn, crowd, steps, front, back, broker, lambda: _naive_left(conn))


def of_one_process(api: Program) -> Program:
    """*api*, served by one process."""
    at = api.argv.index("--workers") + 1
    return replace(api, argv=(*api.argv[:at], "1", *api.argv[at + 1 :]))


def _naive_left(conn: Connection) -> int:
    table = sql.Identifier(naive_rows.SCHEMA, "naive_orders")
    return int(database.value(conn, sql.SQL("SELECT count(*) FROM {} WHERE state <> 'done'").format(table)))


def _figures(ours: tuple[Cost, Cost], naive: tuple[Cost, Cost]) -> Outcome:
    outcome = Outcome()
    (admitted, worked), (their_admission, their_work) = ours, naive
    whole, theirs = admitted + worked, their_admission + their_work
    details = {
        "admission": admitted.document(),
        "engineRoom": worked.document(),
        "naiveAdmission": their_admission.document(),
        "naiveChain": their_work.document(),
    }
    outcome.add("round trips of an admission", "", [admitted.round_trips], details=details)
    outcome.add("round trips of a whole order", "", [whole.round_trips])
    for name, unit in (("statements", ""), ("wal_bytes", "bytes"), ("messages", "")):
        title = name.replace("wal_bytes", "write-ahead log")
        outcome.add(f"{title} of a whole order / naive", unit, [getattr(whole, name)], [getattr(theirs, name)])
    return outcome
