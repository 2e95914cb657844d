"""Who asks for an order far more often than advised is told 429, and nobody else feels it (contract section 3)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from api.buckets import COUNT_LIFE_S
from api.limits import ADVISED_S, FASTER, LEAST_POLLS, Kind, Limits, counter
from shared.config import Settings
from shared.store.engine import create_engine
from shared.store.keys import Caller, KeyRole
from shared.store.row_security import Role
from shared.store.tenants import TenantSettings
from tests.support.front_door import a_shop, parts_for
from tests.support.psp import until
from tests.support.selling import Seller, a_seller

SMALL = TenantSettings(status_per_minute=30_000, status_burst=LEAST_POLLS * 10)


@pytest.fixture(scope="module")
def redis(vault_url: str) -> Iterator[Redis]:
    """The volatile Redis."""
    with Redis.from_url(vault_url) as client:
        yield client


def a_caller(tenant_id: uuid.UUID | None = None) -> Caller:
    """A key nobody used yet."""
    tenant = tenant_id or uuid.uuid4()
    return Caller(tenant, KeyRole.STOREFRONT, live=False, settings=SMALL, key_id=uuid.uuid4().hex[:16])


def an_order_of(caller: Caller) -> str:
    """Where the polls of some order of the caller's are counted."""
    return counter(caller.tenant_id, f"trk_{uuid.uuid4().hex[:26]}")


def polls(limits: Limits, caller: Caller, order: str, times: int, *, advised: int | None = None) -> list[bool]:
    """Which of so many polls at once were let in, each told to come back in *advised* seconds."""
    let_in = []
    for _ in range(times):
        let_in.append(limits.take(caller, Kind.STATUS, order).allowed)
        if let_in[-1] and advised is not None:
            limits.advised(caller, order, advised)
    return let_in


def test_thirty_polls_are_good_at_any_pace_and_the_next_is_told_to_come_back_as_advised(redis: Redis) -> None:
    limits, caller = Limits(redis), a_caller()
    order = an_order_of(caller)

    assert polls(limits, caller, order, LEAST_POLLS + 1, advised=60) == [True] * LEAST_POLLS + [False]

    refused = limits.take(caller, Kind.STATUS, order)
    assert (refused.count, refused.quota.kind) == (None, Kind.ONE_ORDER)
    assert 58 <= refused.retry_after_s <= 60
    assert refused.headers()["RateLimit-Policy"] == f'"status-of-one-order";q={FASTER};w=60'


def test_who_was_refused_and_comes_back_when_told_is_let_in(redis: Redis) -> None:
    limits, caller = Limits(redis), a_caller()
    order = an_order_of(caller)
    told = (limits.take(caller, Kind.STATUS, order) for _ in range(10 * LEAST_POLLS))
    refused = next(one for one in told if not one.allowed)

    assert refused.retry_after_s == ADVISED_S
    until(lambda: limits.take(caller, Kind.STATUS, order).allowed, seconds=ADVISED_S)


