"""What a PSP that cannot be asked knows of a payment is entered by hand: believed like its own word, and no further."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from shared.domain.outcomes import Captured
from shared.domain.states import OrderState
from shared.operate.actions import refund
from shared.operate.asking import Asked
from shared.operate.proving import FITS, Verdict
from shared.store import refunds
from shared.store.attempts import UNSETTLED, AttemptState
from shared.store.operator_actions import Outcome
from shared.store.refunds import RefundState
from tests.support.adyen_room import AdyenRoom
from tests.support.engine_room import EngineRoom
from tests.support.operating import a_desk, at_a_shell, c2a, proves, said
from tests.support.psp import Sandbox
from tests.support.refunding import called_earlier
from workers.pay import pay
from workers.return_money import return_money
from workers.tokenize import tokenize

LONG_AGO = timedelta(minutes=5)


def refunds_of(room: EngineRoom, number: str) -> list[RefundState]:
    with room.run.engine.begin() as conn:
        return [one.state for one in refunds.of_order(conn, room.seller.shop.tenant_id, number)]


def test_a_capture_is_believed_and_told_again_by_its_webhook_counts_once(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()
    [payment] = adyen.payments(number)
    assert "give what the PSP calls it" in proves(adyen.room, number, Verdict.CAPTURED).told
    acted = proves(adyen.room, number, Verdict.CAPTURED, payment.psp_reference)
    assert (acted.outcome, adyen.room.state(number)) == (Outcome.DONE, OrderState.CAPTURED)
    adyen.deliver_all("AUTHORISATION")
    tokenize(adyen.room.run, number)
    assert adyen.room.state(number) is OrderState.DONE
    assert adyen.room.events(number).count("payment_captured") == 1


def test_none_is_believed_only_once_no_request_can_be_on_its_way(adyen: AdyenRoom) -> None:
    """Lease limit (30 s) and the PSP's longest processing (60 s) after it was asked: neither alone is enough."""
    number = adyen.unanswered("drop")
    adyen.room.asked_earlier(number, timedelta(seconds=60))
    assert "may be on its way until" in proves(adyen.room, number, Verdict.NONE).told
    assert adyen.room.state(number) is OrderState.CONFIRMING
    adyen.room.asked_earlier(number, timedelta(seconds=31))
    assert proves(adyen.room, number, Verdict.NONE).outcome is Outcome.DONE
    assert adyen.room.attempt(number).outcome is AttemptState.ABSENT
    assert adyen.room.state(number) is OrderState.OFFER_LOCKED, "it may be paid again"
    adyen.room.comes_up(number)
    assert pay(adyen.room.run, number)
    assert adyen.held(number) == [(1499, "EUR")]


def test_a_decline_is_believed(adyen: AdyenRoom) -> None:
    number = adyen.unanswered("drop")
    proves(adyen.room, number, Verdict.DECLINED)
    order = adyen.room.order(number)
    assert (order.state, order.failure) == (OrderState.FAILED, "CARD_DECLINED: generic_decline")


