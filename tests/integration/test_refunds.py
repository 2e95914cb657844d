"""A done order's money goes back when an operator says so, whole or in parts, and at most what was captured."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from shared.domain.money import Money
from shared.domain.outcomes import Captured, ReturnOutcome
from shared.domain.states import OrderState
from shared.psp.port import Psp
from shared.store import refunds
from shared.store.attempts import AttemptState
from shared.store.operator_actions import Outcome
from shared.store.refunds import RefundState
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from tests.support.refunding import at_psp, done, refund, reserved, stands
from workers.pay import pay
from workers.return_money import return_money
from workers.tokenize import tokenize


@pytest.mark.parametrize(("window_s", "ends"), [(86_400, ("voided", 0)), (0, ("refunded", 1499))])
def test_a_full_refund_is_a_void_while_that_is_possible_and_the_order_stays_done(
    room: EngineRoom, shared_psp: Sandbox, window_s: int, ends: tuple[str, int]
) -> None:
    number = done(room)
    moves = room.events(number)
    shared_psp.set_faults(voidWindowSeconds=window_s)
    assert refund(room, number).outcome is Outcome.BEGUN
    assert at_psp(shared_psp, room, number) == ("captured", 0), "written ahead: nobody was called yet"
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ends
    assert stands(room, number) == [(1499, RefundState.GIVEN)]
    assert (room.state(number), room.attempt(number).outcome) == (OrderState.DONE, AttemptState.CAPTURED)
    assert room.events(number) == moves
    assert "all of it went back" in refund(room, number).told


def test_parts_go_back_one_after_the_other_and_never_more_than_was_captured(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = done(room)
    refund(room, number, 500)
    assert "one at a time" in refund(room, number, 100).told
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("captured", 500)
    assert "999 EUR (minor units) are left" in refund(room, number, 1000).told
    refund(room, number)
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("refunded", 1499)
    assert stands(room, number) == [(500, RefundState.GIVEN), (999, RefundState.GIVEN)]
    assert reserved(room, number) == 1499


def test_the_database_itself_refuses_to_give_back_more_than_was_captured(room: EngineRoom) -> None:
    number = done(room)
    with pytest.raises(IntegrityError, match="refunds_at_most_all"), room.run.engine.begin() as conn:
        refunds.write_ahead(conn, room.attempt(number), action_id=uuid.uuid4(), amount_minor=1500)
    refund(room, number, 100)
    with pytest.raises(IntegrityError, match="refunds_one_at_a_time"), room.run.engine.begin() as conn:
        refunds.write_ahead(conn, room.attempt(number), action_id=uuid.uuid4(), amount_minor=100)
    assert reserved(room, number) == 100


def test_only_a_done_order_that_cost_something_is_refunded(room: EngineRoom) -> None:
    number = room.locked()
    assert "cancel it instead" in refund(room, number).told
    assert pay(room.run, number)
    assert "cancel it instead" in refund(room, number).told
    free = room.locked()
    room.sql("UPDATE orders SET amount_minor = 0 WHERE tracking_number = :n", n=free)
    pay(room.run, free)
    tokenize(room.run, free)
    assert "it cost nothing" in refund(room, free).told
    assert stands(room, number) == stands(room, free) == []


@dataclass(frozen=True, slots=True)
class _Refusing:
    """A PSP that will not give the money back."""

    psp: Psp

    def __getattr__(self, name: str) -> Any:
        return getattr(self.psp, name)

    def refund(self, reference: str, money: Money, *, psp_key: str) -> ReturnOutcome:
        return Captured(reference, money)


def test_what_the_psp_refuses_is_told_and_may_be_asked_for_again(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = done(room)
    refund(room, number, 500)
    return_money(replace(room.run, psp_for=lambda _: _Refusing(room.psp)), number)
    assert stands(room, number) == [(500, RefundState.REFUSED)]
    assert reserved(room, number) == 0
    refund(room, number)
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("voided", 0)
