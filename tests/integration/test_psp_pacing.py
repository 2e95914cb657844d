"""Calls to a PSP account leave at its rate, whoever makes them; who waits keeps its place (a real Redis)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
from redis import Redis

from deploy.stack import redis as servers
from shared import vault
from shared.psp.traffic.gate import Ended, SharedGate
from shared.psp.traffic.lane import HEADROOM, NEAR_S, Errand, Later, PspLane
from shared.psp.traffic.scripts import HALVED_US, HALVINGS, End
from shared.psp.traffic.terms import Terms
from shared.psp.traffic.turns import PAUSE_S, Turn, Turns
from tests.support import children
from tests.support.lanes import IMPATIENT, a_lane, busiest, calls_of, ends, is_sent, says_429, turns_of
from tests.support.own_redis import own_redis
from tests.support.psp import until

RATE = 25.0
ROUNDS: Final = 3
"""A neighbour on the test's machine may slow some measurements, not all."""
ROUNDED_S: Final = 0.005
"""What waits are rounded by, and Redis's clock and ours may differ by within a test."""


@pytest.fixture
def gate(redis: Redis) -> SharedGate:
    """The shared gate itself, which makes nobody wait."""
    return SharedGate(redis, IMPATIENT)


@dataclass(frozen=True, slots=True)
class Place:
    """The moment of a slot, or of a place in the row. A caller is told how long it has to wait from a moment within its
    question, and only the two ends of that are known here."""

    goes: bool
    earliest: float
    latest: float

    def may_be_before(self, other: Place) -> bool:
        """Whether it may come before *other*: false if what was told says otherwise."""
        return self.earliest < other.latest

    def until(self, other: Place) -> tuple[float, float]:
        """Seconds until *other*, at least and at most."""
        return other.earliest - self.latest, other.latest - self.earliest


def asked(gate: SharedGate, lane: PspLane, errand: Errand, *, near_s: float | None = None) -> Place:
    """What somebody who calls for *errand* is told."""
    before = time.monotonic()
    told = gate.ask(lane, errand, near_s=NEAR_S[errand] if near_s is None else near_s)
    return Place(told.goes, before + told.after_s, time.monotonic() + told.after_s)


def crowd(gate: SharedGate, lane: PspLane, errand: Errand = Errand.NEW) -> list[Place]:
    """Callers of one kind until one finds no slot near any more: the slots of those who found one, and its place."""
    slots = []
    while (place := asked(gate, lane, errand)).goes:
        slots.append(place)
    return [*slots, place]


def place_of(gate: SharedGate, lane: PspLane) -> Place:
    """The place of somebody new who has to stand in the row."""
    place = asked(gate, lane, Errand.NEW, near_s=0.0)
    assert not place.goes
    return place


def may_be(seconds: float, span: tuple[float, float]) -> bool:
    """Whether what lies within *span* may be *seconds*; on a machine with room a span is a millisecond or two."""
    least, most = span
    return least - ROUNDED_S <= seconds <= most + ROUNDED_S


def test_two_processes_together_never_call_more_often_than_the_psp_allows(vault_url: str) -> None:
    shares: list[float] = []
    while len(shares) < ROUNDS and max(shares, default=0.0) < 0.8:
        lane = a_lane(RATE)
        processes = [children.start(calls_of, vault_url, lane, 4, 2, 5.0) for _ in range(2)]
        made: list[float] = []
        for process in processes:
            assert process.ended() == 0
            made += process.answer()

        assert busiest(made) <= RATE
        shares.append(len(made) / (RATE * (max(made) - min(made))))
    assert max(shares) >= 0.8, "it is slowed no further than that"


def test_a_psp_without_a_limit_is_called_at_once(turns: Turns) -> None:
    lane, began = a_lane(), time.monotonic()
    assert all(is_sent(turns, lane) for _ in range(100))
    assert time.monotonic() - began < 2.0


