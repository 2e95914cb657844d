"""A single-use offer goes to one order, however many were admitted for it, and comes back only if that order fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.domain.money import Money
from shared.domain.states import OrderEvent, OrderState
from shared.patience import STEP_PATIENCE
from shared.store import holds, moves
from shared.store.orders import Order
from tests.support.engine_room import EngineRoom
from tests.support.psp import until
from tests.support.vaulted import card_of
from tests.support.wire import fresh_card
from workers.lock_offer import lock_offer
from workers.pay import pay
from workers.tokenize import tokenize

PRICE = Money(1499, "EUR")
DECLINED = "4000000000000002"


def two_for_one(room: EngineRoom, card: str = "4111111111111111") -> tuple[str, str]:
    """Two orders of one single-use offer, both admitted before either holds it."""
    offer = room.seller.offer()
    first, second = (room.admitted(fresh_card(card), offer=offer) for _ in range(2))
    return first, second


def hold(room: EngineRoom, order: Order) -> Order | None:
    with room.run.engine.begin() as conn:
        return holds.hold(conn, order, single_use=True, price=PRICE, due_in=STEP_PATIENCE)


def test_of_two_orders_that_both_saw_the_offer_free_one_gets_it(room: EngineRoom) -> None:
    first, second = (room.order(number) for number in two_for_one(room))

    assert hold(room, first) is not None
    assert hold(room, second) is None


def test_the_second_waits_for_the_firsts_commit_and_then_does_not_move(room: EngineRoom) -> None:
    first, second = (room.order(number) for number in two_for_one(room))
    with ThreadPoolExecutor(1) as pool:
        with room.run.engine.begin() as conn:
            assert holds.hold(conn, first, single_use=True, price=PRICE, due_in=STEP_PATIENCE) is not None
            waiting = pool.submit(hold, room, second)
            until(lambda: room.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'transactionid'"))
        assert waiting.result(10) is None

    assert room.state(second.tracking_number) is OrderState.ADMITTED


def test_the_second_gets_it_when_the_first_rolls_back(room: EngineRoom) -> None:
    first, second = (room.order(number) for number in two_for_one(room))
    with ThreadPoolExecutor(1) as pool:
        with room.run.engine.connect() as conn:
            assert holds.hold(conn, first, single_use=True, price=PRICE, due_in=STEP_PATIENCE) is not None
            waiting = pool.submit(hold, room, second)
            until(lambda: room.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'transactionid'"))
            conn.rollback()
        assert waiting.result(10) is not None

    assert room.state(first.tracking_number) is OrderState.ADMITTED


def test_the_loser_fails_and_is_never_charged(room: EngineRoom) -> None:
    first, second = two_for_one(room)

    assert lock_offer(room.run, first)
    assert not lock_offer(room.run, second)

    loser = room.order(second)
    assert (loser.state, loser.failure) == (OrderState.FAILED, "OFFER_ALREADY_ORDERED")
    assert room.attempts(second) == []
    assert card_of(room.run.vault, loser.tenant_id, second) is None


def test_fifty_orders_of_one_offer_have_one_winner(room: EngineRoom) -> None:
    offer = room.seller.offer()
    numbers = [room.admitted(offer=offer) for _ in range(50)]
    start = threading.Barrier(8)  # As many as the pool has connections.

    def work(share: list[str]) -> list[bool]:
        start.wait(10)
        return [lock_offer(room.run, number) for number in share]

    with ThreadPoolExecutor(8) as pool:
        won = [one for wins in pool.map(work, [numbers[n::8] for n in range(8)]) for one in wins]

    assert won.count(True) == 1
    states = [room.state(number) for number in numbers]
    assert (states.count(OrderState.OFFER_LOCKED), states.count(OrderState.FAILED)) == (1, 49)


def test_a_hold_ends_with_its_order_only_when_that_failed(room: EngineRoom) -> None:
    offer = room.seller.offer()
    declined = room.admitted(fresh_card(DECLINED), offer=offer)
    assert lock_offer(room.run, declined)
    pay(room.run, declined)
    assert room.state(declined) is OrderState.FAILED

    done = room.admitted(offer=offer)
    assert lock_offer(room.run, done)
    pay(room.run, done)
    tokenize(room.run, done)
    assert room.state(done) is OrderState.DONE

    held = room.sql("SELECT tracking_number FROM offer_holds WHERE offer_identifier = :o", o=offer.offer_identifier)
    assert [number for (number,) in held] == [done]
    assert room.seller.post(room.seller.request(offer=offer)).status_code == 409


def test_an_offer_locked_twice_by_the_same_message_is_locked_once(room: EngineRoom) -> None:
    number = room.admitted()

    assert lock_offer(room.run, number)
    assert lock_offer(room.run, number), "the order is to be paid next, whoever asks"

    assert room.events(number) == ["admitted", "offer_held"]


def is_admitted(room: EngineRoom, number: str) -> Order:
    """The order before any worker was at it."""
    return room.order(number)


def is_locked(room: EngineRoom, number: str) -> Order:
    """The order once it holds its offer."""
    assert lock_offer(room.run, number)
    return room.order(number)


@pytest.mark.parametrize(
    ("seen", "failure"),
    [
        pytest.param(is_admitted, OrderEvent.OFFER_REFUSED, id="refused by a second worker that read it unlocked"),
        pytest.param(is_locked, OrderEvent.CARD_LOST, id="failed by a second worker that no longer finds its card"),
    ],
)
def test_a_worker_that_comes_second_takes_no_offer_from_the_order_of_the_first(
    room: EngineRoom, seen: Callable[[EngineRoom, str], Order], failure: OrderEvent
) -> None:
    """The second fails the order as it read it, when the first has moved it on: its compare-and-set changes nothing."""
    offer = room.seller.offer()
    number = room.admitted(offer=offer)
    stale = seen(room, number)
    lock_offer(room.run, number)
    pay(room.run, number)

    with room.run.engine.begin() as conn:
        assert moves.advance(conn, stale, failure, actor="second", failure="CANCELLED") is None

    assert room.state(number) is OrderState.CAPTURED
    held = room.sql("SELECT tracking_number FROM offer_holds WHERE offer_identifier = :o", o=offer.offer_identifier)
    assert [holder for (holder,) in held] == [number]
    assert room.seller.post(room.seller.request(offer=offer)).status_code == 409


def test_an_order_nobody_locked_for_an_hour_fails_rather_than_surprise(room: EngineRoom) -> None:
    number = room.admitted()
    room.sql("UPDATE orders SET deadline_at = now() WHERE tracking_number = :number", number=number)

    assert not lock_offer(room.run, number)

    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "OFFER_EXPIRED")
    assert card_of(room.run.vault, room.seller.shop.tenant_id, number) is None
