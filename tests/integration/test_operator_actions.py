"""What an operator does with an order: only what is allowed, once, and recorded; retry and unpark."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from shared.domain.money import Money
from shared.domain.states import OrderState
from shared.operate import actions
from shared.operate.actions import NoSuchOrder, OtherAction
from shared.operate.asking import Asked, NotAsked
from shared.store.operator_actions import Outcome
from tests.support.acting import asked, does, paid, recorded
from tests.support.engine_room import EngineRoom
from tests.support.operating import a_desk
from tests.support.psp import Sandbox, until
from tests.support.wire import an_item
from workers.pay import pay
from workers.return_money import return_money
from workers.tokenize import tokenize


def test_a_retry_makes_an_order_due_and_rings_and_no_worker_is_suspected(room: EngineRoom) -> None:
    number = room.locked()
    room.sql("UPDATE orders SET due_at = now() + interval '1 h', rings = 0 WHERE tracking_number = :n", n=number)
    before = room.run.depths.of("payment-resumed")
    acted = does(room, actions.retry, number)
    assert acted.outcome is Outcome.DONE
    assert room.due_in(number) <= 0
    assert (room.order(number).rings, room.order(number).crashes) == (0, 0)
    until(lambda: room.run.depths.of("payment-resumed") > before)
    assert recorded(room, number) == [("retry", "done", "Ana", "the shopper called")]
    assert pay(room.run, number)


def test_a_retry_asks_for_money_on_its_way_back_at_once(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = paid(room)
    does(room, actions.cancel, number)
    room.sql("UPDATE payment_attempts SET due_at = now() + interval '1 h' WHERE tracking_number = :n", n=number)
    assert does(room, actions.retry, number).outcome is Outcome.DONE
    [(due,)] = room.sql("SELECT due_at <= now() FROM payment_attempts WHERE tracking_number = :n", n=number)
    assert due


def test_what_a_worker_has_in_hand_is_left_to_it(room: EngineRoom) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    room.lease_ends_in(number, timedelta(minutes=1))
    for act in (actions.retry, actions.cancel):
        acted = does(room, act, number)
        assert acted.outcome is Outcome.REFUSED
        assert "a worker is at it until" in acted.told
    assert [outcome for _, outcome, _, _ in recorded(room, number)] == ["refused", "refused"]


def test_an_order_that_ended_is_not_retried(room: EngineRoom) -> None:
    number = paid(room)
    tokenize(room.run, number)
    assert "nothing left to do" in does(room, actions.retry, number).told


def test_an_unparked_order_is_taken_again(room: EngineRoom) -> None:
    number = room.locked()
    assert "not parked" in does(room, actions.unpark, number).told
    room.sql("UPDATE orders SET parked = true, crashes = 5, rings = 3 WHERE tracking_number = :n", n=number)
    assert does(room, actions.unpark, number).outcome is Outcome.DONE
    order = room.order(number)
    assert (order.parked, order.crashes, order.rings) == (False, 0, 0)
    assert pay(room.run, number)
    assert not room.order(number).parked


def test_the_same_action_asked_for_again_is_done_once_and_answered_the_same(room: EngineRoom) -> None:
    number = paid(room)
    by = asked()
    first = does(room, actions.cancel, number, by)
    return_money(room.run, number)
    assert does(room, actions.cancel, number, by) == first
    assert len(recorded(room, number)) == 1
    with pytest.raises(OtherAction):
        does(room, actions.retry, number, by)
    with pytest.raises(OtherAction):
        does(room, actions.cancel, room.locked(), by)


def test_an_order_of_another_tenant_is_as_unknown_as_none(room: EngineRoom) -> None:
    number = room.locked()
    for tenant_id, asked_for in ((uuid.uuid4(), number), (room.seller.shop.tenant_id, "trk_none")):
        with pytest.raises(NoSuchOrder):
            actions.cancel(a_desk(room), tenant_id, asked_for, asked())
    assert room.state(number) is OrderState.OFFER_LOCKED


@pytest.mark.parametrize("wrong", [("", "why"), ("who", "  "), ("who", "a\nb"), ("who", "x" * 1_001)])
def test_without_who_and_why_nothing_is_asked(wrong: tuple[str, str]) -> None:
    with pytest.raises(NotAsked):
        Asked(*wrong)


def test_an_amount_is_never_touched_by_an_action(room: EngineRoom) -> None:
    number = room.locked(None, an_item(quantity=2))
    before = room.order(number)
    does(room, actions.cancel, number)
    after = room.order(number)
    assert (after.amount_minor, after.currency) == (before.amount_minor, before.currency)
    assert Money(after.amount_minor or 0, after.currency or "").amount_minor == 2998
