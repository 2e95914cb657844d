"""What one order keeps: bytes on the disk for good, bytes in the broker and in the vault while it waits.

Measured where it lies: tables and indexes are rewritten without their dead rows before and after, so that what is
counted is live; messages and cards are asked of their Redis while the workers are held back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import redis

from deploy.measure import backlog, database, gate, processes
from deploy.measure.at_once import PROVIDER
from deploy.measure.crowd import Crowd
from deploy.measure.database import Connection
from deploy.measure.parts.outcome import Outcome
from deploy.measure.plan import Plan
from deploy.measure.stand import Stand
from deploy.measure.traffic import Invalid
from deploy.stack import product
from deploy.stack.waiting import until
from shared.messages import Step, queues_in_turn
from shared.planning.bench_report import CARD, DISK, MESSAGE

DONE_WITHIN_S: Final = 120.0
RUNG_WITHIN_S: Final = 10.0
LOOKED_AT: Final = 100
"""Cards that are weighed: they differ by the length of a name."""


def measure(stand: Stand, plan: Plan, outcome: Outcome) -> None:
    """Add what an order keeps to *outcome*. Raises Invalid, ProcessDied or StopAsked."""
    with (
        stand.running(product.api(stand.home, stand.wiring), *processes.single_workers(stand.home, stand.wiring)) as up,
        database.connected(stand.admin_url) as conn,
        redis.Redis.from_url(stand.wiring.broker_url) as broker,
        redis.Redis.from_url(stand.wiring.vault_url) as vault,
    ):
        database.empty_orders(conn)
        crowd = Crowd(stand.submit_url, stand.headers, stand.offer, PROVIDER)
        before = _live_bytes(conn)
        with gate.closed(root for name, root in up.items() if name != "api"):
            crowd.submit(plan.priced)
            message, card = _message(broker, plan.priced), _card(vault)
        until(lambda: database.left(conn) == 0, "orders are not done", within_s=DONE_WITHIN_S)
        disk = (_live_bytes(conn) - before) / plan.priced
    outcome.add(DISK, "bytes", [disk], note="tables and indexes, without dead rows")
    outcome.add(MESSAGE, "bytes", [message])
    outcome.add(CARD, "bytes", [card])


def _live_bytes(conn: Connection) -> float:
    conn.execute("VACUUM FULL")
    return float(database.value(conn, "SELECT pg_database_size(current_database())"))


def _message(broker: redis.Redis, count: int) -> float:
    queues = queues_in_turn(Step.LOCK_OFFER)
    # A held worker may have one in its hands; the others wait.
    until(lambda: backlog.depth(broker, *queues) >= count - 1, "rings are not published", within_s=RUNG_WITHIN_S)
    used: list[Any] = [broker.memory_usage(queue, samples=0) for queue in queues]
    if not any(used):
        raise Invalid(f"{queues[0]} holds nothing while its workers are held")
    return float(sum(filter(None, used)) / backlog.depth(broker, *queues))


def _card(vault: redis.Redis) -> float:
    weights = [weight for _, weight in zip(range(LOOKED_AT), _weights(vault), strict=False)]
    if not weights:
        raise Invalid("the vault holds no card while orders wait")
    return sum(weights) / len(weights)


def _weights(vault: redis.Redis) -> Iterator[float]:
    for key in vault.scan_iter(match="card:*"):
        used: Any = vault.memory_usage(key)
        if used is not None:  # Gone between the two questions.
            yield float(used)