def test_who_finds_no_slot_near_stands_in_a_row_that_moves_at_the_rate(gate: SharedGate) -> None:
    lane = a_lane(RATE)
    began = time.monotonic()
    slots = crowd(gate, lane)
    passed = (time.monotonic() - began) / lane.interval_s  # As many more found one as passed meanwhile.
    places = [place_of(gate, lane) for _ in range(100)]

    near = NEAR_S[Errand.NEW] * HEADROOM * RATE + 1
    assert near - 2 <= len(slots) <= near + 2 + passed
    assert all(sooner.may_be_before(later) for sooner, later in pairwise([*slots, *places]))
    assert may_be(99 * lane.interval_s, places[0].until(places[-1]))


def test_whose_place_came_up_goes_before_newcomers_and_takes_no_second_place(gate: SharedGate) -> None:
    lane = a_lane(4.0)
    crowd(gate, lane)
    before = place_of(gate, lane)

    assert gate.ask(lane, Errand.PLACED, near_s=NEAR_S[Errand.PLACED]).goes
    assert not gate.ask(lane, Errand.NEW, near_s=NEAR_S[Errand.NEW]).goes
    assert may_be(2 * lane.interval_s, before.until(place_of(gate, lane))), "the newcomer and this one"


def test_who_comes_back_and_finds_no_slot_near_goes_behind_those_like_it_and_before_newcomers(gate: SharedGate) -> None:
    lane = a_lane(4.0)
    crowd(gate, lane)
    last = [place_of(gate, lane) for _ in range(40)][-1]
    again = crowd(gate, lane, Errand.PLACED)[-1]
    behind = asked(gate, lane, Errand.PLACED)
    assert behind.latest < last.earliest
    assert may_be(lane.interval_s, again.until(behind))


def test_money_in_doubt_finds_a_slot_where_payments_find_none_and_counts_in_the_row(gate: SharedGate) -> None:
    lane = a_lane(4.0)
    crowd(gate, lane)
    crowd(gate, lane, Errand.PLACED)
    before = place_of(gate, lane)
    assert gate.ask(lane, Errand.AT_ONCE, near_s=NEAR_S[Errand.AT_ONCE]).goes
    assert may_be(2 * lane.interval_s, before.until(place_of(gate, lane)))


def in_time_at_first(turns: Turns) -> Turn | None:
    """A turn of a new lane that was in time as it was given; None: this machine held up its holder."""
    turn = turns.turn(a_lane(RATE), Errand.NEW)
    assert isinstance(turn, Turn)
    return turn if turns.in_time(turn) is turn else None


def in_time_once_more(turns: Turns, late: Turn) -> Turn | None:
    """The turn that the holder of a *late* one is given, still in time; None: this machine held it up again."""
    again = turns.in_time(late)
    return again if isinstance(again, Turn) and (again is late or again.is_in_time()) else None


def test_a_call_that_was_held_up_asks_for_another_slot(turns: Turns) -> None:
    turn = until(lambda: in_time_at_first(turns))
    assert turn is not None
    time.sleep(0.2)

    again = until(lambda: in_time_once_more(turns, turn))

    assert again is not None
    assert again is not turn
    assert again.slot_at > turn.good_until


def step_of(gate: SharedGate, lane: PspLane) -> tuple[float, float]:
    """How far apart those are who stand in the row, in seconds at least and at most, as five pairs of them tell."""
    steps = [one.until(other) for one, other in pairwise([place_of(gate, lane) for _ in range(6)])]
    return max(least for least, _ in steps), min(most for _, most in steps)


