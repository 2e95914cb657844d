"""News of a refund counts though it is here before the answer to the call: no other news of it ever comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import Returned, ReturnOutcome
from shared.psp.port import Psp
from shared.store.refunds import RefundState
from tests.support.adyen_room import AdyenRoom
from tests.support.engine_room import EngineRoom, Killed
from tests.support.psp import Sandbox
from tests.support.refunding import at_psp, done, of_order, refund, reserved, stands
from workers.return_money import return_money
from workers.runtime import Runtime

WAYS = pytest.mark.parametrize(
    ("amount_minor", "code"), [(None, "CANCEL_OR_REFUND"), (500, "REFUND")], ids=["full", "part"]
)


@dataclass(frozen=True, slots=True)
class _Then:
    """A PSP, and what happens once it did what a call for a refund asks for, before its answer is heard."""

    psp: Psp
    happens: Callable[[], object]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.psp, name)

    def void(self, reference: str, *, psp_key: str) -> ReturnOutcome:
        answer = self.psp.void(reference, psp_key=psp_key)
        self.happens()
        return answer

    def refund(self, reference: str, money: Money, *, psp_key: str) -> ReturnOutcome:
        answer = self.psp.refund(reference, money, psp_key=psp_key)
        self.happens()
        return answer


def then(room: EngineRoom, happens: Callable[[], object]) -> Runtime:
    return replace(room.run, psp_for=lambda _: _Then(room.psp, happens))


def dies() -> None:
    raise Killed


def told(adyen: AdyenRoom, code: str) -> None:
    """The PSP comes to the return, and its notification arrives."""
    adyen.fake.work()
    assert len(adyen.notifications(code)) == 1
    adyen.deliver_all(code)


@WAYS
def test_news_of_a_refund_whose_caller_died_counts(adyen: AdyenRoom, amount_minor: int | None, code: str) -> None:
    number = done(adyen.room)
    refund(adyen.room, number, amount_minor)
    with pytest.raises(Killed):
        return_money(then(adyen.room, dies), number)
    told(adyen, code)
    assert stands(adyen.room, number) == [(amount_minor or 1499, RefundState.GIVEN)]
    assert reserved(adyen.room, number) == (amount_minor or 1499)


@WAYS
def test_news_of_a_refund_that_overtakes_the_answer_counts(
    adyen: AdyenRoom, amount_minor: int | None, code: str
) -> None:
    number = done(adyen.room)
    refund(adyen.room, number, amount_minor)
    return_money(then(adyen.room, lambda: told(adyen, code)), number)
    [one] = of_order(adyen.room, number)
    assert (one.state, one.taken_at) == (RefundState.GIVEN, None)


@WAYS
def test_a_failure_that_overtakes_the_answer_is_asked_for_again_under_another_key(
    adyen: AdyenRoom, amount_minor: int | None, code: str
) -> None:
    number = done(adyen.room)
    refund(adyen.room, number, amount_minor)
    adyen.fake.till.refuses_returns = 1
    return_money(then(adyen.room, lambda: told(adyen, code)), number)
    [one] = of_order(adyen.room, number)
    assert (one.state, one.refusals, one.taken_at) == (RefundState.ASKED, 1, None)
    assert not one.was_sent, "under its new key nobody was called yet"
    return_money(adyen.room.run, number)
    told(adyen, "REFUND")
    assert stands(adyen.room, number) == [(amount_minor or 1499, RefundState.GIVEN)]
    assert [one.returned for one in adyen.payments(number)] == [amount_minor or 1499]


@pytest.mark.parametrize("named", [None, Money(1499, "EUR")], ids=["of all", "of its amount"])
def test_all_that_went_back_beside_a_refund_under_way_is_on_record(
    room: EngineRoom, shared_psp: Sandbox, named: Money | None
) -> None:
    number = done(room)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    refund(room, number, 500)
    room.psp.void(attempt.psp_reference, psp_key=f"merchant-{number}")
    for _ in range(2):
        room.tell(attempt, Returned(attempt.psp_reference, named), actor="webhook")
        assert stands(room, number) == [(500, RefundState.GIVEN), (999, RefundState.GIVEN)]
    assert [one.is_by_hand for one in of_order(room, number)] == [False, True]
    assert "all of it went back" in refund(room, number).told
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("voided", 0)


def test_all_that_went_back_is_on_record_where_a_look_up_shows_it(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = done(room)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    refund(room, number, 500)
    room.psp.void(attempt.psp_reference, psp_key=f"merchant-{number}")
    return_money(room.run, number)
    assert stands(room, number) == [(500, RefundState.GIVEN), (999, RefundState.GIVEN)]
    assert reserved(room, number) == 1499
    return_money(room.run, number)
    assert len(stands(room, number)) == 2
