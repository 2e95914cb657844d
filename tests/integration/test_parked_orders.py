"""An order that takes five workers down is parked: nobody charges it any more, and its money is looked up.

Before its payment it is cancelled; after it, it is done without what the workers died over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.domain.states import OrderState
from shared.patience import CRASHES_TO_PARK
from shared.store import moves, overdue
from shared.store.attempts import AttemptState
from shared.store.engine import statements
from tests.support.engine_room import EngineRoom, Killed
from tests.support.psp import Sandbox
from tests.support.vaulted import card_of
from tests.support.wire import fresh_card
from workers.lock_offer import lock_offer
from workers.look_up import look_up
from workers.pay import pay
from workers.runtime import Runtime
from workers.tokenize import tokenize


def takes_five_workers_down(room: EngineRoom, *, after_the_charge: bool) -> str:
    """An order whose every payment ended with its worker; its last lease is over."""
    number = room.locked()
    for _ in range(CRASHES_TO_PARK):
        room.dies_while_charging(number, after_the_charge=after_the_charge)
        room.until_lease_ended(number)
    return number


def test_after_five_crashes_an_order_is_parked_and_an_alarm_raised_once(room: EngineRoom) -> None:
    number = takes_five_workers_down(room, after_the_charge=False)
    assert not room.order(number).parked
    with capture_logs() as logs:
        assert not pay(room.run, number)
        pay(room.run, number)
    assert room.order(number).parked
    assert alarms(logs) == [("error", number, 5)]


def test_a_parked_order_whose_money_was_taken_is_done_by_look_up_alone(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = takes_five_workers_down(room, after_the_charge=True)
    pay(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING
    look_up(room.run, number)
    tokenize(room.run, number)
    assert room.state(number) is OrderState.DONE
    charges = [one for one in shared_psp.charges(room.account) if one["merchantReference"] == _reference(room, number)]
    assert [one["state"] for one in charges] == ["captured"]


def test_a_parked_order_that_the_psp_never_heard_of_fails_and_gives_its_offer_back(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = takes_five_workers_down(room, after_the_charge=False)
    pay(room.run, number)
    look_up(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING, "a request may still be on its way"
    room.sql("UPDATE payment_attempts SET asked_at = now() - interval '2 min' WHERE tracking_number = :n", n=number)
    look_up(room.run, number)
    assert room.attempt(number).outcome is AttemptState.ABSENT
    pay(room.run, number)
    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CANCELLED")
    assert not room.sql("SELECT 1 FROM offer_holds WHERE tracking_number = :n", n=number)
    assert _reference(room, number) not in {one["merchantReference"] for one in shared_psp.charges(room.account)}


def rung_for(room: EngineRoom, number: str) -> None:
    """The rescuer rings for the order, which is overdue."""
    room.sql("UPDATE orders SET due_at = now() - interval '1 s' WHERE tracking_number = :n", n=number)
    with statements(room.run.engine) as conn:
        assert number in overdue.put_off(conn, room.state(number), limit=1_000)


def dies(*_: Any, **__: Any) -> None:
    """What takes the worker down."""
    raise Killed


def takes_five_more_down(room: EngineRoom, number: str, step: Callable[[Runtime, str], object]) -> None:
    """The order's message, and each ring for it, ends the worker that takes it."""
    for _ in range(CRASHES_TO_PARK):
        with pytest.raises(Killed):
            step(room.run, number)
        rung_for(room, number)


def test_an_order_that_takes_five_workers_down_before_it_holds_its_offer_is_cancelled(
    room: EngineRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = room.admitted()
    monkeypatch.setattr("workers.lock_offer.offers.offer_of", dies)
    takes_five_more_down(room, number, lock_offer)
    assert not room.order(number).parked
    with capture_logs() as logs:
        assert not lock_offer(room.run, number)
    order = room.order(number)
    assert (order.state, order.failure, order.parked) == (OrderState.FAILED, "CANCELLED", True)
    assert card_of(room.run.vault, order.tenant_id, number) is None
    assert alarms(logs) == [("error", number, 5)]


@pytest.mark.parametrize("poison", ["workers.tokenize.open_kept", "workers.tokenize.methods.store"])
def test_a_paid_order_that_takes_five_workers_down_is_done_without_a_stored_method(
    room: EngineRoom, monkeypatch: pytest.MonkeyPatch, poison: str
) -> None:
    number = room.locked(fresh_card(storeMethodSuccessPayment="always"))
    assert pay(room.run, number)
    monkeypatch.setattr(poison, dies)
    takes_five_more_down(room, number, tokenize)
    assert room.state(number) is OrderState.CAPTURED
    with capture_logs() as logs:
        tokenize(room.run, number)
    assert room.state(number) is OrderState.DONE
    assert room.events(number)[-1] == "storing_skipped"
    assert alarms(logs) == [("error", number, 5)]


def test_an_order_whose_messages_were_all_lost_has_taken_nobody_down(room: EngineRoom) -> None:
    number = room.admitted()
    for _ in range(3 * CRASHES_TO_PARK):
        rung_for(room, number)
    assert lock_offer(room.run, number)
    assert (room.state(number), room.order(number).parked) == (OrderState.OFFER_LOCKED, False)


def test_an_order_that_moved_on_since_it_was_read_is_suspected_by_nobody(room: EngineRoom) -> None:
    number = room.admitted()
    rung_for(room, number)
    stale = room.order(number)
    assert lock_offer(room.run, number)
    before = room.order(number).crashes
    with statements(room.run.engine) as conn:
        assert moves.begin_again(conn, stale) is None
    assert room.order(number).crashes == before


def alarms(logs: list[Any]) -> list[tuple[str, str, int]]:
    """What was said of orders that were parked."""
    parked = [line for line in logs if line["event"] == "order.parked"]
    return [(line["log_level"], line["tracking_number"], line["crashes"]) for line in parked]


def _reference(room: EngineRoom, number: str) -> str:
    return room.order(number).merchant_reference
