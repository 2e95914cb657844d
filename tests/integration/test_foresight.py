"""Upkeep counts who waits, at a bounded cost and in one process at a time; the front door reads it once a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from redis import Redis
from sqlalchemy import text

from api.outlook import EVERY_S, Outlooks
from shared.domain.states import OrderState
from shared.ids import first_number_at_ms
from shared.outlook import KEY, LIFE_S, Line, Outlook
from shared.store import backlog
from shared.store.engine import statements
from tests.support import lateness
from tests.support.engine_room import EngineRoom, captured
from tests.support.order_crowds import nobody
from tests.support.psp import until
from workers.foresight import COUNTER, Foresight

MANY = 100_000
DEAREST_S = 3.0
"""A count of so many rows takes half a second on a busy core; what it may take of a core is bounded besides."""


@pytest.fixture
def quiet(room: EngineRoom) -> Iterator[EngineRoom]:
    """No orders, and nobody who counts."""
    nobody(room.owner)
    room.run.vault.redis.delete(KEY, COUNTER)
    yield room
    nobody(room.owner)
    room.run.vault.redis.delete(KEY, COUNTER)


def told(room: EngineRoom) -> Outlook:
    """What was told last."""
    document = room.run.vault.redis.get(KEY)
    assert isinstance(document, bytes)
    return Outlook.model_validate_json(document)


def test_those_who_wait_are_counted_by_when_they_came(quiet: EngineRoom) -> None:
    numbers = [quiet.admitted() for _ in range(6)]
    ended = numbers.pop(3)
    quiet.sql(
        "UPDATE orders SET state = 'failed', failure = 'CANCELLED', due_at = NULL, finished_at = now()"
        " WHERE tracking_number = :n",
        n=ended,
    )

    Foresight().look(quiet.run)

    line = told(quiet).turn
    assert (line.length, line.per_s) == (5, None)


def test_one_process_counts_at_a_time_and_another_once_it_is_silent(quiet: EngineRoom) -> None:
    first, second = Foresight(), Foresight()
    first.look(quiet.run)
    quiet.run.vault.redis.delete(KEY)
    second.look(quiet.run)
    assert quiet.run.vault.redis.get(KEY) is None
    quiet.run.vault.redis.delete(COUNTER)

    def second_tells() -> bool:
        second.look(quiet.run)
        return bool(quiet.run.vault.redis.exists(KEY))

    until(second_tells)
    assert told(quiet).turn.length == 0


def test_a_hundred_thousand_are_counted_in_bounded_time_and_told_in_few_bytes(
    quiet: EngineRoom, say: Callable[[str], None]
) -> None:
    _many(quiet)
    look = Foresight()
    with lateness.watched() as late:
        began = time.monotonic()
        look.look(quiet.run)
        took = time.monotonic() - began

    document = quiet.run.vault.redis.get(KEY)
    assert isinstance(document, bytes)
    say(f"{MANY} waiting orders counted in {took * 1_000:.0f} ms, told in {len(document) / 1_024:.1f} KiB")
    assert told(quiet).crowd.length == MANY
    assert took - late.seconds <= DEAREST_S
    assert len(document) <= 16 * 1_024


def _many(room: EngineRoom) -> None:
    """As many orders of one tenant as came in five minutes."""
    first_ms = time.time_ns() // 1_000_000 - 300_000
    numbers = [f"{first_number_at_ms(first_ms + 3 * n)[:-8]}{n:08d}" for n in range(MANY)]
    with room.owner.begin() as conn:
        conn.execute(text("SET LOCAL statement_timeout = 0"))  # No product writes so many at once.
        conn.execute(
            text("""
            INSERT INTO orders (tenant_id, tracking_number, state, offer_identifier, customer_urn, channel,
                                carries_card, keeps_method, request, due_at)
            SELECT :tenant, number, :state, 'of_test', 'cu.00.482', 'CreditCard', false, false, '{}', now()
            FROM unnest(CAST(:numbers AS text[])) AS number"""),
            {"tenant": uuid4(), "state": OrderState.ADMITTED, "numbers": numbers},
        )


class Clock:
    """Time as a test wants it."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """What time it is, in seconds."""
        return self.now


def test_the_front_door_reads_it_once_a_second_and_forgets_what_nobody_tells_any_more(
    quiet: EngineRoom, vault_url: str
) -> None:
    number, clock, tenant = quiet.admitted(), Clock(), quiet.seller.shop.tenant_id
    line = Line(per_s=10.0, points=((0, 0), (1, 99), (10_000, 99)))
    with Redis.from_url(vault_url) as redis:
        outlooks = Outlooks(redis, clock)
        assert outlooks.wait_s(tenant, number, is_paid=False) is None
        told_at = time.monotonic()
        redis.set(KEY, Outlook(turn=line).model_dump_json(), ex=LIFE_S)
        assert outlooks.wait_s(tenant, number, is_paid=False) is None, "it was asked for this very second"
        clock.now += EVERY_S
        wait_s = outlooks.wait_s(tenant, number, is_paid=False)
        assert wait_s is not None
        assert 10 - (time.monotonic() - told_at) - 0.1 <= wait_s <= 10
        known = outlooks.as_known()
        redis.set(KEY, "what is no outlook", ex=LIFE_S)
        clock.now += EVERY_S
        assert outlooks.wait_s(tenant, number, is_paid=False) is None
        assert known.wait_s(tenant, number, is_paid=False) == pytest.approx(wait_s - EVERY_S), "it asks nobody"
        redis.delete(KEY)
        clock.now += EVERY_S
        assert outlooks.payment_s(tenant) is None


def test_how_long_payments_take_is_told_where_a_tenant_had_enough_of_them(quiet: EngineRoom) -> None:
    for _ in range(backlog.FEWEST):
        number = quiet.locked()
        quiet.dies_while_charging(number, after_the_charge=True)
        quiet.tell(quiet.attempt(number), captured(quiet.attempt(number), f"sb_{number}"))
        quiet.sql(
            "UPDATE order_events AS began SET at = ended.at - interval '8 s' FROM order_events AS ended"
            " WHERE began.tracking_number = :n AND began.state = 'paying'"
            " AND ended.tracking_number = :n AND ended.version = began.version + 1",
            n=number,
        )
    with statements(quiet.run.engine) as conn:
        usual = backlog.usual_payments_s(conn)
    assert usual[quiet.seller.shop.tenant_id] == pytest.approx(8)