def test_429_stops_all_calls_for_as_long_as_the_psp_says(gate: SharedGate, turns: Turns) -> None:
    lane, began = a_lane(20.0), time.monotonic()
    places = [turns.ended(lane, Ended(End.PACED, 5, retry_after_s=5.0)).total_seconds() for _ in range(3)]
    took = time.monotonic() - began

    for number, place in enumerate(places):
        behind = number * lane.interval_s
        assert may_be(place, (5.0 + max(0.0, behind - took), 5.0 + behind))
    assert place_of(gate, lane).latest >= began + 5.0 - ROUNDED_S
    assert may_be(lane.interval_s, step_of(gate, lane)), "one crowd of them is told once"


def test_429_after_its_pause_halves_the_rate_but_never_below_a_quarter(
    gate: SharedGate, turns: Turns, redis: Redis
) -> None:
    lane = a_lane(20.0)
    for times in (1, 2, 4, 4):
        says_429(turns, redis, lane)
        assert may_be(times * lane.interval_s, step_of(gate, lane))


def test_a_halving_is_taken_back_after_half_a_minute(gate: SharedGate, turns: Turns, redis: Redis) -> None:
    lane = a_lane(20.0)
    for _ in range(HALVINGS + 1):
        says_429(turns, redis, lane)
    for times in (4, 2, 1):
        assert may_be(times * lane.interval_s, step_of(gate, lane))
        redis.hincrby(f"{lane.name}:gate", "slow_at", -HALVED_US)


def test_a_psp_without_a_limit_that_says_429_again_is_called_half_as_often_as_it_was(
    gate: SharedGate, turns: Turns, redis: Redis
) -> None:
    lane, ends_at = a_lane(), time.monotonic() + 2.0
    while time.monotonic() < ends_at:
        ends(turns, lane, End.GOOD)
        time.sleep(0.03)
    says_429(turns, redis, lane)
    assert may_be(lane.apart_s, step_of(gate, lane))
    says_429(turns, redis, lane)
    least, most = step_of(gate, lane)
    assert most > 0.04, "about twice the 30 ms, as far as the slots of the ring can tell"
    assert least < 0.21


def test_while_redis_is_away_a_process_paces_by_itself_and_nothing_is_refused(tmp_path: Path) -> None:
    lane = a_lane(RATE)
    with own_redis(tmp_path, servers.vault) as own, vault.connect(own.url) as client:
        turns = turns_of(client)
        assert is_sent(turns, lane)
        own.kill()
        made = []
        for _ in range(30):
            assert is_sent(turns, lane, Errand.AT_ONCE)
            made.append(time.monotonic())
            turns.ended(lane, Ended(End.GOOD, 1))
        assert busiest(made) <= RATE
        own.start()
        time.sleep(PAUSE_S)
        assert is_sent(turns, lane)
        with own.client() as looking:
            assert looking.exists(f"{lane.name}:gate"), "it is shared again"


def test_an_account_with_its_share_of_a_process_in_hand_holds_up_no_other(redis: Redis) -> None:
    turns = Turns(redis, Terms(calls_at_once=3))
    slow, other = a_lane(), a_lane()
    hanging = [turns.turn(slow, Errand.NEW) for _ in range(3)]
    assert all(isinstance(one, Turn) for one in hanging)

    for errand in Errand:
        told = turns.turn(slow, errand)
        assert isinstance(told, Later)
        assert told.due_in.total_seconds() > 0.9, "a moment, not at once"
    assert is_sent(turns, other)
    for one in hanging:
        assert isinstance(one, Turn)
        with one:
            pass
    assert is_sent(turns, slow, Errand.PLACED), "one that ended makes room"


def test_those_who_wait_for_a_slow_account_leave_the_threads_of_a_process_to_others(turns: Turns) -> None:
    slow, quick = a_lane(2.0), a_lane()
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(turns.turn, slow, Errand.NEW) for _ in range(40)]
        went = [threads.submit(is_sent, turns, quick) for _ in range(40)]
        began = time.monotonic()
        assert all(one.result() for one in went)
        assert time.monotonic() - began < NEAR_S[Errand.NEW] + 1.0
        assert sum(isinstance(one.result(), Later) for one in waiting) >= 36
