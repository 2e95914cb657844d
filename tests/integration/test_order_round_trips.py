"""What a whole order costs in round trips to PostgreSQL: one to admit it (test_admission_round_trips.py), and what the
engine room takes to end it, with one pool for all steps or a worker a queue.

Counted on the wire, by a proxy that reads the server's protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pytest
from pydantic import SecretStr

from shared.config import Settings
from shared.domain.states import OrderState
from shared.messages import CHAIN_FROM, QUEUE_OF, Step
from tests.support import engine_room, pg_proxy
from tests.support.engine_room import EngineRoom
from tests.support.pg_proxy import PgProxy
from tests.support.psp import Sandbox
from workers.walk import walk

ADMISSION: Final = 1
ORDERS: Final = 3
"""The first one opens a connection, and a heartbeat may come in between: what an order costs is the least of them."""
CHAIN: Final = CHAIN_FROM[Step.LOCK_OFFER]


@pytest.fixture(scope="module")
def proxy(postgres_url: str) -> Iterator[PgProxy]:
    with pg_proxy.before(postgres_url) as running:
        yield running


@pytest.fixture(scope="module")
def counted(settings: Settings, proxy: PgProxy, vault_url: str, shared_psp: Sandbox) -> Iterator[EngineRoom]:
    """An engine room that reaches its database through the proxy."""
    shared_psp.heal()
    through = settings.model_copy(update={"database_url": SecretStr(proxy.url)})
    with engine_room.opened(through, vault_url, shared_psp) as room:
        yield room


def by_one_pool(room: EngineRoom, number: str) -> None:
    assert not walked(room, number, CHAIN, set(QUEUE_OF.values()))


def by_a_worker_a_queue(room: EngineRoom, number: str) -> None:
    left: Sequence[Step] = CHAIN
    while left:
        left = walked(room, number, left, {QUEUE_OF[left[0]]})


def walked(room: EngineRoom, number: str, chain: Sequence[Step], served: set[str]) -> list[Step]:
    """What is left of *chain* after a worker of the queues *served* had its message."""
    later = [{"task": str(step)} for step in reversed(chain[1:])]
    left = walk(room.run, chain[0], number, later, served)
    return [Step(one["task"]) for one in reversed(left or ())]


@pytest.mark.parametrize(("way", "all_in_all"), [(by_one_pool, 4), (by_a_worker_a_queue, 7)])
def test_an_order_is_over_after_so_many_round_trips(
    counted: EngineRoom, proxy: PgProxy, way: Callable[[EngineRoom, str], None], all_in_all: int
) -> None:
    costs = []
    for _ in range(ORDERS):
        number = counted.admitted()
        before = proxy.round_trips
        way(counted, number)
        costs.append(ADMISSION + proxy.round_trips - before)
        assert counted.state(number) is OrderState.DONE

    assert min(costs) == all_in_all, costs
