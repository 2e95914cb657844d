"""What an operator does with an order: only what is allowed, once, recorded, and whatever happens beside it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import Captured, Returned
from shared.domain.states import OrderState
from shared.operate import actions
from shared.operate.actions import NoSuchOrder, OtherAction
from shared.operate.asking import Asked, NotAsked
from shared.store.attempts import AttemptState
from shared.store.operator_actions import Acted, Outcome
from tests.support.adyen_room import AdyenRoom
from tests.support.engine_room import EngineRoom
from tests.support.examined import findings
from tests.support.operating import a_desk, at_a_shell, c2a, said
from tests.support.psp import Sandbox, until
from tests.support.wire import an_item, channel, fresh_card
from workers.lock_offer import lock_offer
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money
from workers.tokenize import tokenize

CHALLENGED = "4000002760003184"


def asked(action_id: uuid.UUID | None = None) -> Asked:
    return Asked("Ana", "the shopper called", action_id or uuid.uuid4())


def does(room: EngineRoom, act: Callable[..., Acted], number: str, by: Asked | None = None) -> Acted:
    return act(a_desk(room), room.seller.shop.tenant_id, number, by or asked())


def paid(room: EngineRoom) -> str:
    number = room.locked()
    assert pay(room.run, number)
    return number


def challenged(room: EngineRoom) -> str:
    number = room.locked(fresh_card(CHALLENGED))
    pay(room.run, number)
    assert room.state(number) is OrderState.CHALLENGE
    return number


def at_psp(psp: Sandbox, room: EngineRoom, number: str) -> list[tuple[str, int]]:
    rows = [one for one in psp.charges(room.account) if one["merchantReference"] == number]
    return [(row["state"], row["refundedMinor"]) for row in rows]


def recorded(room: EngineRoom, number: str) -> list[tuple[str, str, str, str]]:
    rows = room.sql(
        "SELECT action, outcome, who, why FROM operator_actions WHERE tracking_number = :n ORDER BY at", n=number
    )
    return [tuple(row) for row in rows]


# Retry.


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
    for act in (actions.retry, actions.cancel):
        acted = does(room, act, number)
        assert acted.outcome is Outcome.REFUSED
        assert "a worker is at it until" in acted.told
    assert [outcome for _, outcome, _, _ in recorded(room, number)] == ["refused", "refused"]


def test_an_order_that_ended_is_not_retried(room: EngineRoom) -> None:
    number = paid(room)
    tokenize(room.run, number)
    assert "nothing left to do" in does(room, actions.retry, number).told


# Unpark.


def test_an_unparked_order_is_taken_again(room: EngineRoom) -> None:
    number = room.locked()
    assert "not parked" in does(room, actions.unpark, number).told
    room.sql("UPDATE orders SET parked = true, crashes = 5, rings = 3 WHERE tracking_number = :n", n=number)
    assert does(room, actions.unpark, number).outcome is Outcome.DONE
    order = room.order(number)
    assert (order.parked, order.crashes, order.rings) == (False, 0, 0)
    assert pay(room.run, number)
    assert not room.order(number).parked


# Cancel.


@pytest.mark.parametrize("make", ["admitted", "locked"])
def test_what_was_never_charged_fails_at_once_and_lets_go_of_offer_and_card(room: EngineRoom, make: str) -> None:
    number: str = getattr(room, make)()
    acted = does(room, actions.cancel, number)
    order = room.order(number)
    assert (acted.outcome, order.state, order.failure) == (Outcome.DONE, OrderState.FAILED, "CANCELLED")
    assert not room.sql("SELECT 1 FROM offer_holds WHERE tracking_number = :n", n=number)
    assert room.run.vault.get(order.tenant_id, number) is None
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


# The command.


@pytest.fixture
def shell(room: EngineRoom, tmp_path: Path) -> Iterator[None]:
    with at_a_shell(room, tmp_path):
        yield


@pytest.mark.usefixtures("shell")
def test_the_commands_do_it_and_say_what_came_of_it(room: EngineRoom) -> None:
    number = paid(room)
    by = ("--why", "ticket 4711", "--who", "Ben")
    told = c2a("orders", "unpark", number, *by)
    assert (told.exit_code, "it is not parked" in told.output) == (1, True)
    action_id = uuid.uuid4()
    for _ in range(2):
        document = said("orders", "cancel", number, *by, "--id", action_id)
        assert (document["outcome"], document["who"], document["why"]) == ("begun", "Ben", "ticket 4711")
    assert said("orders", "retry", number, *by)["outcome"] == "done"
    story: dict[str, Any] = said("orders", "show", number)
    assert [one["outcome"] for one in story["actions"]] == ["refused", "begun", "done"]
    assert {one["action"]: one["allowed"] for one in story["allowed"]}["retry"]
    explained = c2a("orders", "explain", number).output
    assert "Ben asked to cancel: ticket 4711." in explained
    assert "not cancel: it is being cancelled already" in explained
    return_money(room.run, number)
    assert "failed" in c2a("orders", "explain", number).output
    assert c2a("orders", "retry", number, "--why", "x", "--id", action_id).exit_code == 1


@pytest.mark.usefixtures("shell")
def test_a_command_called_wrongly_changes_nothing(room: EngineRoom) -> None:
    number = room.locked()
    for wrong in ([], ["--why", " "], ["--why", "x", "--who", ""], ["--why", "x", "--id", "1"]):
        assert c2a("orders", "cancel", number, *wrong).exit_code == 2
    assert c2a("orders", "cancel", "trk_none", "--why", "x").exit_code == 1
    assert room.state(number) is OrderState.OFFER_LOCKED


@pytest.mark.usefixtures("shell")
def test_without_a_broker_or_a_vault_an_action_is_done_all_the_same(
    room: EngineRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = room.locked()
    monkeypatch.setenv("BROKER_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setenv("VAULT_URL", "redis://127.0.0.1:9/0")
    assert said("orders", "cancel", number, "--why", "x")["outcome"] == "done"
    assert room.state(number) is OrderState.FAILED


def test_every_action_has_an_example_and_its_exit_codes() -> None:
    for command in ("retry", "unpark", "cancel"):
        told = c2a("orders", command, "--help").output
        assert "Exit codes" in told
        assert f"c2a orders {command} trk_" in told


def test_an_amount_is_never_touched_by_an_action(room: EngineRoom) -> None:
    number = room.locked(None, an_item(quantity=2))
    before = room.order(number)
    does(room, actions.cancel, number)
    after = room.order(number)
    assert (after.amount_minor, after.currency) == (before.amount_minor, before.currency)
    assert Money(after.amount_minor or 0, after.currency or "").amount_minor == 2998


@pytest.mark.usefixtures("shell")
def test_a_stuck_order_is_found_understood_and_ended_by_the_commands_alone(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    """The section of the README, walked through: its PSP took the money and told nobody, and its look-ups are lost."""
    number = room.locked()
    shared_psp.set_faults(next=[{"kind": "http500After", "on": "charge"}])
    pay(room.run, number)
    room.sql(
        "UPDATE orders SET due_at = now() + interval '5 min', changed_at = now() - interval '20 min'"
        " WHERE tracking_number = :n",
        n=number,
    )
    assert number in [one["trackingNumber"] for one in said("orders", "list", "--stuck")["orders"]]
    why = c2a("orders", "explain", number).output
    assert "Nobody told us whether sandbox took the money" in why
    assert "not cancel: nobody knows yet" in why
    assert said("orders", "retry", number, "--why", "stuck")["outcome"] == "done"
    look_up(room.run, number)  # What the ring brings.
    assert "Yes: 1499 EUR (minor units) at sandbox, attempt 1 was captured." in c2a("orders", "explain", number).output
    assert said("orders", "cancel", number, "--why", "the shopper gave up")["outcome"] == "begun"
    return_money(room.run, number)
    told = c2a("orders", "explain", number).output
    assert "It failed: CANCELLED." in told
    assert "It went back: the PSP holds nothing" in told
    assert number not in [one["trackingNumber"] for one in said("orders", "list", "--stuck")["orders"]]
    assert said("orders", "replay", number)["differences"] == []