def test_a_capture_that_turns_up_after_a_wrong_word_goes_back(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()
    proves(adyen.room, number, Verdict.DECLINED)
    adyen.deliver_all("AUTHORISATION")
    assert adyen.room.state(number) is OrderState.FAILED
    assert adyen.room.attempt(number).outcome is AttemptState.RETURNING


def test_a_return_whose_notification_was_lost_is_proven(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()
    proves(adyen.room, number, Verdict.DECLINED)
    adyen.deliver_all("AUTHORISATION")
    return_money(adyen.room.run, number)
    adyen.fake.work()
    assert "say returned" in proves(adyen.room, number, Verdict.CAPTURED).told
    assert proves(adyen.room, number, Verdict.RETURNED).outcome is Outcome.DONE
    assert adyen.room.attempt(number).outcome is AttemptState.RETURNED


def test_another_name_for_a_charge_we_know_is_not_believed(adyen: AdyenRoom) -> None:
    number = adyen.challenged()
    adyen.room.sql("UPDATE payment_attempts SET psp_reference = 'REF1' WHERE tracking_number = :n", n=number)
    assert "another name" in proves(adyen.room, number, Verdict.CAPTURED, "REF2").told
    assert adyen.room.state(number) is OrderState.CHALLENGE
    assert "say captured, declined" in proves(adyen.room, number, Verdict.NONE).told
    adyen.room.sql("UPDATE payment_attempts SET psp_reference = NULL WHERE tracking_number = :n", n=number)


@pytest.mark.parametrize(
    ("verdict", "state"), [(Verdict.RETURNED, RefundState.GIVEN), (Verdict.NONE, RefundState.REFUSED)]
)
def test_a_refund_is_proven(adyen: AdyenRoom, verdict: Verdict, state: RefundState) -> None:
    number = adyen.paid()
    tokenize(adyen.room.run, number)
    by = Asked("Ana", "withdrawn")
    refund(a_desk(adyen.room), adyen.room.seller.shop.tenant_id, number, by, 500)
    return_money(adyen.room.run, number)
    called_earlier(adyen.room, number, LONG_AGO)
    assert "say returned or none" in proves(adyen.room, number, Verdict.CAPTURED, "x").told
    assert proves(adyen.room, number, verdict).outcome is Outcome.DONE
    assert refunds_of(adyen.room, number) == [state]
    assert "nothing of it is open" in proves(adyen.room, number, verdict).told


def test_a_refund_that_its_psp_tells_of_after_a_wrong_word_counts(adyen: AdyenRoom) -> None:
    number = adyen.paid()
    tokenize(adyen.room.run, number)
    refund(a_desk(adyen.room), adyen.room.seller.shop.tenant_id, number, Asked("Ana", "withdrawn"), 500)
    return_money(adyen.room.run, number)
    called_earlier(adyen.room, number, LONG_AGO)
    assert proves(adyen.room, number, Verdict.NONE).outcome is Outcome.DONE
    adyen.fake.work()
    adyen.deliver_all("REFUND")
    assert refunds_of(adyen.room, number) == [RefundState.GIVEN]
    [(minor,)] = adyen.room.sql("SELECT refunded_minor FROM payment_attempts WHERE tracking_number = :n", n=number)
    assert minor == 500


def test_a_part_whose_key_is_forgotten_is_proven_at_any_psp(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = room.locked()
    assert pay(room.run, number)
    tokenize(room.run, number)
    refund(a_desk(room), room.seller.shop.tenant_id, number, Asked("Ana", "withdrawn"), 500)
    assert "retry asks" in proves(room, number, Verdict.NONE).told
    room.sql("UPDATE refunds SET key_since = now() - interval '25 h' WHERE tracking_number = :n", n=number)
    assert proves(room, number, Verdict.NONE).outcome is Outcome.DONE
    assert refunds_of(room, number) == [RefundState.REFUSED]


def test_a_psp_that_can_be_asked_is_asked(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = room.locked()
    shared_psp.set_faults(next=[{"kind": "http500After", "on": "charge"}])
    pay(room.run, number)
    assert "nothing of it is open at a PSP that cannot be asked" in proves(room, number, Verdict.CAPTURED, "sb_x").told
    assert room.state(number) is OrderState.CONFIRMING


def test_an_order_in_a_workers_hands_is_left_to_it(adyen: AdyenRoom) -> None:
    number = adyen.room.locked()
    adyen.room.dies_while_charging(number, after_the_charge=False)
    adyen.room.lease_ends_in(number, timedelta(minutes=1))
    assert "a worker is at it" in proves(adyen.room, number, Verdict.DECLINED).told


def test_news_beside_the_proof_and_the_proof_end_the_same(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()
    [payment] = adyen.payments(number)
    attempt = adyen.room.attempt(number)
    adyen.room.tell(attempt, Captured(payment.psp_reference, attempt.money), actor="webhook")
    assert "nothing of it is open" in proves(adyen.room, number, Verdict.CAPTURED, payment.psp_reference).told
    assert adyen.room.events(number).count("payment_captured") == 1


def test_every_open_attempt_has_verdicts_that_fit() -> None:
    assert set(FITS) == UNSETTLED | {AttemptState.RETURNING}


@pytest.fixture
def shell(adyen: AdyenRoom, tmp_path: Path) -> Iterator[None]:
    with at_a_shell(adyen.room, tmp_path):
        yield


@pytest.mark.usefixtures("shell")
def test_the_command_proves(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()
    [payment] = adyen.payments(number)
    assert "prove" in {one["action"] for one in said("orders", "explain", number)["allowed"] if one["allowed"]}
    by = ("--why", "seen in the console")
    assert c2a("orders", "prove", number, "captured", *by).exit_code == 1
    told = said("orders", "prove", number, "captured", "--reference", payment.psp_reference, *by)
    assert (told["outcome"], told["what"]["verdict"]) == ("done", "captured")
    assert c2a("orders", "prove", number, "lost", *by).exit_code == 2
    helps = c2a("orders", "prove", "--help").output
    assert "Exit codes" in helps
    assert "c2a orders prove trk_" in helps
