"""What is overdue is rung for, once, with growing pauses; what only waits its turn is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from sqlalchemy import Engine, insert, text

from shared.config import Settings
from shared.domain.states import TERMINAL, OrderEvent, OrderState
from shared.messages import FRONT_OF, QUEUE_OF, STEP_FOR
from shared.store import housekeeping, moves, overdue
from shared.store.engine import statements
from shared.store.tables import idempotency_keys
from tests.support.order_crowds import nobody
from tests.support.order_rows import again, an_order
from workers.rescuer import look, rescue
from workers.runtime import build

PAST = timedelta(seconds=-1)


@pytest.fixture
def broker(broker_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(broker_url) as client:
        client.flushall()
        yield client


@pytest.mark.parametrize("state", sorted(set(OrderState) - TERMINAL))
def test_an_overdue_order_is_rung_for_in_the_queue_of_the_step_it_needs(
    engine: Engine, settings: Settings, broker: redis.Redis, state: OrderState
) -> None:
    nobody(engine)
    order = an_order(engine, state, due_in=PAST)
    run = build(settings)
    assert rescue(run) == 1
    run.doorbell.close(within_s=5)
    step = STEP_FOR[state]
    waiting = broker.lrange(FRONT_OF[step] if state is OrderState.PAYING else QUEUE_OF[step], 0, -1)
    assert [order.tracking_number.encode() in message for message in waiting] == [True]
    run.engine.dispose()


@pytest.mark.parametrize(("takeovers", "queue"), [(0, "payment-resumed"), (1, "payment-alone"), (4, "payment-alone")])
def test_a_payment_that_was_dropped_more_than_once_is_rung_for_where_it_can_take_nobody_along(
    engine: Engine, settings: Settings, broker: redis.Redis, takeovers: int, queue: str
) -> None:
    nobody(engine)
    order = an_order(engine, OrderState.PAYING, due_in=PAST)
    with statements(engine) as conn:
        conn.execute(
            text("UPDATE orders SET crashes = :c WHERE tracking_number = :n"),
            {"c": takeovers, "n": order.tracking_number},
        )
    run = build(settings)
    assert rescue(run) == 1
    run.doorbell.close(within_s=5)
    assert [order.tracking_number.encode() in message for message in broker.lrange(queue, 0, -1)] == [True]
    run.engine.dispose()


def test_an_order_that_waits_its_turn_is_left_alone(engine: Engine) -> None:
    order = an_order(engine, OrderState.ADMITTED)
    with statements(engine) as conn:
        assert order.tracking_number not in overdue.put_off(conn, order.state, limit=100)


def test_each_ring_puts_the_order_off_for_longer(engine: Engine) -> None:
    order = an_order(engine, OrderState.ADMITTED, due_in=PAST)
    pauses = []
    for _ in range(5):
        with engine.begin() as conn:  # One moment for all three: what was due, what it is put off by, and what is left.
            conn.execute(
                text("UPDATE orders SET due_at = now() - interval '1 s' WHERE tracking_number = :n"),
                {"n": order.tracking_number},
            )
            assert order.tracking_number in overdue.put_off(conn, order.state, limit=100)
            pauses.append(
                conn.execute(
                    text("SELECT extract(epoch FROM due_at - now()) FROM orders WHERE tracking_number = :n"),
                    {"n": order.tracking_number},
                ).scalar_one()
            )
    assert pauses == [10, 20, 40, 60, 60]


def test_two_rescuers_never_ring_for_the_same_order(engine: Engine) -> None:
    """The second one looks while the first one's transaction is open, and skips what it holds."""
    order = an_order(engine, OrderState.ADMITTED, due_in=PAST)
    with engine.begin() as first, engine.begin() as second:
        assert order.tracking_number in overdue.put_off(first, order.state, limit=100)
        assert order.tracking_number not in overdue.put_off(second, order.state, limit=100)


def test_a_move_forgets_the_rings_before_it(engine: Engine) -> None:
    order = an_order(engine, OrderState.ADMITTED, due_in=PAST)
    with statements(engine) as conn:
        overdue.put_off(conn, order.state, limit=100)
    rung = again(engine, order.tracking_number)
    assert rung.rings == 1
    held, soon = OrderEvent.OFFER_HELD, timedelta(seconds=10)
    with engine.begin() as conn:
        moves.advance(conn, rung, held, actor="lock_offer", due_in=soon, amount_minor=1499, currency="EUR")
    moved = again(engine, order.tracking_number)
    assert (moved.state, moved.rings) == (OrderState.OFFER_LOCKED, 0)


def test_keys_past_their_life_are_forgotten_but_never_those_of_a_live_order(engine: Engine) -> None:
    """Contract section 2: kept 31 days. A repeat must still find an order that is not finished."""
    live, done = an_order(engine, OrderState.CONFIRMING), an_order(engine, OrderState.DONE)
    with engine.begin() as conn:
        for order, days in ((live, 32), (done, 32), (done, 30)):
            conn.execute(
                insert(idempotency_keys).values(
                    tenant_id=order.tenant_id,
                    key=f"{order.state}-{days}",
                    tracking_number=order.tracking_number,
                    digest=b"",
                    created_at=text(f"now() - interval '{days} days'"),
                )
            )
        housekeeping.forget_old_keys(conn, days=31)
        left = set(conn.execute(idempotency_keys.select().with_only_columns(idempotency_keys.c.key)).scalars())
    assert left == {"confirming-32", "done-30"}


def test_as_many_keys_are_forgotten_a_minute_as_a_busy_one_brings(
    engine: Engine, settings: Settings, broker: redis.Redis
) -> None:
    """Three hundred orders a second, each with its key; and what one minute may let go of is let go of in one."""
    assert housekeeping.BATCH * housekeeping.MOST_BATCHES >= 300 * 60
    nobody(engine)
    many = housekeeping.BATCH * (housekeeping.MOST_BATCHES - 1) + 1
    with engine.begin() as conn:
        conn.execute(idempotency_keys.delete())
        conn.execute(
            text("""
                INSERT INTO idempotency_keys (tenant_id, key, tracking_number, digest, created_at)
                SELECT gen_random_uuid(), n, 'trk_' || n, '', now() - interval '32 days'
                FROM generate_series(1, :many) AS n"""),
            {"many": many},
        )
    run = build(settings)
    look(run, 0)
    run.doorbell.close(within_s=5)
    run.engine.dispose()
    with statements(engine) as conn:
        assert conn.execute(idempotency_keys.select()).all() == []
