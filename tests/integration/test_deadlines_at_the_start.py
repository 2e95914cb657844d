"""D2: an order whose patience ends in the moment its payment starts is either paid once or failed and never charged.

Whoever looks first is made certain: the one who comes second holds what it read before the other came, or waits for a
row that the other has not let go of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
from redis import Redis
from sqlalchemy import Connection, text

from shared.domain.money import Money
from shared.domain.states import OrderState
from shared.psp.port import Account, Psp
from shared.store import holds, leases, overdue
from shared.store.engine import statements
from tests.support.engine_room import EngineRoom
from tests.support.order_crowds import nobody
from tests.support.psp import Sandbox, until
from workers.lock_offer import lock_offer
from workers.pay import pay
from workers.plan import Plan, plan
from workers.rescuer import rescue
from workers.sight import Sight

PRICE: Final = Money(1499, "EUR")
BLOCKED: Final = "SELECT 1 FROM pg_stat_activity WHERE :me = ANY (pg_blocking_pids(pid))"


@pytest.fixture(autouse=True)
def _alone(room: EngineRoom, broker_url: str) -> None:
    """No other order waits, and no message."""
    nobody(room.owner)
    with Redis.from_url(broker_url) as broker:
        broker.flushall()


def is_due(room: EngineRoom, number: str) -> None:
    room.sql("UPDATE orders SET due_at = now() WHERE tracking_number = :n", n=number)


def patience_ends(room: EngineRoom, number: str) -> None:
    """What is left of the day its payment may be waited for, and of the hour its offer may be, is over."""
    room.sql(
        "UPDATE orders SET admitted_at = now() - interval '1 day', deadline_at = now(), due_at = now()"
        " WHERE tracking_number = :n",
        n=number,
    )


def charges(psp: Sandbox, room: EngineRoom, number: str) -> list[str]:
    return [row["state"] for row in psp.charges(room.account) if row["merchantReference"] == number]


def is_held(room: EngineRoom, number: str) -> bool:
    return bool(room.sql("SELECT 1 FROM offer_holds WHERE tracking_number = :n", n=number))


@contextmanager
def while_uncommitted(room: EngineRoom, begin: Callable[[Connection], object]) -> Iterator[Callable[..., Future[Any]]]:
    """What *begin* did is not committed within; what is given there runs beside it until it waits for that row."""
    with ThreadPoolExecutor(1) as other, room.run.engine.begin() as conn:
        me = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
        begin(conn)

        def beside(work: Callable[..., Any], *given: Any) -> Future[Any]:
            running = other.submit(work, *given)
            until(lambda: room.sql(BLOCKED, me=me))
            return running

        yield beside


def planned(room: EngineRoom, number: str) -> tuple[Sight, Plan]:
    """What a worker knows and means to do just before it claims the order."""
    sight = Sight.of(room.run.engine, number)
    assert sight is not None
    meant = plan(room.run, sight, asked_now=())
    assert isinstance(meant, Plan)
    return sight, meant


def claimed(room: EngineRoom, sight: Sight, meant: Plan) -> Callable[[Connection], object]:
    """Claims it, in the caller's transaction."""

    def claim(conn: Connection) -> object:
        return leases.claim(conn, sight.order, meant.attempt, owner="another", terms=room.run.lease)

    return claim


def test_who_planned_to_pay_before_the_patience_ended_charges_nobody_once_it_failed(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = room.locked()
    came: list[bool] = []

    def while_it_plans(account: Account) -> Psp:
        """The order is rung for, and whoever hears it finds that its time is over."""
        if not came:
            came.append(True)
            patience_ends(room, number)
            assert rescue(room.run) == 1
            assert not pay(room.run, number)
        return room.run.psp_for(account)

    assert not pay(replace(room.run, psp_for=while_it_plans), number)

    assert came
    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CANCELLED")
    assert room.events(number)[-1] == "cancelled"
    assert charges(shared_psp, room, number) == []
    assert room.attempts(number) == []
    assert not is_held(room, number)


def test_who_finds_the_patience_over_while_another_claims_the_order_fails_nothing(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = room.locked()
    sight, meant = planned(room, number)
    patience_ends(room, number)

    with while_uncommitted(room, claimed(room, sight, meant)) as beside:
        failing = beside(pay, room.run, number)
    assert not failing.result(20)
    assert room.state(number) is OrderState.PAYING

    room.until_lease_ended(number)
    assert pay(room.run, number), "an attempt is out, so its PSP decides"
    assert charges(shared_psp, room, number) == ["captured"]
    assert is_held(room, number)


def test_an_order_that_is_rung_for_while_it_is_claimed_is_paid_once(room: EngineRoom, shared_psp: Sandbox) -> None:
    """The rescuer has its row first."""
    number = room.locked()
    is_due(room, number)

    def ring(conn: Connection) -> None:
        assert number in overdue.put_off(conn, OrderState.OFFER_LOCKED, limit=100)

    with while_uncommitted(room, ring) as beside:
        paying = beside(pay, room.run, number)
    assert paying.result(20)
    assert pay(room.run, number), "what was rung for finds it paid"
    assert charges(shared_psp, room, number) == ["captured"]


def test_an_order_that_is_being_claimed_is_not_rung_for(room: EngineRoom) -> None:
    """The payment has its row first; the rescuer waits for nobody."""
    number = room.locked()
    sight, meant = planned(room, number)
    is_due(room, number)

    def rung() -> bool:
        with room.run.engine.begin() as conn:
            late = overdue.put_off(conn, OrderState.OFFER_LOCKED, limit=100)
            conn.rollback()
        return number in late

    assert rung(), "until it is claimed"
    with room.run.engine.begin() as conn:
        claimed(room, sight, meant)(conn)
        assert not rung()
    assert not rung()
    assert room.state(number) is OrderState.PAYING


def test_an_offer_that_is_held_while_its_time_ends_stays_held(room: EngineRoom) -> None:
    number = room.admitted()
    seen = room.order(number)
    patience_ends(room, number)

    def hold(conn: Connection) -> None:
        assert holds.hold(conn, seen, single_use=True, price=PRICE, due_in=timedelta(minutes=1))

    with while_uncommitted(room, hold) as beside:
        expiring = beside(lock_offer, room.run, number)
    assert not expiring.result(20)
    assert room.state(number) is OrderState.OFFER_LOCKED
    assert is_held(room, number)


def test_an_offer_whose_time_ended_is_not_held_by_who_read_the_order_before(room: EngineRoom) -> None:
    number = room.admitted()
    seen = room.order(number)
    patience_ends(room, number)
    assert not lock_offer(room.run, number)

    with statements(room.run.engine) as conn:
        assert holds.hold(conn, seen, single_use=True, price=PRICE, due_in=timedelta(minutes=1)) is None
    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "OFFER_EXPIRED")
    assert not is_held(room, number)
