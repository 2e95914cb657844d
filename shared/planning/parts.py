"""What there is one of, however many processes work: PostgreSQL, broker, vault and PSP, and the rate each carries.

API and workers are multiplied by starting more of them. These are not: the first of them to be full is what an
installation is limited by. PostgreSQL's cores are counted as if it had no locks and no waiting among them; nobody
measured that, as the machine of the measurement has too few.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from shared.planning.costs import BROKER, POSTGRES, VAULT, Costs
from shared.planning.question import Question
from shared.psp.traffic.lane import HEADROOM

MB: Final = 1_000_000
REDIS_CORES: Final = 1
"""Redis runs commands on one thread."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of them, under the load of a question."""

    name: str
    load: float
    full: float
    """What it can take at all."""
    unit: str
    free: float
    """The share that stays free."""
    rate: float
    """Orders a second that cause this load."""
    then: str
    """What to change when it is full."""
    splits: bool = True
    """Whether another installation has another one."""

    @property
    def carries(self) -> float:
        """Orders a second at which only *free* of it is left."""
        return self.rate * self.full * (1 - self.free) / self.load if self.load else float("inf")

    @property
    def busy(self) -> float:
        """The share that is taken."""
        return self.load / self.full

    def document(self) -> dict[str, Any]:
        """As a plan tells it."""
        return {
            "name": self.name,
            "load": float(f"{self.load:.4g}"),
            "full": self.full,
            "unit": self.unit,
            "busy": round(self.busy, 4),
            "carriesOrdersPerSecond": float(f"{self.carries:.4g}") if self.load else None,
            "then": self.then,
        }


SHARDS: Final = "shard the tenants over installations of their own"
POSTGRES_THEN: Final = f"answer polls from replicas, and 304s before they reach it; then {SHARDS}"
WAL_THEN: Final = f"give the log a disk of its own; then {SHARDS}"
BROKER_THEN: Final = f"RabbitMQ with quorum queues instead of Redis (BROKER_URL), a queue on each node; or {SHARDS}"
VAULT_THEN: Final = (
    "let Redis read and write with `io-threads` (nobody measured by how much), or give rate limits and poll counts a "
    f"Redis apart from the cards (work to do: today one address holds both); or {SHARDS}"
)
PSP_THEN: Final = "ask the PSP for more, or pay through accounts at further PSPs: nothing here is faster than they are"


def of(question: Question, costs: Costs) -> Iterator[Part]:
    """The parts under the load of *question*."""
    rate, polls, free = question.orders_per_second, question.polls_per_order, question.free

    def cores(process: str) -> float:
        return rate * costs.an_order(process, polls=polls) / 1_000

    wal = rate * costs.order.wal_bytes / MB
    yield Part("PostgreSQL", cores(POSTGRES), question.postgres_cores, "cores", free, rate, POSTGRES_THEN)
    yield Part("write-ahead log", wal, question.wal_mb_per_second, "MB/s", free, rate, WAL_THEN)
    yield Part("broker", cores(BROKER), REDIS_CORES, "cores", free, rate, BROKER_THEN)
    yield Part("vault", cores(VAULT), REDIS_CORES, "cores", free, rate, VAULT_THEN)
    if (limit := question.psp_limit_per_second) is not None:
        # Paced below its limit already (shared/psp/traffic): to leave more of it free would only make orders wait.
        yield Part("PSP", rate, limit * HEADROOM, "calls/s", 0.0, rate, PSP_THEN, splits=False)
