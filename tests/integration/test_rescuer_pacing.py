"""A backlog is not rung into a flood, a flushed queue is filled again, and dropped work passes both."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
import redis
from pydantic import SecretStr
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.domain.states import OrderState
from shared.messages import CROWD_OF, FRONT_OF, QUEUE_OF, Step
from shared.store import overdue
from shared.store.engine import statements
from tests.support.order_crowds import a_crowd, nobody, work_off
from tests.support.order_rows import again, an_order
from tests.support.own_redis import own_redis
from tests.support.psp import until
from workers.pacing import BATCH, RETURNS_AT_LEAST, TOP_UP
from workers.rescuer import rescue
from workers.runtime import Runtime, build

BACKLOG: Final = 50_000
PUBLISHED_WITHIN_S: Final = 30.0
"""A batch is on its way for half a second on a machine that has nothing else to do."""
LOCK_QUEUE: Final = QUEUE_OF[Step.LOCK_OFFER]
CROWD_QUEUE: Final = CROWD_OF[Step.LOCK_OFFER]
DROPPED: Final = FRONT_OF[Step.PAY]


@pytest.fixture
def broker(broker_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(broker_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def run(engine: Engine, settings: Settings) -> Iterator[Runtime]:
    nobody(engine)
    made = build(settings)
    yield made
    made.doorbell.close(within_s=5)
    made.engine.dispose()


def fill(broker: redis.Redis, count: int) -> None:
    """Put *count* messages on the list the offer lock reads."""
    for _ in range(count // 1_000):
        broker.lpush(LOCK_QUEUE, *([b"a message"] * 1_000))


def rung_for(broker: redis.Redis, queue: str) -> list[str]:
    """Whom the messages in *queue* name."""
    waiting = broker.lrange(queue, 0, -1)
    assert isinstance(waiting, list)
    return [json.loads(one)["headers"]["argsrepr"] for one in waiting]


def test_of_fifty_thousand_who_wait_their_turn_less_than_one_percent_is_rung_for(
    run: Runtime, engine: Engine, broker: redis.Redis
) -> None:
    """With 50,000 orders waiting in a healthy queue, duplicate messages stay under 1 %."""
    a_crowd(engine, OrderState.ADMITTED, BACKLOG, age_s=60)
    fill(broker, BACKLOG)
    rung, spent = 0, []
    for _ in range(20):
        with statements(engine) as conn:  # Two looks of an engine room that works off 150 orders a second,
            work_off(conn, 300)
        broker.rpop(LOCK_QUEUE, 300 + 16)  # and has some messages in hand.
        started = time.monotonic()
        rung += rescue(run)
        spent.append(time.monotonic() - started)
        broker.lpush(LOCK_QUEUE, *([b"a message"] * 16))
    assert rung < BACKLOG / 100
    assert statistics.median(spent) < 1.0, "a look at a backlog is a fraction of its period"


def test_who_was_passed_by_is_rung_for_though_the_queue_is_long(
    run: Runtime, engine: Engine, broker: redis.Redis
) -> None:
    lost = an_order(engine, OrderState.ADMITTED, due_in=timedelta(hours=-1))
    a_crowd(engine, OrderState.ADMITTED, 5_000, age_s=15)
    _worked_off_elsewhere(engine, 3_000)  # 100 a second: the queue takes 50 s.
    fill(broker, 5_000)
    assert rescue(run) == 1
    assert again(engine, lost.tracking_number).rings == 1


def test_behind_messages_nobody_needs_who_was_passed_by_is_rung_for_once_they_drain(
    run: Runtime, engine: Engine, broker: redis.Redis
) -> None:
    """They move no order, so only the queue itself tells how fast it goes."""
    lost = an_order(engine, OrderState.ADMITTED, due_in=timedelta(hours=-1))
    fill(broker, 5_000)
    assert rescue(run) == 0, "nobody knows yet whether anybody reads this queue"
    broker.rpop(LOCK_QUEUE, 1_000)
    assert rescue(run) == 1
    assert again(engine, lost.tracking_number).rings == 1


def test_orders_that_wait_out_an_outage_are_not_taken_for_a_flushed_queue(
    run: Runtime, engine: Engine, broker: redis.Redis
) -> None:
    """Their PSP took nothing, so they come due by their own time; a new order's payment waits behind none of them."""
    a_crowd(engine, OrderState.OFFER_LOCKED, 5_000, age_s=60)
    with engine.begin() as conn:
        conn.execute(text("UPDATE orders SET waits_for = 'sandbox'"))
    for _ in range(3):
        rescue(run)
        until(lambda: broker.llen(DROPPED) == TOP_UP, seconds=PUBLISHED_WITHIN_S)
    assert broker.llen(QUEUE_OF[Step.PAY]) == 0


def test_money_to_return_is_rung_for_though_look_ups_fill_its_queue(
    run: Runtime, engine: Engine, broker: redis.Redis
) -> None:
    broker.lpush(QUEUE_OF[Step.RETURN_MONEY], *([b"a look-up"] * TOP_UP))
    with engine.begin() as conn:
        conn.execute(
            text("""
                INSERT INTO payment_attempts (tenant_id, tracking_number, attempt_no, provider, psp_key,
                    merchant_reference, amount_minor, currency, outcome, psp_reference, due_at, settled_at)
                SELECT gen_random_uuid(), 'trk_' || n, 1, 'sandbox', 'k', 'm', 1, 'EUR', 'returning', 'sb', now(), now()
                FROM generate_series(1, 50) AS n""")
        )
    rescue(run)
    until(lambda: broker.llen(QUEUE_OF[Step.RETURN_MONEY]) == TOP_UP + RETURNS_AT_LEAST, seconds=PUBLISHED_WITHIN_S)


