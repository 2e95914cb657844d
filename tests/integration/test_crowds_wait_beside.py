"""A tenant with a crowd of orders keeps nobody waiting: who comes after five hundred is served within two steps.

Real orders, admitted by the front door, rung for through a real Redis, worked on by a real worker. What counts is the
order of service: the database says who was taken up before whom, so no clock of this machine has a say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Engine

from shared.config import Settings
from tests.support import brokers, two_crowds
from tests.support.psp import Sandbox, until
from tests.support.two_crowds import Waiting
from tests.support.unsynced import unsynced
from tests.support.worker_process import PLACES

CROWD: Final = 500
FIRST: Final = 1
"""How many orders of a crowd are in front of everybody: it is known for one after so many."""
ALONE: Final = 40
PSP_MS: Final = 300
"""So long that what else an order takes of this machine makes no difference."""
SHIPPED: Final = int(Settings.model_fields["crowd_orders"].default)
ROUNDS: Final = 3
WITHIN: Final = 2 * PLACES
"""Two steps of a worker with so many places."""

Crowding = Callable[..., Waiting]


@pytest.fixture
def waiting(settings: Settings, engine: Engine, shared_psp: Sandbox, tmp_path: Path) -> Iterator[Crowding]:
    """Lets a crowd of orders and another tenant's one wait, and nothing else.

    They come at the front door's own pace: a crowd is one by how fast it comes, and a disk would count with it.
    """
    brokers.forget(settings.broker_url.get_secret_value())
    with unsynced(settings.database_url.get_secret_value()):
        yield partial(two_crowds.waiting, settings, engine, shared_psp, tmp_path)
    shared_psp.heal()


def test_who_comes_after_a_crowd_of_five_hundred_is_served_within_two_steps(waiting: Crowding) -> None:
    orders = waiting(crowd=CROWD, crowd_orders=FIRST)
    with orders.at_work():
        assert orders.served_before_the_other() <= WITHIN


def test_without_a_lane_of_its_own_the_crowd_is_served_first(waiting: Crowding) -> None:
    """What the promise above is worth: without it everybody waits for all of them."""
    orders = waiting(crowd=5 * WITHIN, crowd_orders=0)
    with orders.at_work():
        assert orders.served_before_the_other() > 5 * WITHIN - PLACES


def test_a_crowds_orders_stay_in_their_lane_from_step_to_step(waiting: Crowding) -> None:
    orders = waiting(crowd=20, crowd_orders=FIRST)
    assert orders.depth_of("offer-lock", "offer-lock-crowd") == [FIRST + 1, 20 - FIRST]

    with orders.at_work("offer-lock"):
        orders.until_all_hold_their_offers()
        until(lambda: orders.depth_of("payment", "payment-crowd") == [FIRST + 1, 20 - FIRST], seconds=10)


def test_a_tenant_that_is_alone_has_every_place_in_whichever_lane_it_waits(
    waiting: Crowding, shared_psp: Sandbox
) -> None:
    """Its orders take as long as their payments, of which as many are out at once as the worker has places.

    With half of the places they would take twice as long, in every round; a machine that others need meanwhile makes
    one of the two longer in some.
    """
    shared_psp.set_faults(latencyMs=PSP_MS)
    rounds: list[tuple[float, float]] = []

    def took(crowd_orders: int, lanes: list[int]) -> float:
        orders = waiting(crowd=ALONE, crowd_orders=crowd_orders)
        assert orders.depth_of("offer-lock", "offer-lock-crowd") == lanes
        with orders.at_work():
            return orders.took_s()

    def as_long() -> bool:
        rounds.append((took(0, [ALONE + 1, 0]), took(SHIPPED, [SHIPPED + 1, ALONE - SHIPPED])))
        assert rounds[-1][0] > ALONE / PLACES * PSP_MS / 1_000 * 0.9
        return rounds[-1][1] < 1.5 * rounds[-1][0]

    assert any(as_long() for _ in range(ROUNDS)), rounds
