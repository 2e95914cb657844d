"""A crowd of orders meets a PSP that bans whoever calls too often, or one that has just come back (C6).

Judged in rounds, each with an account of its own, and kept if one round keeps it. A second that holds one call too many
fails a round, and a machine that stands still for a moment lets calls leave late, beside those of later slots; a
product that storms does so in every round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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

ROUNDS: Final = 3
LIMIT = 25
ORDERS = 100
THREADS = 24
BREAKER_OPEN_S = 1.0
AT_THE_RATE_S = ORDERS / (HEADROOM * LIMIT)
"""What the rate itself takes; the rescuer's looks, a breaker's rest and a busy machine may take twice as much again."""


@pytest.fixture
def psp(tmp_path: Path) -> Iterator[Sandbox]:
    """A PSP of this test's own, so that it can be killed."""
    with sandbox(tmp_path / "ledger.jsonl") as running:
        yield running


Crowd = Callable[[EngineRoom], float]
"""Brings ORDERS orders of a room to their end; the seconds it took from when their PSP would take them."""


@dataclass(frozen=True, slots=True)
class Met:
    """What a PSP met in one round: the calls of its busiest second, how many it refused, and the seconds it took."""

    busiest: int
    refused: int
    took_s: float

    @property
    def keeps_the_rate(self) -> bool:
        """Whether no second held too many calls, and the rate was used."""
        return self.busiest <= LIMIT and self.refused == 0 and self.took_s <= 3 * AT_THE_RATE_S

    def __str__(self) -> str:
        return f"{ORDERS} orders in {self.took_s:.1f} s; {self.busiest} calls in the busiest second"


@pytest.fixture
def kept_in_one_round(
    settings: Settings, vault_url: str, psp: Sandbox, say: Callable[[str], None]
) -> Callable[[Crowd], None]:
    """Judges a crowd. Its tenant's account takes LIMIT calls a second, in an installation whose breakers are quick."""
    own = settings.model_copy(update={"breaker_open_s": BREAKER_OPEN_S, "pool_size": THREADS})

    def judge(crowd: Crowd) -> None:
        told: list[Met] = []
        while not (told and told[-1].keeps_the_rate):
            assert len(told) < ROUNDS, "; ".join(map(str, told))
            with engine_room.opened(own, vault_url, psp) as made:
                room = made.limited(LIMIT)
                told.append(met(psp, room, crowd(room)))
                assert len(psp.charges(room.account)) == ORDERS
            say(str(told[-1]))

    return judge


def met(psp: Sandbox, room: EngineRoom, took_s: float) -> Met:
    """What *psp* counted of the room's account."""
    told = psp.get(f"/traffic/{room.account.account_id}")
    return Met(told["busiestSecond"], told["refused"], took_s)


def attempts(room: EngineRoom, numbers: list[str]) -> int:
    """How many of these orders their PSP was ever asked to pay."""
    return len(room.sql("SELECT 1 FROM payment_attempts WHERE tracking_number = ANY (:n)", n=numbers))


def test_a_hundred_orders_at_once_are_paid_at_the_rate_without_one_429(
    psp: Sandbox, kept_in_one_round: Callable[[Crowd], None]
) -> None:
    psp.set_faults(callsPerSecond=LIMIT)

    def at_once(room: EngineRoom) -> float:
        urn = room.a_stored_card()
        for _ in range(ORDERS):
            room.admitted(stored_card(urn))
        began = time.monotonic()
        with at_work(room, threads=THREADS):
            until_all_ended(room, within_s=30)
            return time.monotonic() - began

    kept_in_one_round(at_once)


def test_a_psp_that_comes_back_is_met_by_no_storm(psp: Sandbox, kept_in_one_round: Callable[[Crowd], None]) -> None:
    """C6, many times as fast: orders gather while it is dead, its breaker opens, and they come back at the rate."""

    def gathered(room: EngineRoom) -> float:
        urn = room.a_stored_card()
        psp.kill()
        numbers = [room.admitted(stored_card(urn)) for _ in range(ORDERS)]
        with at_work(room, threads=THREADS):
            until_kept_away(room, numbers)
            psp.start()
            began = time.monotonic()
            until_all_ended(room, within_s=60)
            return time.monotonic() - began

    kept_in_one_round(gathered)


def until_kept_away(room: EngineRoom, numbers: list[str]) -> None:
    """Wait until all *numbers* stand in the row of their PSP and its breaker is open; it lets few of them try."""
    placed = "SELECT count(*) FROM orders WHERE waits_for IS NOT NULL AND tenant_id = :tenant"
    until(lambda: room.sql(placed, tenant=room.seller.shop.tenant_id) == [(ORDERS,)], seconds=40)
    records = Records(room.run.vault.redis, terms_of(room.run.settings))
    until(lambda: records.standing(room.lane).opens_in_s, seconds=20)
    time.sleep(max(NEAR_S.values()))  # Whoever had a turn when it opened has taken it.
    began, tried = time.monotonic(), attempts(room, numbers)
    time.sleep(3 * BREAKER_OPEN_S)  # Each of its times is one call.
    tried_more, took = attempts(room, numbers) - tried, time.monotonic() - began
    assert tried < ORDERS / 2, "its breaker kept most of them away"
    assert tried_more <= took / BREAKER_OPEN_S + 2, "somebody tries now and then"
