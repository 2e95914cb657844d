"""What it costs an order that PostgreSQL keeps the tenants apart: less than a tenth of its admission.

Both ways in the same run, in turn, so that whatever else the machine does falls on both. Judged is the CPU time that
an order takes of the API's thread and of its PostgreSQL session: the round trips are one either way
(tests/integration/test_admission_round_trips.py), and the clock on the wall also counts whoever else runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

import psutil
import pytest
from redis import Redis
from sqlalchemy import func, select

from shared.config import Settings
from shared.domain.offers import Offer
from shared.store.engine import create_engine, statements
from shared.store.row_security import Role
from tests.support.front_door import parts_for
from tests.support.selling import Seller, a_seller
from tests.support.storefront import new_correlation

WARM: Final = 50
PAIRS: Final = 800
"""A session's CPU time is told in hundredths of a second; so many orders take one or two seconds of it."""
MOST: Final = 1.10


@dataclass(slots=True)
class Way:
    """One way to the same rows, and what its orders have taken so far."""

    seller: Seller
    wall_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0

    def order(self, offer: Offer) -> None:
        """Admit one more order."""
        document = self.seller.request(offer=offer, correlationId=new_correlation())
        began, began_cpu = time.perf_counter(), time.thread_time()
        answer = self.seller.post(document)
        self.wall_s.append(time.perf_counter() - began)
        self.cpu_s += time.thread_time() - began_cpu
        assert answer.status_code == 202, answer.text

    def session(self) -> psutil.Process:
        """The PostgreSQL process of its one connection."""
        with statements(self.seller.parts.engine) as conn:
            return psutil.Process(conn.execute(select(func.pg_backend_pid())).scalar_one())


@pytest.fixture(scope="module")
def ways(settings: Settings, vault_url: str) -> Iterator[list[Way]]:
    """One tenant's front door: as one to whom every row is shown, and as the API is let in."""
    known = settings.model_copy(update={"key_cache_s": 600.0, "pool_size": 1})
    free, bound = create_engine(known), create_engine(known, role=Role.API)
    with Redis.from_url(vault_url) as redis:
        parts = parts_for(known, free, redis)
        seller = a_seller(parts)
        yield [Way(seller), Way(replace(seller, parts=replace(parts, engine=bound)))]
        parts.doorbell.close()
    free.dispose()
    bound.dispose()


def test_row_level_security_costs_less_than_a_tenth_of_admission(ways: list[Way], say: Callable[[str], None]) -> None:
    offer = ways[0].seller.offer(single_use=False)
    for number in range(WARM):
        ways[number % 2].order(offer)
    sessions = [way.session() for way in ways]
    began = [cpu_s(session) for session in sessions]
    for way in ways:
        way.wall_s, way.cpu_s = [], 0.0

    for number in range(PAIRS):
        for way in ways if number % 2 else reversed(ways):
            way.order(offer)

    api = [1000 * way.cpu_s / PAIRS for way in ways]
    server = [1000 * (cpu_s(session) - start) / PAIRS for session, start in zip(sessions, began, strict=True)]
    ratio = (api[1] + server[1]) / (api[0] + server[0])
    wall = median(ways[1].wall_s) / median(ways[0].wall_s)
    say(
        f"row-level security: an order takes {ratio:.3f} times the CPU (API {api[0]:.2f} -> {api[1]:.2f} ms, PostgreSQL"
        f" {server[0]:.2f} -> {server[1]:.2f} ms) and, by the median, {wall:.3f} times as long"
    )
    assert ratio < MOST


def cpu_s(process: psutil.Process) -> float:
    """Seconds of CPU *process* has had."""
    used = process.cpu_times()
    return float(used.user + used.system)
