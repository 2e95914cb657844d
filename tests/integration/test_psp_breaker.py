"""A PSP that answers nobody is left alone, by all processes, and the first to find it back tells the others."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import pytest
from redis import Redis

from shared.psp.traffic.gate import Ended, News, SharedGate
from shared.psp.traffic.lane import Errand, Later, PspLane
from shared.psp.traffic.scripts import AWAY_AFTER, PROBE_US, TRY_US, End
from shared.psp.traffic.terms import Terms
from shared.psp.traffic.turns import AWAY, Turn, Turns
from tests.support.lanes import IMPATIENT, a_lane, ends, is_sent, opens, turns_of
from tests.support.psp import until

PATIENT: Final = replace(IMPATIENT, breaker_open_s=300.0)
"""Its breaker stays open for as long as a test may take."""
ROUNDED_S: Final = 0.005
"""What waits are rounded by, and Redis's clock and ours may differ by within a test."""


@pytest.fixture
def one(redis: Redis) -> Turns:
    """A process."""
    return turns_of(redis)


@pytest.fixture
def other(redis: Redis) -> Turns:
    """Another process."""
    return turns_of(redis)


def tried(turns: Turns, lane: PspLane, errand: Errand = Errand.NEW) -> Turn:
    """The turn of whoever may try, once somebody may."""

    def ask() -> Turn | None:
        told = turns.turn(lane, errand)
        return told if isinstance(told, Turn) else None

    turn = until(ask)
    assert turn is not None
    assert turn.is_probe
    return turn


@pytest.mark.parametrize("failure", [End.UNANSWERED, End.NOT_SENT, End.UNHEARD])
def test_half_of_twenty_calls_without_an_answer_open_it_for_every_process(redis: Redis, failure: End) -> None:
    lane, one, other = a_lane(), turns_of(redis, PATIENT), turns_of(redis, PATIENT)
    ends(one, lane, *[End.GOOD] * 10, *[failure] * 9)
    assert is_sent(other, lane)

    ends(one, lane, failure)

    told = other.turn(lane, Errand.NEW)
    assert isinstance(told, Later)
    assert told.why == AWAY
    assert 0 < told.due_in.total_seconds() <= PATIENT.breaker_open_s


@pytest.mark.parametrize(
    "calls",
    [
        [End.UNANSWERED] * 19,
        [End.GOOD] * 21 + [End.UNANSWERED] * 20,
        [End.SOFT] * 30 + [End.HARD] * 30,
        [End.PACED] * 60,
    ],
    ids=["too few", "less than half", "declines", "429"],
)
def test_nothing_else_opens_it(one: Turns, redis: Redis, calls: list[End]) -> None:
    lane = a_lane()
    ends(one, lane, *calls)
    assert redis.hget(f"{lane.name}:gate", "open") in (None, b"0")


def test_what_is_longer_ago_than_its_window_does_not_count(redis: Redis) -> None:
    quick, lane = turns_of(redis, Terms(breaker_window_s=0.6)), a_lane()
    ends(quick, lane, *[End.UNANSWERED] * 19)
    time.sleep(0.7)
    ends(quick, lane, End.UNANSWERED)
    assert is_sent(quick, lane)


def test_after_its_time_one_caller_of_all_processes_may_try(one: Turns, other: Turns) -> None:
    lane = a_lane()
    opens(one, lane)

    with tried(one, lane):
        for turns in (one, other):
            for errand in Errand:
                told = turns.turn(lane, errand)
                assert isinstance(told, Later)
                assert told.why == AWAY


def test_an_answer_to_whoever_tries_closes_it(one: Turns, other: Turns) -> None:
    lane = a_lane()
    opens(one, lane)
    with tried(other, lane):
        other.ended(lane, Ended(End.HARD, 10, was_probe=True))  # A decline is an answer.

    assert all(is_sent(one, lane) for _ in range(5))
    ends(one, lane, *[End.UNANSWERED] * 19)
    assert is_sent(one, lane), "what failed before it closed is forgiven"