def test_who_asks_no_more_than_four_times_as_often_as_advised_is_never_refused(redis: Redis) -> None:
    limits, caller = Limits(redis), a_caller()
    order = an_order_of(caller)
    polls(limits, caller, order, LEAST_POLLS, advised=1)
    full_ms = LEAST_POLLS * 1_000 // FASTER
    for _ in range(8):
        # It is kept for as long as it is not full: so a fourth of a second has passed since the last poll.
        until(lambda: redis.pttl(f"{order}:{caller.key_id}") <= full_ms - 1_000 // FASTER, seconds=2)
        assert polls(limits, caller, order, 1, advised=1) == [True]


def test_many_processes_judge_by_one_count(redis: Redis) -> None:
    processes, caller = [Limits(redis) for _ in range(4)], a_caller()
    order = an_order_of(caller)

    let_in = [polls(processes[n % 4], caller, order, 1, advised=60)[0] for n in range(LEAST_POLLS + 8)]

    assert let_in == [True] * LEAST_POLLS + [False] * 8


def test_neither_another_order_nor_another_key_feels_it(redis: Redis) -> None:
    limits, caller = Limits(redis), a_caller()
    order, sibling = an_order_of(caller), a_caller(caller.tenant_id)
    left = limits.take(caller, Kind.STATUS, an_order_of(caller)).remaining
    polls(limits, caller, order, LEAST_POLLS, advised=60)

    assert polls(limits, caller, order, 50) == [False] * 50
    assert limits.take(sibling, Kind.STATUS, order).allowed
    other = limits.take(caller, Kind.STATUS, an_order_of(caller))
    assert other.allowed
    assert left is not None
    assert other.remaining is not None
    assert other.remaining >= left - LEAST_POLLS - 1, "who was refused took no token"


def test_a_storm_at_one_order_asks_redis_once_a_second(redis: Redis) -> None:
    limits, caller = Limits(redis, lambda: 100.0), a_caller()
    order = an_order_of(caller)
    polls(limits, caller, order, LEAST_POLLS + 1, advised=60)
    before = _asked(redis)

    assert polls(limits, caller, order, 1_000) == [False] * 1_000

    assert _asked(redis) == before


def _asked(redis: Redis) -> int:
    stats = redis.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


@pytest.fixture
def seller(settings: Settings, engine: Engine, redis: Redis) -> Seller:
    """A tenant at the front door."""
    return a_seller(parts_for(settings, engine, redis))


def test_at_the_front_door_a_poller_who_ignores_its_advice_is_told_429(seller: Seller, engine: Engine) -> None:
    number, hasty = seller.accepted(), a_shop(engine, seller.shop.tenant_id, limits=SMALL)
    path = f"/api/v1/c2a/offer/checkout/{number}/status"
    with seller.app.test_client() as client:
        told = [client.get(path, headers=hasty.headers) for _ in range(LEAST_POLLS + 5)]
        polite = client.get(path, headers=a_shop(engine, seller.shop.tenant_id, limits=SMALL).headers)

    good = [one for one in told if one.status_code == 200]
    refused = [one for one in told if one.status_code == 429]
    assert len(good) + len(refused) == len(told)
    assert len(good) >= LEAST_POLLS
    assert refused
    assert refused[0].get_json() == {
        "message": "this order was asked for far more often than advised; come back when Retry-After says",
        "status": {"messageCode": "RATE_LIMITED"},
    }
    assert 1 <= int(refused[0].headers["Retry-After"]) <= ADVISED_S
    assert polite.status_code == 200
    counted = [one.get_json()["followUpInstructions"]["currentRetryAttempt"] for one in good]
    assert counted == list(range(1, len(good) + 1)), "a poll that was refused is none"


MANY_UNKNOWN = 2_000


def _unknown(n: int) -> str:
    """The path of an order that is not."""
    return f"/api/v1/c2a/offer/checkout/trk_{n:026d}/status"


def _kept(redis: Redis, seller: Seller) -> list[bytes]:
    """All that Redis keeps of the polls of the seller's orders: their counts, and each key's own bucket of each."""
    return list(redis.scan_iter(f"polls:{seller.shop.tenant_id}:*", count=10_000))


def test_polls_of_orders_that_are_not_leave_nothing_in_the_redis_where_cards_wait(seller: Seller, redis: Redis) -> None:
    """A key that may only read could else fill it, and nobody's card would be taken any more."""
    seller.app.test_client().get(_unknown(0), headers=seller.shop.headers)  # The key is known: the quick way begins.
    with seller.app.test_client() as client:
        for n in range(MANY_UNKNOWN):
            told = client.get(_unknown(n), headers=seller.shop.headers)
            assert told.status_code == 404
            if n % 200 == 199:
                assert not [one for one in _kept(redis, seller) if one.count(b":") == 2], "no count outlives its answer"

    until(lambda: not _kept(redis, seller))  # A key's own bucket of a number is full after half a second, and gone.


@pytest.mark.parametrize("accept", ["application/json", "application/clientOutput+Json"])  # The quick way; Flask.
def test_polls_of_an_order_that_is_are_counted_on_through_polls_of_others(
    seller: Seller, redis: Redis, accept: str
) -> None:
    number, headers = seller.accepted(), seller.shop.headers | {"Accept": accept}
    counted = []
    with seller.app.test_client() as client:
        for n in range(3):
            told = client.get(f"/api/v1/c2a/offer/checkout/{number}/status", headers=headers)
            counted.append(json.loads(told.text)["followUpInstructions"]["currentRetryAttempt"])
            client.get(_unknown(n), headers=headers)

    assert counted == [1, 2, 3]
    assert redis.ttl(counter(seller.shop.tenant_id, number)) > COUNT_LIFE_S - 60


@pytest.fixture
def hasty(seller: Seller, settings: Settings, redis: Redis) -> Iterator[Seller]:
    """The same tenant at a front door that waits for its database no longer than a second."""
    front = create_engine(settings, answer_within_s=1.0, role=Role.API)
    yield replace(seller, parts=parts_for(settings, front, redis, seller.parts.keyring))
    front.dispose()


def test_a_poll_that_nobody_could_answer_begins_no_count_and_ends_none(
    seller: Seller, hasty: Seller, redis: Redis
) -> None:
    number = seller.accepted()
    paths = [f"/api/v1/c2a/offer/checkout/{number}/status", _unknown(1)]
    count = counter(seller.shop.tenant_id, number)
    with hasty.app.test_client() as client:
        # Its first answer takes a connection and a look at the key as well, within the same second.
        until(lambda: client.get(paths[0], headers=seller.shop.headers).status_code == 200)
        before = int(redis.get(count) or 0)
        with seller.rows.begin() as conn:
            conn.execute(text("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE"))
            told = [client.get(path, headers=seller.shop.headers).status_code for path in paths]

    assert told == [503, 503]
    assert before > 0
    assert int(redis.get(count) or 0) == before + 1
    assert redis.get(counter(seller.shop.tenant_id, f"trk_{1:026d}")) is None
