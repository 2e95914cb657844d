"""A refund that its PSP took in hand is given when its notification proves it, and not before."""

from __future__ import annotations

import pytest

from shared.domain.states import OrderState
from shared.store.refunds import RefundState
from tests.support.adyen_room import AdyenRoom
from tests.support.refunding import of_order, refund
from workers.return_money import return_money
from workers.tokenize import tokenize


def done_there(adyen: AdyenRoom) -> str:
    number = adyen.paid()
    tokenize(adyen.room.run, number)
    assert adyen.room.state(number) is OrderState.DONE
    adyen.deliver_all("AUTHORISATION")
    return number


@pytest.mark.parametrize(
    ("amount_minor", "verb", "code", "left"),
    [(None, "reversals", "CANCEL_OR_REFUND", []), (500, "refunds", "REFUND", [(999, "EUR")])],
    ids=["full", "part"],
)
def test_taken_in_hand_is_not_given_and_its_notification_proves_it(
    adyen: AdyenRoom, amount_minor: int | None, verb: str, code: str, left: list[tuple[int, str]]
) -> None:
    number = done_there(adyen)
    refund(adyen.room, number, amount_minor)
    return_money(adyen.room.run, number)
    [one] = of_order(adyen.room, number)
    assert one.state is RefundState.ASKED
    assert one.taken_at is not None
    return_money(adyen.room.run, number)
    adyen.fake.work()
    adyen.deliver_all(code)
    assert [one.state for one in of_order(adyen.room, number)] == [RefundState.GIVEN]
    assert adyen.held(number) == left
    first, again = adyen.keys(number, verb)
    assert first == again
    assert adyen.room.state(number) is OrderState.DONE


def test_a_refund_that_failed_there_is_asked_for_again_under_another_key(adyen: AdyenRoom) -> None:
    number = done_there(adyen)
    refund(adyen.room, number, 500)
    adyen.fake.till.refuses_returns = 1
    return_money(adyen.room.run, number)
    adyen.fake.work()
    adyen.deliver_all("REFUND")
    [one] = of_order(adyen.room, number)
    assert (one.state, one.refusals, one.taken_at) == (RefundState.ASKED, 1, None)
    assert one.due_at is not None
    return_money(adyen.room.run, number)
    adyen.fake.work()
    adyen.deliver_all("REFUND")
    assert [one.state for one in of_order(adyen.room, number)] == [RefundState.GIVEN]
    assert adyen.held(number) == [(999, "EUR")]
    keys = {call[3]["Idempotency-Key"] for call in adyen.fake.calls if call[1].endswith("refunds")}
    assert len([key for key in keys if one.action_id.hex in key]) == 2


@pytest.mark.parametrize("age", ["6 days 23:59:45", "8 days"], ids=["it may be within the call", "it may be by now"])
def test_a_part_there_is_not_asked_for_by_a_key_that_may_be_forgotten(adyen: AdyenRoom, age: str) -> None:
    number = done_there(adyen)
    refund(adyen.room, number, 500)
    aged = "UPDATE refunds SET key_since = now() - cast(:age AS interval) WHERE tracking_number = :n"
    adyen.room.sql(aged, n=number, age=age)
    before = len(adyen.fake.calls)
    return_money(adyen.room.run, number)
    assert len(adyen.fake.calls) == before
