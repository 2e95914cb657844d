"""What the router and an operator read of an account's calls (a real Redis)."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from redis import Redis

from deploy.stack import redis as servers
from shared import vault
from shared.psp.port import Account
from shared.psp.record import Record
from shared.psp.traffic.gate import Ended, gate_of, ring_of
from shared.psp.traffic.lane import HEADROOM, Errand, Later, PspLane
from shared.psp.traffic.records import BELIEVED_S, Records
from shared.psp.traffic.scripts import SLOTS, End
from shared.psp.traffic.terms import Terms
from shared.psp.traffic.turns import Turns
from tests.support.lanes import IMPATIENT, a_lane, ends, opens, says_429, turns_of
from tests.support.own_redis import own_redis
from tests.support.psp import until
from tests.support.selling import NOWHERE

PATIENT: Final = replace(IMPATIENT, breaker_open_s=300.0)
"""Its breaker stays open for as long as a test may take."""


def account_of(lane: PspLane) -> Account:
    """The account whose lane it is."""
    return replace(NOWHERE, tenant_id=lane.tenant_id, provider=lane.provider)


def record_of(redis: Redis, lane: PspLane, terms: Terms = IMPATIENT) -> Record:
    """What a process that knows nothing yet reads."""
    return Records(redis, terms).of([account_of(lane)])[lane.provider]


def test_charges_count_for_and_against_a_psp_and_nothing_else_does(redis: Redis, turns: Turns) -> None:
    lane = a_lane()
    ends(turns, lane, End.GOOD, End.GOOD, took_ms=100)
    ends(turns, lane, End.SOFT, took_ms=300)
    ends(turns, lane, End.UNANSWERED, took_ms=1_500)
    ends(turns, lane, End.NOT_SENT, took_ms=0)
    ends(turns, lane, End.HARD, End.ANSWERED, End.UNHEARD, End.PACED, took_ms=9_999)

    assert record_of(redis, lane) == Record(calls=5, successes=2, mean_ms=400.0, is_away=False)


def test_of_a_new_account_nobody_knows_anything(redis: Redis) -> None:
    assert record_of(redis, a_lane()) == Record()


def test_accounts_are_told_apart_by_tenant_and_provider(redis: Redis, turns: Turns) -> None:
    one, other = a_lane(), replace(a_lane(), provider="second")
    ends(turns, one, End.GOOD)
    both = [account_of(one), replace(account_of(one), provider="second")]
    assert Records(redis, IMPATIENT).of(both) == {"sandbox": Record(1, 1, 10.0), "second": Record()}
    assert record_of(redis, other) == Record()


def test_what_is_longer_ago_than_the_window_is_forgotten_and_takes_no_room(redis: Redis) -> None:
    quick = Terms(breaker_window_s=0.06)  # Slots of a hundredth of a second: the ring is 0.9 s.
    lane, turns = a_lane(), Turns(redis, quick)

    def more_calls_for(seconds: float) -> int:
        ends_at = time.monotonic() + seconds
        ends(turns, lane, End.GOOD)
        while time.monotonic() < ends_at:
            ends(turns, lane, End.GOOD)
        return int(redis.hlen(ring_of(lane.name)))

    until(lambda: more_calls_for(0.9) == SLOTS, seconds=30)  # What a busy machine left out it fills a round later.
    assert more_calls_for(1.2) <= SLOTS
    until(lambda: more_calls_for(0.0) and record_of(redis, lane, quick).calls > 0)
    until(lambda: record_of(redis, lane, quick) == Record())
    until(lambda: not redis.exists(ring_of(lane.name)))


def test_a_process_believes_what_it_read_for_a_moment(redis: Redis, turns: Turns) -> None:
    lane = a_lane()
    records = Records(redis, IMPATIENT)
    assert records.of([account_of(lane)]) == {"sandbox": Record()}
    ends(turns, lane, End.GOOD)
    assert records.of([account_of(lane)]) == {"sandbox": Record()}
    time.sleep(BELIEVED_S)
    assert records.of([account_of(lane)])["sandbox"].calls == 1


def test_an_account_is_away_until_somebody_may_try(redis: Redis) -> None:
    lane, turns = a_lane(), turns_of(redis, PATIENT)
    opens(turns, lane)
    assert record_of(redis, lane).is_away
    redis.hset(gate_of(lane.name), "open", "1")  # Its time is over.
    assert not record_of(redis, lane).is_away
    turn = turns.turn(lane, Errand.NEW)
    assert not isinstance(turn, Later)
    with turn:
        assert record_of(redis, lane).is_away, "somebody tries at this moment"
        turns.ended(lane, Ended(End.GOOD, 1, was_probe=True))
    assert not record_of(redis, lane).is_away


def test_without_redis_the_router_knows_nothing_and_goes_on(tmp_path: Path) -> None:
    lane = a_lane()
    with own_redis(tmp_path, servers.vault) as own, vault.connect(own.url) as client:
        own.kill()
        assert record_of(client, lane) == Record()


def test_an_operator_is_shown_breaker_and_bucket(redis: Redis) -> None:
    lane, turns = a_lane(20.0), turns_of(redis, PATIENT)
    standing = Records(redis, PATIENT).standing(lane)
    assert (standing.opens_in_s, standing.paused_s, standing.row_s) == (0.0, 0.0, 0.0)
    assert standing.calls_per_s == pytest.approx(HEADROOM * 20.0)

    opens(turns, lane)
    turns.turn(lane, Errand.NEW)
    for _ in range(2):
        says_429(turns, redis, lane, retry_after_s=60.0)
    standing = Records(redis, PATIENT).standing(lane)

    assert standing.record.is_away
    assert 200 < standing.opens_in_s <= PATIENT.breaker_open_s
    assert 50 < standing.paused_s <= 60
    assert standing.calls_per_s == pytest.approx(HEADROOM * 20.0 / 2)
    assert standing.row_s > 0