def _worked_off_elsewhere(engine: Engine, count: int) -> None:
    with engine.begin() as conn:
        conn.execute(
            text("""
                INSERT INTO order_events (tenant_id, tracking_number, version, event, state, actor)
                SELECT gen_random_uuid(), 'trk_' || n, 2, 'offer_held', 'offer_locked', 'lock_offer'
                FROM generate_series(1, :count) AS n"""),
            {"count": count},
        )


def test_after_a_flush_everybody_is_rung_for_once_and_paced(run: Runtime, engine: Engine, broker: redis.Redis) -> None:
    a_crowd(engine, OrderState.ADMITTED, 5_000, age_s=15)
    told = []
    for done in range(BATCH, 5_000 + 1, BATCH):
        told.append(rescue(run))
        until(lambda done=done: broker.llen(LOCK_QUEUE) == done, seconds=PUBLISHED_WITHIN_S)  # type: ignore[misc]
    assert told == [BATCH] * (5_000 // BATCH)
    assert rescue(run) == 0
    assert set(Counter(rung_for(broker, LOCK_QUEUE)).values()) == {1}


def test_after_a_flush_nobody_is_rung_for_behind_a_tenant_that_has_most_of_what_waits(
    run: Runtime, engine: Engine, broker: redis.Redis
) -> None:
    a_crowd(engine, OrderState.ADMITTED, 800, age_s=20, tenant=uuid4())
    a_crowd(engine, OrderState.ADMITTED, 5, age_s=15, prefix="trk_other_")

    assert rescue(run) == 805

    until(lambda: broker.llen(CROWD_QUEUE) == 800, seconds=PUBLISHED_WITHIN_S)
    until(lambda: broker.llen(LOCK_QUEUE) == 5, seconds=PUBLISHED_WITHIN_S)
    assert all(number.startswith("trk_other_") for number in rung_for(broker, LOCK_QUEUE))


def test_a_crowd_that_waits_in_its_own_queue_is_not_taken_for_a_flushed_one(
    run: Runtime, engine: Engine, broker: redis.Redis
) -> None:
    a_crowd(engine, OrderState.ADMITTED, 3_000, age_s=15, tenant=uuid4())
    broker.lpush(CROWD_QUEUE, *([b"a message"] * 3_000))
    assert rescue(run) == 0


def test_work_that_was_claimed_and_dropped_passes_any_backlog(
    run: Runtime, engine: Engine, broker: redis.Redis
) -> None:
    """Design: it runs again within 15 s, so it is found in the first look and rung for in a queue of its own."""
    a_crowd(engine, OrderState.ADMITTED, BACKLOG, age_s=60)
    a_crowd(engine, OrderState.OFFER_LOCKED, 5_000, age_s=60, prefix="trk_priced_")
    fill(broker, BACKLOG)
    broker.lpush(QUEUE_OF[Step.PAY], *([b"a message"] * 5_000))
    dropped = an_order(engine, OrderState.PAYING, due_in=timedelta(seconds=-1))
    assert rescue(run) == 1
    until(lambda: rung_for(broker, DROPPED) == [dropped.tracking_number])


def test_while_the_broker_is_away_nobody_is_put_off_and_its_return_is_noticed_at_once(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    nobody(engine)
    order = an_order(engine, OrderState.PAYING, due_in=timedelta(seconds=-1))
    with own_redis(tmp_path) as broker:
        run = build(settings.model_copy(update={"broker_url": SecretStr(broker.url)}))
        broker.kill()
        for _ in range(3):
            assert rescue(run) == 0
        assert again(engine, order.tracking_number).rings == 0
        broker.start()
        assert rescue(run) == 1
        with broker.client() as client:
            until(lambda: client.llen(DROPPED) == 1)
        run.doorbell.close()
        run.engine.dispose()


@pytest.mark.parametrize("statement", ["_DUE", "_PUT_OFF"])
def test_a_look_reads_the_index_of_live_orders_and_never_the_finished_ones(
    run: Runtime, engine: Engine, statement: str
) -> None:
    a_crowd(engine, OrderState.ADMITTED, 2_000, age_s=60)
    with engine.begin() as conn:
        conn.execute(text("UPDATE orders SET state = 'done', due_at = NULL, finished_at = now()"))
    a_crowd(engine, OrderState.CONFIRMING, 500, age_s=60, prefix="trk_unclear_")
    sql = str(getattr(overdue, statement).compile(compile_kwargs={"literal_binds": False}))
    values = {"state": "confirming", "late": 0, "limit": 10, "first": 10, "longest": 60, "live": ["confirming"]}
    with engine.begin() as conn:
        plan = "\n".join(conn.execute(text(f"EXPLAIN {sql}"), values | {"in_row": False}).scalars())
    assert "orders_default_state_due_at_idx" in plan, "the partition of numbers without a time has its own orders_due"
    assert "Seq Scan on orders_default" not in plan, "of the others, empty here, reading none is cheapest"