def test_silence_to_whoever_tries_keeps_it_open_as_long_again(redis: Redis) -> None:
    lane, one, other = a_lane(), turns_of(redis, PATIENT), turns_of(redis, PATIENT)
    opens(one, lane)
    redis.hset(f"{lane.name}:gate", "open", "1")  # Its time is over.
    with tried(other, lane):
        other.ended(lane, Ended(End.NOT_SENT, 10, was_probe=True))

    told = one.turn(lane, Errand.NEW)
    assert isinstance(told, Later)
    assert told.due_in.total_seconds() > 0.8 * PATIENT.breaker_open_s


def test_an_answer_to_a_call_that_was_out_when_it_opened_closes_nothing(redis: Redis) -> None:
    lane, one = a_lane(), turns_of(redis, PATIENT)
    opens(one, lane)
    ends(one, lane, End.GOOD)
    assert not is_sent(one, lane)


def test_whoever_tries_and_dies_is_replaced(one: Turns, redis: Redis) -> None:
    lane = a_lane()
    opens(one, lane)
    tried(one, lane)
    assert not is_sent(one, lane)
    redis.hincrby(f"{lane.name}:gate", "probe", -PROBE_US)  # As if its time were over.
    tried(one, lane)


def test_money_in_doubt_may_try_sooner_but_one_at_a_time_and_every_five_seconds(one: Turns, redis: Redis) -> None:
    patient = turns_of(redis, Terms(breaker_open_s=300.0))
    lane = a_lane()
    ends(patient, lane, *[End.UNANSWERED] * 20)
    assert not is_sent(patient, lane, Errand.AT_ONCE)
    redis.hincrby(f"{lane.name}:gate", "try", -TRY_US)

    turn = tried(patient, lane, Errand.AT_ONCE)
    with turn:
        assert not is_sent(patient, lane, Errand.AT_ONCE)
        patient.ended(lane, Ended(End.UNHEARD, 10, was_probe=True))
    assert not is_sent(patient, lane, Errand.AT_ONCE)
    redis.hincrby(f"{lane.name}:gate", "try", -TRY_US)
    with tried(patient, lane, Errand.AT_ONCE):
        patient.ended(lane, Ended(End.ANSWERED, 10, was_probe=True))
    assert is_sent(one, lane), "its answer closes the breaker for new payments, too"


def test_those_who_wait_for_it_stand_apart_and_move_up_when_it_closes_early(redis: Redis) -> None:
    patient = turns_of(redis, Terms(breaker_open_s=300.0))
    lane = a_lane(1.0)
    ends(patient, lane, *[End.UNANSWERED] * 20)
    began = time.monotonic()
    places = [told.due_in.total_seconds() for told in (patient.turn(lane, Errand.NEW) for _ in range(5)) if told]  # type: ignore[union-attr]
    assert is_less_what_passed(places[-1] - places[0], 4 * lane.apart_s, since=began)
    redis.hincrby(f"{lane.name}:gate", "try", -TRY_US)
    with tried(patient, lane, Errand.AT_ONCE):
        closed = time.monotonic()
        patient.ended(lane, Ended(End.ANSWERED, 10, was_probe=True))

    told = patient.turn(lane, Errand.NEW)
    assert isinstance(told, Later), "the five still stand before it, and so does who tried"
    assert is_less_what_passed(told.due_in.total_seconds(), 6 * lane.apart_s, since=closed)


def is_less_what_passed(seconds: float, whole_s: float, *, since: float) -> bool:
    """Whether *seconds* are *whole_s* less what may have passed since then: a place is told as the wait from now on."""
    return whole_s - (time.monotonic() - since) - ROUNDED_S <= seconds <= whole_s + ROUNDED_S


@pytest.mark.parametrize(("silent", "news"), [(AWAY_AFTER, News.BACK), (AWAY_AFTER - 1, News.NONE)])
def test_the_first_answer_after_silence_in_a_row_is_news_also_where_calls_are_few(
    redis: Redis, silent: int, news: News
) -> None:
    gate, lane = SharedGate(redis, IMPATIENT), a_lane()
    for _ in range(silent):
        gate.ended(lane, Ended(End.NOT_SENT, 1))
    assert gate.ended(lane, Ended(End.GOOD, 1))[0] is news
    assert gate.ended(lane, Ended(End.GOOD, 1))[0] is News.NONE
