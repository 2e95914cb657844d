"""An order that takes five workers down is charged by nobody any more: it is parked, and its money is looked up."""

from __future__ import annotations

from structlog.testing import capture_logs

from shared.domain.states import OrderState
from shared.patience import CRASHES_TO_PARK
from shared.store.attempts import AttemptState
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from workers.look_up import look_up
from workers.pay import pay
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
    alarms = [line for line in logs if line["event"] == "order.parked"]
    assert [(line["log_level"], line["tracking_number"], line["crashes"]) for line in alarms] == [("error", number, 5)]


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


def _reference(room: EngineRoom, number: str) -> str:
    return room.order(number).merchant_reference
