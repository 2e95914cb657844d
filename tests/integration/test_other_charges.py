"""News speaks of one charge: where a PSP made several under one key, each is judged by the row that holds it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from secrets import token_hex

import pytest

from shared.domain.outcomes import (
    Captured,
    Challenge,
    Challenged,
    Declined,
    DeclineReason,
    LookUpOutcome,
    Pending,
    Returned,
)
from shared.domain.states import OrderState
from shared.store.attempts import Attempt, AttemptState
from tests.support.asked_beside import request_of
from tests.support.engine_room import EngineRoom, captured
from tests.support.psp import Sandbox
from tests.support.vaulted import card_of
from tests.support.wire import fresh_card
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money

THREE_DS = "4000002760003184"
OTHER = "sb_of_an_earlier_charge"
NEWS_OF_OTHER = [
    Declined(DeclineReason.GENERIC, OTHER),
    Returned(OTHER),
    Pending(OTHER, timedelta(days=7)),
    Challenged(OTHER, Challenge("http://127.0.0.1/other")),
]


def two_to_return(room: EngineRoom) -> tuple[str, Attempt, Attempt]:
    """A failed order with two charges under one key, both on their way back."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    attempt = room.attempt(number)
    room.tell(attempt, Declined(DeclineReason.GENERIC))
    for _ in range(2):
        room.tell(attempt, captured(attempt, f"sb_{token_hex(8)}"), actor="webhook")
    first, second = room.attempts(number)
    assert (first.outcome, second.outcome) == (AttemptState.RETURNING, AttemptState.RETURNING)
    return number, first, second


def test_a_no_to_an_earlier_charge_does_not_end_the_challenge_of_the_one_after_it(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    """A PSP that forgets its no: the repeat is a charge of its own, and then the webhook of the first comes."""
    shared_psp.set_faults(memory="successes", next=[{"kind": "decline"}])
    number = room.locked(fresh_card(THREE_DS))
    room.dies_while_charging(number, after_the_charge=True)
    [declined] = [row for row in shared_psp.charges(room.account) if row["merchantReference"] == number]
    room.until_lease_ended(number)
    pay(room.run, number)
    assert room.state(number) is OrderState.CHALLENGE

    room.tell(room.attempt(number), Declined(DeclineReason.GENERIC, declined["pspReference"]), actor="webhook")

    assert room.state(number) is OrderState.CHALLENGE
    redirect = room.order(number).redirect
    assert redirect is not None
    shared_psp.click(redirect["redirectUrl"], "approve")
    look_up(room.run, number)
    assert room.state(number) is OrderState.CAPTURED


@pytest.mark.parametrize("news", NEWS_OF_OTHER, ids=lambda news: type(news).__name__)
def test_what_is_told_of_another_charge_changes_nothing(room: EngineRoom, news: LookUpOutcome) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    room.tell(room.attempt(number), Challenged(f"sb_{token_hex(8)}", Challenge("http://127.0.0.1/own")))
    order, attempt = room.order(number), room.attempt(number)

    room.tell(attempt, news, actor="webhook")

    assert room.attempt(number) == attempt
    assert replace(room.order(number), seen_at=order.seen_at) == order


def test_a_second_charge_that_went_back_is_noted_at_its_own_row(room: EngineRoom) -> None:
    """Its webhook finds the row of the key; the charge of that row is still to go back."""
    number, first, second = two_to_return(room)
    assert second.psp_reference is not None

    room.tell(first, Returned(second.psp_reference), actor="webhook")

    assert [one.outcome for one in room.attempts(number)] == [AttemptState.RETURNING, AttemptState.RETURNED]


def test_a_charge_that_went_back_before_we_heard_of_it_leaves_the_other_to_be_returned(room: EngineRoom) -> None:
    number, first, _ = two_to_return(room)

    room.tell(first, Returned(f"sb_{token_hex(8)}"), actor="webhook")

    assert [one.outcome for one in room.attempts(number)] == [AttemptState.RETURNING, AttemptState.RETURNING]


def test_a_second_charge_of_another_amount_goes_back_whole(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = room.locked()
    card = card_of(room.run.vault, room.seller.shop.tenant_id, number)
    assert pay(room.run, number)
    attempt = room.attempt(number)
    shared_psp.set_faults(keyLifetimeSeconds=0, voidWindowSeconds=0)
    larger = room.psp.charge(request_of(replace(attempt, amount_minor=2000), card))
    assert isinstance(larger, Captured)

    room.tell(attempt, larger, actor="webhook")
    return_money(room.run, number)

    at_psp = [row for row in shared_psp.charges(room.account) if row["merchantReference"] == number]
    assert [(row["state"], row["refundedMinor"]) for row in at_psp] == [("captured", 0), ("refunded", 2000)]
    assert [one.outcome for one in room.attempts(number)] == [AttemptState.CAPTURED, AttemptState.RETURNED]
