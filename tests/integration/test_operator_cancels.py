"""An operator's cancel: an order ends only with proof that no money stays, whatever happens beside it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from shared.domain.outcomes import Captured, Returned
from shared.domain.states import OrderState
from shared.operate import actions
from shared.store.attempts import AttemptState
from shared.store.operator_actions import Acted, Outcome
from tests.support.acting import CHALLENGED, at_psp, challenged, does, paid
from tests.support.adyen_room import AdyenRoom
from tests.support.engine_room import EngineRoom
from tests.support.examined import findings
from tests.support.psp import Sandbox, until
from tests.support.two_psps import FIRST, SECOND, TwoPsps
from tests.support.vaulted import card_of
from tests.support.wire import channel, fresh_card
from workers.lock_offer import lock_offer
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money
from workers.tokenize import tokenize


@pytest.mark.parametrize("make", ["admitted", "locked"])
def test_what_was_never_charged_fails_at_once_and_lets_go_of_offer_and_card(room: EngineRoom, make: str) -> None:
    number: str = getattr(room, make)()
    acted = does(room, actions.cancel, number)
    order = room.order(number)
    assert (acted.outcome, order.state, order.failure) == (Outcome.DONE, OrderState.FAILED, "CANCELLED")
    assert not room.sql("SELECT 1 FROM offer_holds WHERE tracking_number = :n", n=number)
    assert card_of(room.run.vault, order.tenant_id, number) is None
    assert not lock_offer(room.run, number)
    assert not pay(room.run, number)
    assert room.attempts(number) == []


@pytest.mark.parametrize(("window_s", "ends"), [(86_400, ("voided", 0)), (0, ("refunded", 1499))])
def test_a_paid_order_is_called_off_and_fails_when_the_psp_proves_that_it_holds_nothing(
    room: EngineRoom, shared_psp: Sandbox, window_s: int, ends: tuple[str, int]
) -> None:
    number = paid(room)
    shared_psp.set_faults(voidWindowSeconds=window_s)
    assert does(room, actions.cancel, number).outcome is Outcome.BEGUN
    assert room.state(number) is OrderState.CONFIRMING
    tokenize(room.run, number)
    look_up(room.run, number)
    pay(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING, "whoever comes late finds nothing to do"
    return_money(room.run, number)
    order = room.order(number)
    assert (order.state, order.failure) == (OrderState.FAILED, "CANCELLED")
    assert at_psp(shared_psp, room, number) == [ends]
    assert room.events(number)[-3:] == ["payment_captured", "called_off", "challenge_expired"]
    assert not room.sql("SELECT 1 FROM offer_holds WHERE tracking_number = :n", n=number)


def test_a_challenge_is_called_off_whatever_its_shopper_still_does(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = challenged(room)
    redirect = room.order(number).redirect
    assert redirect is not None
    assert does(room, actions.cancel, number).outcome is Outcome.BEGUN
    shared_psp.click(redirect["redirectUrl"], "approve")  # Captured, a moment too late.
    return_money(room.run, number)
    assert room.order(number).failure == "CANCELLED"
    assert at_psp(shared_psp, room, number) == [("voided", 0)]


def test_a_payment_that_takes_days_is_called_off(room: EngineRoom, shared_psp: Sandbox) -> None:
    shared_psp.set_faults(settleSeconds=60)
    number = room.locked(channel("SEPA"))
    pay(room.run, number)
    link = room.order(number).redirect
    if link is not None:
        shared_psp.click(link["redirectUrl"], "approve")
    assert does(room, actions.cancel, number).outcome is Outcome.BEGUN
    return_money(room.run, number)
    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CANCELLED")
    assert at_psp(shared_psp, room, number) == [("voided", 0)]


def test_an_order_that_cost_nothing_is_called_off_without_a_psp(room: EngineRoom) -> None:
    number = room.locked()
    room.sql("UPDATE orders SET amount_minor = 0 WHERE tracking_number = :n", n=number)
    assert pay(room.run, number)
    assert does(room, actions.cancel, number).outcome is Outcome.DONE
    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CANCELLED")


def test_while_nobody_knows_whether_money_was_taken_nothing_is_cancelled(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = room.locked()
    shared_psp.set_faults(next=[{"kind": "http500After", "on": "charge"}])
    pay(room.run, number)
    assert "nobody knows yet whether sandbox took the money" in does(room, actions.cancel, number).told
    assert room.state(number) is OrderState.CONFIRMING
    look_up(room.run, number)
    assert does(room, actions.cancel, number).outcome is Outcome.BEGUN
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == [("voided", 0)]


def test_a_dead_workers_order_is_not_cancelled_either(room: EngineRoom) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=True)
    room.until_lease_ended(number)
    assert "nobody knows yet" in does(room, actions.cancel, number).told


def test_what_ended_is_not_cancelled(room: EngineRoom) -> None:
    number = paid(room)
    tokenize(room.run, number)
    assert "its money can be refunded" in does(room, actions.cancel, number).told
    other = room.locked()
    does(room, actions.cancel, other)
    assert "it has failed" in does(room, actions.cancel, other).told


def challenged_at_the_second(both: TwoPsps) -> str:
    """An order that its first PSP said no to, and forgot; its shopper is to act at the second."""
    both.sandboxes[FIRST].set_faults(memory="successes", next=[{"kind": "declineSoft"}])
    number = both.room.locked(fresh_card(CHALLENGED))
    pay(both.room.run, number)
    assert both.tried(number) == [(FIRST, "declined"), (SECOND, "challenged")]
    return number


def charged_late_at_the_first(both: TwoPsps, number: str) -> None:
    """A request that was long on its way reaches the first PSP after all."""
    attempt = both.room.attempts(number)[0]
    both.room.tell(attempt, both.charge(FIRST, attempt), actor="webhook")


@pytest.mark.parametrize("when", ["before the challenge is cancelled", "after it"])
def test_a_late_capture_at_another_psp_does_not_pay_what_was_called_off(both: TwoPsps, when: str) -> None:
    number = challenged_at_the_second(both)
    assert does(both.room, actions.cancel, number).outcome is Outcome.BEGUN
    if when == "after it":
        both.give_back(number)

    charged_late_at_the_first(both, number)
    tokenize(both.room.run, number)
    both.give_back(number)

    order = both.room.order(number)
    assert (order.state, order.failure) == (OrderState.FAILED, "CANCELLED")
    assert both.tried(number) == [(FIRST, "returned"), (SECOND, "returned")]
    assert both.live(number) == []


@pytest.mark.parametrize("returned_first", [False, True], ids=["while it is given back", "once it was given back"])
def test_a_challenge_beside_what_was_called_off_does_not_pay_it_either(both: TwoPsps, returned_first: bool) -> None:
    """The first PSP's late capture had paid the order; the operator calls that off, and the shopper still passes the
    challenge of the second."""
    number = challenged_at_the_second(both)
    redirect = both.room.order(number).redirect
    assert redirect is not None
    charged_late_at_the_first(both, number)
    assert both.room.state(number) is OrderState.CAPTURED
    assert does(both.room, actions.cancel, number).outcome is Outcome.BEGUN
    if returned_first:
        both.give_back(number)
        assert both.room.state(number) is OrderState.CONFIRMING, "the verdict of the challenge is out"

    both.sandboxes[SECOND].click(redirect["redirectUrl"], "approve")
    look_up(both.room.run, number)
    both.give_back(number)

    order = both.room.order(number)
    assert (order.state, order.failure) == (OrderState.FAILED, "CANCELLED")
    assert both.live(number) == []


def test_two_operators_at_once_cancel_once(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = paid(room)
    together = threading.Barrier(2)

    def cancels(_: int) -> Acted:
        together.wait(10)
        return does(room, actions.cancel, number)

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(acted.outcome for acted in pool.map(cancels, range(2)))
    assert outcomes == [Outcome.BEGUN, Outcome.REFUSED]
    assert room.events(number).count("called_off") == 1
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == [("voided", 0)]


def test_a_capture_told_again_beside_a_cancel_changes_nothing(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = paid(room)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    does(room, actions.cancel, number)
    room.tell(attempt, Captured(attempt.psp_reference, attempt.money), actor="webhook")
    assert room.attempt(number).outcome is AttemptState.RETURNING
    assert room.state(number) is OrderState.CONFIRMING
    return_money(room.run, number)
    room.tell(attempt, Returned(attempt.psp_reference), actor="webhook")
    assert room.state(number) is OrderState.FAILED
    assert at_psp(shared_psp, room, number) == [("voided", 0)]


def test_a_webhook_may_prove_it_before_anybody_asks(room: EngineRoom) -> None:
    number = paid(room)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    does(room, actions.cancel, number)
    room.tell(attempt, Returned(attempt.psp_reference), actor="webhook")
    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CANCELLED")


def test_a_psp_that_is_away_is_asked_until_it_proves_it(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = paid(room)
    does(room, actions.cancel, number)
    with room.unreachable():
        return_money(room.run, number)
        assert room.state(number) is OrderState.CONFIRMING
    room.forget_traffic()
    shared_psp.set_faults(next=[{"kind": "http500After", "on": "void"}])
    return_money(room.run, number)
    assert room.state(number) is OrderState.CONFIRMING, "nobody heard the answer"
    return_money(room.run, number)
    assert room.state(number) is OrderState.FAILED
    assert at_psp(shared_psp, room, number) == [("voided", 0)]


def test_a_worker_that_ends_the_order_beside_a_cancel_is_first_or_finds_it_gone(room: EngineRoom) -> None:
    """Both hold the order as it was read; the second finds it moved and does nothing."""
    number = paid(room)
    with room.run.engine.connect() as conn, conn.begin():
        conn.exec_driver_sql("SELECT 1 FROM orders WHERE tracking_number = %s FOR UPDATE", (number,))
        with ThreadPoolExecutor(2) as pool:
            cancelled = pool.submit(does, room, actions.cancel, number)
            ended = pool.submit(tokenize, room.run, number)
            until(lambda: len(room.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")) >= 2)
            conn.rollback()
            acted, _ = cancelled.result(10), ended.result(10)
    state = room.state(number)
    assert (acted.outcome, state) in (
        (Outcome.BEGUN, OrderState.CONFIRMING),
        (Outcome.REFUSED, OrderState.DONE),
    )


def test_at_a_psp_that_cannot_prove_it_the_order_ends_at_once_and_the_money_is_asked_back(adyen: AdyenRoom) -> None:
    number = adyen.paid()
    assert adyen.room.state(number) is OrderState.CAPTURED
    acted = does(adyen.room, actions.cancel, number)
    assert (acted.outcome, adyen.room.state(number)) == (Outcome.BEGUN, OrderState.FAILED)
    assert adyen.room.order(number).failure == "CANCELLED"
    return_money(adyen.room.run, number)
    adyen.fake.work()
    adyen.deliver_all("CANCEL_OR_REFUND")
    assert adyen.held(number) == []
    assert adyen.room.attempt(number).outcome is AttemptState.RETURNED


def test_a_charge_that_may_still_turn_up_keeps_its_order(adyen: AdyenRoom) -> None:
    number = adyen.room.locked()
    adyen.room.dies_while_charging(number, after_the_charge=False)
    adyen.room.sql(
        "UPDATE payment_attempts SET outcome = 'absent', reason = 'not_found' WHERE tracking_number = :n", n=number
    )
    adyen.room.sql("UPDATE orders SET state = 'offer_locked', lease_until = NULL WHERE tracking_number = :n", n=number)
    assert "may still come to know a charge" in does(adyen.room, actions.cancel, number).told
    adyen.room.asked_earlier(number, timedelta(days=8))
    assert does(adyen.room, actions.cancel, number).outcome is Outcome.DONE


def test_a_cancelled_order_breaks_no_promise(room: EngineRoom) -> None:
    made = [paid(room), challenged(room), room.locked(), room.admitted()]
    for number in made:
        does(room, actions.cancel, number)
        return_money(room.run, number)
    mine = {one.subject for one in findings(room)}
    assert not mine & {*made, *(one.psp_reference for number in made for one in room.attempts(number))}
