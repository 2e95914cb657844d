"""A payment nobody told us about, at a PSP that cannot be asked: the same request again, or its notification."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from redis import Redis

from shared.domain.states import OrderState
from shared.messages import FRONT_OF, Step, queues_in_turn
from shared.patience import CRASHES_TO_PARK, JITTER, LOOK_AGAIN
from shared.psp.adyen import KEY_LIFETIME
from shared.psp.port import Channel, ChargeRequest
from shared.store.attempts import AttemptState
from tests.support.adyen_room import AdyenRoom
from tests.support.engine_room import captured
from tests.support.psp import until
from tests.support.vaulted import card_of
from tests.support.wire import channel, fresh_card
from workers.look_up import look_up
from workers.pay import pay
from workers.tokenize import tokenize


def is_rung(adyen: AdyenRoom, queue: str, number: str) -> bool:
    """Whether a message for the order waits in *queue*."""
    with Redis.from_url(adyen.room.run.settings.broker_url.get_secret_value()) as broker:
        return any(number.encode() in message for message in broker.lrange(queue, 0, -1))


def its_card_is_gone(adyen: AdyenRoom, number: str) -> None:
    adyen.room.run.vault.forget(adyen.room.seller.shop.tenant_id, number)


@pytest.mark.parametrize("trouble", ["drop after", "drop", "500 after", "malformed", "otherAmount", "409"])
def test_a_look_up_has_the_payment_sent_again_under_its_key_and_it_is_charged_once(
    adyen: AdyenRoom, trouble: str
) -> None:
    number = adyen.unanswered(trouble)
    look_up(adyen.room.run, number)
    assert until(lambda: is_rung(adyen, FRONT_OF[Step.PAY], number)), "ahead of a backlog, as what was dropped"
    assert pay(adyen.room.run, number)

    assert adyen.room.state(number) is OrderState.CAPTURED
    assert adyen.held(number) == [(1499, "EUR")]
    assert adyen.room.events(number)[-3:] == ["payment_unanswered", "payment_resumed", "payment_captured"]
    assert adyen.room.order(number).crashes == 0


def test_its_notification_alone_ends_the_doubt_too(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()

    answer = adyen.deliver(adyen.notifications("AUTHORISATION")[-1])

    assert answer.text == "[accepted]"
    assert adyen.room.state(number) is OrderState.CAPTURED
    assert until(lambda: any(is_rung(adyen, queue, number) for queue in queues_in_turn(Step.TOKENIZE)))
    assert adyen.held(number) == [(1499, "EUR")]


def test_the_same_capture_told_by_answer_and_by_notification_counts_once(adyen: AdyenRoom) -> None:
    number = adyen.paid()
    for _ in range(2):
        adyen.deliver(adyen.notifications("AUTHORISATION")[-1])
    assert [one.outcome for one in adyen.room.attempts(number)] == [AttemptState.CAPTURED]
    assert adyen.room.state(number) is OrderState.CAPTURED


def test_a_decline_learned_by_the_repeat_fails_the_order(adyen: AdyenRoom) -> None:
    number = adyen.unanswered("drop after", fresh_card("4000000000009995"))
    look_up(adyen.room.run, number)
    pay(adyen.room.run, number)
    order = adyen.room.order(number)
    assert (order.state, order.failure) == (OrderState.FAILED, "CARD_DECLINED: insufficient_funds")


def test_a_repeat_that_is_not_answered_waits_ever_longer(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()
    adyen.fake.troubles.add("drop", times=20)
    for pause in (*LOOK_AGAIN, LOOK_AGAIN[-1]):
        look_up(adyen.room.run, number)
        asked = adyen.asked("/payments")
        _, most = adyen.room.pause_after(pay, number)
        assert adyen.asked("/payments") == asked + 1
        assert adyen.room.state(number) is OrderState.CONFIRMING
        assert most >= pause.total_seconds() * JITTER[0]
    assert adyen.held(number) == [(1499, "EUR")]
    assert adyen.room.attempt(number).outcome is AttemptState.OPEN


def test_a_repeat_that_never_left_proves_nothing_about_the_first(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()
    adyen.fake.troubles.add("401")
    look_up(adyen.room.run, number)
    pay(adyen.room.run, number)
    assert adyen.room.state(number) is OrderState.CONFIRMING
    assert adyen.room.attempt(number).outcome is AttemptState.OPEN


@pytest.mark.parametrize("why", ["card gone", "key over", "parked"])
def test_what_cannot_be_sent_again_waits_for_its_notification(adyen: AdyenRoom, why: str) -> None:
    number = adyen.unanswered()
    match why:
        case "card gone":
            its_card_is_gone(adyen, number)
        case "key over":  # Fault C3: sent now, it would be another charge.
            adyen.room.sql(
                "UPDATE payment_attempts SET started_at = now() - cast(:life AS interval) WHERE tracking_number = :n",
                life=KEY_LIFETIME,
                n=number,
            )
            adyen.fake.forget_keys()
        case _:
            adyen.room.sql(
                "UPDATE orders SET crashes = :most, parked = true WHERE tracking_number = :n",
                most=CRASHES_TO_PARK,
                n=number,
            )
    version, asked = adyen.room.order(number).version, adyen.asked("/payments")

    began = time.monotonic()
    look_up(adyen.room.run, number)
    assert not pay(adyen.room.run, number)

    assert (adyen.room.order(number).version, adyen.asked("/payments")) == (version, asked)
    assert adyen.room.due_in(number) + time.monotonic() - began >= LOOK_AGAIN[0].total_seconds() * JITTER[0]
    adyen.deliver_all("AUTHORISATION")
    assert adyen.room.state(number) is OrderState.CAPTURED
    assert adyen.held(number) == [(1499, "EUR")]


def test_a_wallet_without_a_card_is_sent_again_too(adyen: AdyenRoom) -> None:
    number = adyen.unanswered("drop after", channel("PayPal"))
    look_up(adyen.room.run, number)
    pay(adyen.room.run, number)
    assert adyen.room.state(number) is OrderState.CHALLENGE
    assert len(adyen.payments(number)) == 1


def test_a_worker_that_dies_while_sending_it_again_is_succeeded(adyen: AdyenRoom) -> None:
    number = adyen.unanswered("drop")
    look_up(adyen.room.run, number)
    adyen.room.dies_while_charging(number, after_the_charge=True)
    assert adyen.room.state(number) is OrderState.PAYING
    adyen.room.until_lease_ended(number)
    assert pay(adyen.room.run, number)
    assert adyen.held(number) == [(1499, "EUR")]
    assert adyen.room.order(number).crashes == 1


def test_of_two_workers_rung_for_one_repeat_only_one_sends_it(adyen: AdyenRoom) -> None:
    number = adyen.unanswered()
    look_up(adyen.room.run, number)
    adyen.room.dies_while_charging(number, after_the_charge=False)  # The first holds the lease.
    adyen.room.lease_ends_in(number, timedelta(minutes=1))
    asked = adyen.asked("/payments")
    assert not pay(adyen.room.run, number)
    assert adyen.asked("/payments") == asked


def test_an_order_that_asks_for_its_card_to_be_kept_is_done_with_a_stored_method(adyen: AdyenRoom) -> None:
    number = adyen.unanswered("drop after", fresh_card(storeMethodSuccessPayment="always"))
    look_up(adyen.room.run, number)
    assert pay(adyen.room.run, number)
    tokenize(adyen.room.run, number)
    assert adyen.room.state(number) is OrderState.DONE
    assert adyen.room.seller.count("stored_methods") >= 1


def test_a_kept_card_told_after_its_capture_is_still_stored(adyen: AdyenRoom) -> None:
    """The notification names no token that is signed; the answer, which comes second here, does."""
    number = adyen.unanswered("drop after", fresh_card(storeMethodSuccessPayment="always"))
    attempt = adyen.room.attempt(number)
    look_up(adyen.room.run, number)
    [payment] = adyen.payments(number)
    answer = adyen.room.psp.charge(_request_of(adyen, number))
    adyen.deliver_all("AUTHORISATION")
    assert adyen.room.attempt(number).kept_token is None
    adyen.room.tell(attempt, answer, actor="pay")
    assert adyen.room.attempt(number).kept_token is not None
    assert adyen.room.attempt(number).psp_reference == payment.psp_reference


def _request_of(adyen: AdyenRoom, number: str) -> ChargeRequest:
    order, attempt = adyen.room.order(number), adyen.room.attempt(number)
    card = card_of(adyen.room.run.vault, order.tenant_id, number)
    return ChargeRequest(
        attempt.psp_key, attempt.merchant_reference, attempt.money, Channel.CREDIT_CARD, order.customer_urn,
        "https://shop.example/return", card, keep_method=True,
    )  # fmt: skip


def test_a_payment_that_was_pending_is_not_sent_again_and_is_looked_at_by_the_hour(adyen: AdyenRoom) -> None:
    number = adyen.paid(fresh_card())
    attempt = adyen.room.attempt(number)
    adyen.room.sql(
        "UPDATE payment_attempts SET outcome = 'pending', settled_at = NULL WHERE tracking_number = :n", n=number
    )
    adyen.room.sql(
        "UPDATE orders SET state = 'confirming', deadline_at = now() + interval '14 days' WHERE tracking_number = :n",
        n=number,
    )
    asked = len(adyen.fake.calls)
    look_up(adyen.room.run, number)
    pay(adyen.room.run, number)
    assert len(adyen.fake.calls) == asked
    assert adyen.room.due_in(number) > timedelta(minutes=50).total_seconds()
    adyen.room.tell(attempt, captured(attempt, attempt.psp_reference or ""), actor="webhook")
    assert adyen.room.state(number) is OrderState.CAPTURED
