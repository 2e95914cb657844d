"""How often a key may call, in a real Redis (contract section 1: rate limit)."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis
from sqlalchemy import Engine

from api.buckets import MOST_REMEMBERED, PATIENCE_S, PAUSE_S, REMEMBERED_S, Quota
from api.limits import TENANT_TIMES, Kind, Limits, quota_of
from api.parts import Parts
from shared.config import Settings
from shared.store.keys import Caller, KeyRole
from shared.store.tenants import TenantSettings
from tests.integration.test_front_door import probe
from tests.support import lateness
from tests.support.front_door import a_shop, opened, parts_for
from tests.support.own_redis import own_redis
from tests.support.psp import until

CLOCKS_APART_S: Final = 0.05
"""What the clock of Redis may gain on ours within a test."""


@pytest.fixture(scope="module")
def redis(vault_url: str) -> Iterator[Redis]:
    """The volatile Redis."""
    with Redis.from_url(vault_url) as client:
        yield client


def a_caller(*, live: bool = False, settings: TenantSettings | None = None) -> Caller:
    """Somebody new, with full buckets."""
    return Caller(uuid.uuid4(), KeyRole.STOREFRONT, live, settings or TenantSettings(), uuid.uuid4().hex[:16])


def slow(burst: int = 3) -> TenantSettings:
    """*burst* calls at once and then one a minute."""
    return TenantSettings(changes_per_minute=1, changes_burst=burst, status_per_minute=1, status_burst=burst)


@pytest.mark.parametrize(
    ("live", "kind", "per_minute", "burst"),
    [
        (True, Kind.CHANGES, 1_000, 50),
        (False, Kind.CHANGES, 100, 10),
        (True, Kind.STATUS, 30_000, 1_500),
        (False, Kind.STATUS, 3_000, 300),
    ],
)
def test_the_defaults_are_the_contracts(live: bool, kind: Kind, per_minute: int, burst: int) -> None:
    assert quota_of(a_caller(live=live), kind) == Quota(kind, per_minute, burst)


def test_a_tenant_sets_its_own_and_status_follows_changes_unless_set_too() -> None:
    own = TenantSettings(changes_per_minute=10, changes_burst=2)
    both = TenantSettings(changes_per_minute=10, changes_burst=2, status_per_minute=7, status_burst=1)

    assert quota_of(a_caller(settings=own), Kind.CHANGES) == Quota(Kind.CHANGES, 10, 2)
    assert quota_of(a_caller(settings=own), Kind.STATUS) == Quota(Kind.STATUS, 300, 60)
    assert quota_of(a_caller(settings=both), Kind.STATUS) == Quota(Kind.STATUS, 7, 1)


def left_of(whole_s: int, began: float) -> range:
    """What may be left of *whole_s* that began no earlier than *began*, as it is told: in whole seconds."""
    return range(math.ceil(whole_s - (time.monotonic() - began) - CLOCKS_APART_S), whole_s + 1)


def test_a_bucket_gives_its_burst_and_then_says_how_long_to_wait(redis: Redis) -> None:
    limits, caller = Limits(redis), a_caller(settings=slow(3))
    began = time.monotonic()

    given = [limits.take(caller, Kind.CHANGES) for _ in range(4)]

    assert [verdict.allowed for verdict in given] == [True, True, True, False]
    assert [verdict.remaining for verdict in given] == [2, 1, 0, 0]
    assert given[3].retry_after_s in left_of(60, began)
    assert given[2].reset_s in left_of(180, began)
    told = f'"changes";r=0;t={given[2].reset_s}'
    assert given[2].headers() == {"RateLimit-Policy": '"changes";q=1;w=60', "RateLimit": told}


def test_a_refused_call_takes_nothing(redis: Redis) -> None:
    limits, caller = Limits(redis), a_caller(settings=slow(1))
    began = time.monotonic()
    limits.take(caller, Kind.CHANGES)

    waits = {limits.take(caller, Kind.CHANGES).retry_after_s for _ in range(20)}

    assert waits <= set(left_of(60, began))


@dataclass(slots=True)
class Clock:
    """Time as a test wants it."""

    now: float = 100.0

    def __call__(self) -> float:
        """What time it is, in seconds."""
        return self.now


def asked(redis: Redis) -> int:
    """How often anybody asked for a token."""
    stats: Any = redis.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))


def test_a_storm_over_its_limit_asks_redis_once_a_second_and_is_told_the_same(redis: Redis) -> None:
    clock, caller = Clock(), a_caller(settings=slow(1))
    limits = Limits(redis, clock)
    limits.take(caller, Kind.CHANGES)
    first, before = limits.take(caller, Kind.CHANGES), asked(redis)

    storm = [limits.take(caller, Kind.CHANGES) for _ in range(1_000)]
    assert asked(redis) == before
    assert set(storm) == {first}

    clock.now += REMEMBERED_S / 2
    assert limits.take(caller, Kind.CHANGES).retry_after_s in (first.retry_after_s - 1, first.retry_after_s)
    assert asked(redis) == before
    clock.now += REMEMBERED_S
    assert not limits.take(caller, Kind.CHANGES).allowed
    assert asked(redis) == before + 1


def test_of_a_remembered_refusal_no_other_bucket_hears(redis: Redis) -> None:
    limits, (caller, other), stranger = Limits(redis, Clock()), siblings(2, settings=slow(1)), a_caller()
    limits.take(caller, Kind.CHANGES)
    assert not limits.take(caller, Kind.CHANGES).allowed

    assert limits.take(other, Kind.CHANGES).allowed
    assert limits.take(caller, Kind.STATUS).allowed
    assert limits.take(stranger, Kind.CHANGES).allowed


def refused_one(limits: Limits, *, per_minute: int) -> Caller | None:
    """Somebody who was just refused; None: so slow was this machine that their next token had come meanwhile."""
    caller = a_caller(settings=TenantSettings(changes_per_minute=per_minute, changes_burst=1))
    limits.take(caller, Kind.CHANGES)
    return None if limits.take(caller, Kind.CHANGES).allowed else caller


def test_no_token_is_withheld_for_longer_than_redis_would(redis: Redis) -> None:
    clock = Clock()
    limits = Limits(redis, clock)
    caller = until(lambda: refused_one(limits, per_minute=300))  # One every 200 ms.
    assert caller is not None
    until(lambda: redis.get(f"limit:{caller.key_id}:changes") is None)  # By Redis's clock it is full again.

    clock.now += 0.2
    assert limits.take(caller, Kind.CHANGES).allowed


def test_the_memory_of_refusals_is_bounded(redis: Redis) -> None:
    limits = Limits(redis, Clock())
    for _ in range(MOST_REMEMBERED + 10):
        limits._buckets._remember(uuid.uuid4().hex, limits.take(a_caller(), Kind.CHANGES), 1.0, 1.0)
        if len(limits._buckets._refused) == MOST_REMEMBERED:
            break
    limits._buckets._remember("one more", limits.take(a_caller(), Kind.CHANGES), 1.0, 1.0)
    assert len(limits._buckets._refused) == 1


def test_a_token_comes_back_after_its_time(redis: Redis) -> None:
    quick = TenantSettings(changes_per_minute=600, changes_burst=1)  # One every 100 ms.
    limits, caller = Limits(redis), a_caller(settings=quick)
    began = time.monotonic()
    limits.take(caller, Kind.CHANGES)

    while not limits.take(caller, Kind.CHANGES).allowed:
        assert time.monotonic() - began < 5, "the bucket never filled"

    assert time.monotonic() - began >= 0.09


def test_the_buckets_of_two_kinds_and_two_keys_are_apart(redis: Redis) -> None:
    limits, one, other = Limits(redis), a_caller(settings=slow(1)), a_caller(settings=slow(1))
    limits.take(one, Kind.CHANGES)

    assert not limits.take(one, Kind.CHANGES).allowed
    assert limits.take(one, Kind.STATUS).allowed
    assert limits.take(other, Kind.CHANGES).allowed


def siblings(count: int, *, live: bool = False, settings: TenantSettings | None = None) -> list[Caller]:
    """Keys of one new tenant."""
    first = a_caller(live=live, settings=settings)
    return [replace(first, key_id=uuid.uuid4().hex[:16]) for _ in range(count)]


def test_many_keys_give_a_tenant_no_more_than_its_own_bucket(redis: Redis) -> None:
    limits, callers = Limits(redis), siblings(2 * TENANT_TIMES, settings=slow(1))

    verdicts = [limits.take(caller, Kind.CHANGES) for caller in callers]

    assert [verdict.allowed for verdict in verdicts] == [True] * TENANT_TIMES + [False] * TENANT_TIMES
    assert verdicts[-1].headers()["RateLimit"].startswith('"tenant-changes";r=0;t=')
    assert verdicts[-1].headers()["RateLimit-Policy"] == f'"tenant-changes";q={TENANT_TIMES};w=60'
    assert 1 <= verdicts[-1].retry_after_s <= 60 / TENANT_TIMES


def test_a_call_that_its_tenant_may_not_make_costs_its_key_nothing(redis: Redis) -> None:
    limits, (*busy, idle) = Limits(redis), siblings(TENANT_TIMES + 1, settings=slow(1))
    for caller in busy:
        limits.take(caller, Kind.CHANGES)

    assert not limits.take(idle, Kind.CHANGES).allowed
    assert redis.get(f"limit:{idle.key_id}:changes") is None


def test_sandbox_keys_take_nothing_from_a_tenants_live_ones(redis: Redis) -> None:
    limits, callers = Limits(redis), siblings(TENANT_TIMES, settings=slow(1))
    for caller in callers:
        limits.take(caller, Kind.CHANGES)

    assert limits.take(replace(callers[0], live=True, key_id="live" + callers[0].key_id), Kind.CHANGES).allowed


def test_both_buckets_and_the_count_are_one_round_trip(redis: Redis) -> None:
    limits, caller = Limits(redis), a_caller()
    limits.take(caller, Kind.STATUS, f"polls:{uuid.uuid4()}")  # Connected, and the script is known.
    before = redis.info("commandstats")

    limits.take(caller, Kind.STATUS, f"polls:{uuid.uuid4()}")

    after = redis.info("commandstats")
    asked = {name for name in after if after[name]["calls"] > before.get(name, {"calls": 0})["calls"]}
    inside = {"cmdstat_exists", "cmdstat_time", "cmdstat_get", "cmdstat_set", "cmdstat_incr", "cmdstat_expire"}
    assert asked - inside == {"cmdstat_evalsha", "cmdstat_info"}
    assert after["cmdstat_evalsha"]["calls"] == before["cmdstat_evalsha"]["calls"] + 1


def test_of_many_at_once_exactly_the_burst_passes(redis: Redis) -> None:
    limits, caller = Limits(redis), a_caller(settings=slow(20))

    with ThreadPoolExecutor(16) as pool:
        verdicts = list(pool.map(lambda _: limits.take(caller, Kind.CHANGES).allowed, range(100)))

    assert verdicts.count(True) == 20


def test_a_bucket_leaves_redis_once_it_is_full(redis: Redis) -> None:
    limits, caller = Limits(redis), a_caller(settings=slow(5))
    began = time.monotonic()
    limits.take(caller, Kind.CHANGES)

    assert math.ceil(redis.pttl(f"limit:{caller.key_id}:changes") / 1_000) in left_of(60, began)


def test_polls_are_counted_in_the_same_round_trip_and_only_when_let_in(redis: Redis) -> None:
    limits, caller, name = Limits(redis), a_caller(settings=slow(2)), f"polls:{uuid.uuid4()}"

    assert [limits.take(caller, Kind.STATUS, name).count for _ in range(3)] == [1, 2, None]
    assert 1_190 <= redis.ttl(name) <= 1_200


def test_a_key_that_calls_too_often_is_told_429_and_when_to_come_back(
    settings: Settings, engine: Engine, redis: Redis
) -> None:
    shop = a_shop(engine, limits=slow(1))
    began = time.monotonic()

    with opened(parts_for(settings, engine, redis), probe()) as client:
        first, second = (client.post("/probe", headers=shop.headers) for _ in range(2))
        poll = client.get(f"/probe/trk_{'0' * 26}", headers=shop.headers)

    assert (first.status_code, first.headers["RateLimit"]) == (200, '"changes";r=0;t=60')
    assert (second.status_code, poll.status_code) == (429, 200)
    assert second.json == {"message": "too many calls; come back later", "status": {"messageCode": "RATE_LIMITED"}}
    assert int(second.headers["Retry-After"]) in left_of(60, began)
    assert second.headers["RateLimit-Policy"] == '"changes";q=1;w=60'
    assert poll.json is not None
    assert poll.json["polls"] == 1


def test_a_path_that_is_no_tracking_number_is_not_counted(settings: Settings, engine: Engine, redis: Redis) -> None:
    shop = a_shop(engine)

    with opened(parts_for(settings, engine, redis), probe()) as client:
        told = client.get(f"/probe/{'x' * 500}", headers=shop.headers)

    assert told.json is not None
    assert told.json["polls"] is None
    assert not redis.keys("polls:*x*")


def test_without_redis_calls_pass_with_an_alarm_and_only_one_a_pause_waits_for_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    caller = a_caller(settings=slow(1))
    now = [0.0]
    with own_redis(tmp_path) as server, server.client() as client:
        limits = Limits(client, clock=lambda: now[0])
        assert limits.take(caller, Kind.CHANGES).allowed
        assert not limits.take(caller, Kind.CHANGES).allowed
        server.kill()
        now[0] = REMEMBERED_S

        with lateness.watched() as late:
            began = time.monotonic()
            passed = [limits.take(caller, Kind.CHANGES, "polls:x") for _ in range(50)]
            waited = time.monotonic() - began
        server.start()
        now[0] += PAUSE_S
        newcomer = a_caller(settings=slow(1))
        back = [limits.take(newcomer, Kind.CHANGES).allowed for _ in range(2)]

    assert all(verdict.allowed and verdict.count is None for verdict in passed)
    assert passed[0].headers() == {"RateLimit-Policy": '"changes";q=1;w=60'}, "what nobody counted is not told"
    assert waited - late.seconds < 2 * PATIENCE_S + 0.5
    assert capfd.readouterr().err.count("limits.open") == 1
    assert back == [True, False], "after the pause Redis is asked again"


def test_a_silent_redis_costs_one_call_a_fifth_of_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.buckets.PATIENCE_S", PATIENCE_S)  # As shipped: the other tests wait for longer.
    caller = a_caller()
    with own_redis(tmp_path) as server, server.client() as client:
        limits = Limits(client)
        until(lambda: limits.take(caller, Kind.CHANGES).remaining is not None)  # It is reached, and not left alone.

        with server.silent(), lateness.watched() as late:
            began = time.monotonic()
            passed = [limits.take(caller, Kind.CHANGES).allowed for _ in range(50)]
            waited = time.monotonic() - began

    assert all(passed)
    assert PATIENCE_S * 0.9 <= waited < 1.0 + late.seconds


def test_the_front_door_stays_open_without_redis(tmp_path: Path, settings: Settings, engine: Engine) -> None:
    shop = a_shop(engine, limits=slow(1))
    with own_redis(tmp_path) as server, server.client() as client:
        server.kill()
        parts: Parts = parts_for(settings, engine, client)
        with opened(parts, probe()) as door:
            told = [door.post("/probe", headers=shop.headers).status_code for _ in range(5)]

    assert told == [200] * 5
