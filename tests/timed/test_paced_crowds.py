"""A crowd of orders meets a PSP that bans whoever calls too often, or one that has just come back (C6)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.config import Settings
from shared.psp.traffic.lane import HEADROOM, NEAR_S
from shared.psp.traffic.records import Records
from shared.psp.traffic.terms import terms_of
from tests.support import engine_room
from tests.support.busy_room import at_work, until_all_ended
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox, sandbox, until
from tests.support.wire import stored_card

LIMIT = 25
ORDERS = 100
THREADS = 24
AT_THE_RATE_S = ORDERS / (HEADROOM * LIMIT)
"""What the rate itself takes; the rescuer's looks, a breaker's rest and a busy machine may take twice as much again."""


@pytest.fixture
def psp(tmp_path: Path) -> Iterator[Sandbox]:
    """A PSP of this test's own, so that it can be killed."""
    with sandbox(tmp_path / "ledger.jsonl") as running:
        yield running


@pytest.fixture
def room(settings: Settings, vault_url: str, psp: Sandbox) -> Iterator[EngineRoom]:
    """A tenant whose account takes 25 calls a second, in an installation whose breakers are quick."""
    own = settings.model_copy(update={"breaker_open_s": 1.0, "pool_size": THREADS})
    with engine_room.opened(own, vault_url, psp) as made:
        yield made.limited(LIMIT)


def traffic(psp: Sandbox, room: EngineRoom) -> tuple[int, int]:
    """The calls of the busiest second, and how many were refused."""
    told = psp.get(f"/traffic/{room.account.account_id}")
    return told["busiestSecond"], told["refused"]


def attempts(room: EngineRoom, numbers: list[str]) -> int:
    """How many of these orders their PSP was ever asked to pay."""
    return len(room.sql("SELECT 1 FROM payment_attempts WHERE tracking_number = ANY (:n)", n=numbers))


def test_a_hundred_orders_at_once_are_paid_at_the_rate_without_one_429(
    room: EngineRoom, psp: Sandbox, say: Callable[[str], None]
) -> None:
    urn = room.a_stored_card()
    numbers = [room.admitted(stored_card(urn)) for _ in range(ORDERS)]
    psp.set_faults(callsPerSecond=LIMIT)

    began = time.monotonic()
    with at_work(room, threads=THREADS):
        until_all_ended(room, within_s=30)
        took = time.monotonic() - began

    busiest, refused = traffic(psp, room)
    say(f"{ORDERS} orders in {took:.1f} s; {busiest} calls in the busiest second")
    assert refused == 0
    assert busiest <= LIMIT
    assert len(psp.charges(room.account)) == ORDERS == len(numbers)
    assert took <= 3 * AT_THE_RATE_S


def test_a_psp_that_comes_back_is_met_by_no_storm(room: EngineRoom, psp: Sandbox, say: Callable[[str], None]) -> None:
    """C6, many times as fast: orders gather while it is dead, its breaker opens, and they come back at the rate."""
    urn = room.a_stored_card()
    psp.kill()
    numbers = [room.admitted(stored_card(urn)) for _ in range(ORDERS)]
    with at_work(room, threads=THREADS):
        placed = "SELECT count(*) FROM orders WHERE waits_for IS NOT NULL AND tenant_id = :tenant"
        until(lambda: room.sql(placed, tenant=room.seller.shop.tenant_id) == [(ORDERS,)], seconds=40)
        records = Records(room.run.vault.redis, terms_of(room.run.settings))
        until(lambda: records.standing(room.lane).opens_in_s, seconds=20)
        time.sleep(max(NEAR_S.values()))  # Whoever had a turn when it opened has taken it.
        tried = attempts(room, numbers)
        time.sleep(3.0)  # Three of its breaker's times: each of them one call.
        tried_more = attempts(room, numbers) - tried
        psp.start()
        began = time.monotonic()
        until_all_ended(room, within_s=60)
        took = time.monotonic() - began

    busiest, refused = traffic(psp, room)
    say(f"{ORDERS} orders in {took:.1f} s after its return; {busiest} calls in the busiest second")
    assert tried < ORDERS / 2, "its breaker kept most of them away"
    assert tried_more <= 5, "somebody tries now and then"
    assert (busiest <= LIMIT, refused) == (True, 0)
    assert len(psp.charges(room.account)) == ORDERS
    assert took <= 3 * AT_THE_RATE_S
