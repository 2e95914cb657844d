"""A refund is given once: whoever asks twice, dies over it, or never hears the answer."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from shared.doctor import checks
from shared.domain.money import Money
from shared.domain.outcomes import ReturnOutcome
from shared.messages import QUEUE_OF, Step
from shared.operate import actions
from shared.operate.asking import Asked
from shared.psp.port import Psp
from shared.store import refunds
from shared.store.operator_actions import Acted, Outcome
from shared.store.refunds import RefundState
from tests.support.engine_room import EngineRoom, Killed
from tests.support.examined import found
from tests.support.operating import a_desk
from tests.support.psp import Sandbox, until
from tests.support.refunding import at_psp, done, of_order, refund, reserved, stands
from workers.rescuer import rescue
from workers.return_money import return_money


def test_two_operators_at_once_refund_once(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = done(room)
    together = threading.Barrier(2)

    def refunds_it(_: int) -> Acted:
        together.wait(10)
        return refund(room, number, 800)

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(acted.outcome for acted in pool.map(refunds_it, range(2)))
    assert outcomes == [Outcome.BEGUN, Outcome.REFUSED]
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("captured", 800)


def test_a_call_repeated_under_its_id_refunds_once_whenever_it_comes(room: EngineRoom, shared_psp: Sandbox) -> None:
    number, action_id = done(room), uuid.uuid4()
    first = refund(room, number, 500, action_id)
    assert refund(room, number, 500, action_id) == first
    return_money(room.run, number)
    assert refund(room, number, 500, action_id) == first
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("captured", 500)
    with pytest.raises(actions.OtherAction):
        refund(room, number, 501, action_id)


@pytest.mark.parametrize("amount_minor", [None, 500], ids=["full", "part"])
@pytest.mark.parametrize("kind", ["dropAfter", "http500After", "drop", "http500"])
@pytest.mark.parametrize("window_s", [86_400, 0], ids=["void", "refund"])
def test_money_goes_back_once_though_answers_get_lost(
    room: EngineRoom, shared_psp: Sandbox, kind: str, amount_minor: int | None, window_s: int
) -> None:
    number = done(room)
    verb = "void" if window_s and amount_minor is None else "refund"
    shared_psp.set_faults(voidWindowSeconds=window_s, next=[{"kind": kind, "on": verb}])
    refund(room, number, amount_minor)
    return_money(room.run, number)
    assert [one.state for one in of_order(room, number)] == [RefundState.ASKED]
    return_money(room.run, number)
    return_money(room.run, number)
    expected = {("void", None): ("voided", 0), ("refund", None): ("refunded", 1499), ("refund", 500): ("captured", 500)}
    assert at_psp(shared_psp, room, number) == expected[verb, amount_minor]
    assert [one.state for one in of_order(room, number)] == [RefundState.GIVEN]


def test_while_the_psp_is_away_the_refund_waits_and_a_retry_asks_at_once(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = done(room)
    refund(room, number, 500)
    with room.unreachable():
        return_money(room.run, number)
    room.forget_traffic()
    [one] = of_order(room, number)
    assert one.state is RefundState.ASKED
    assert one.due_at is not None
    run = room.run
    own = a_desk(room)
    acted = actions.retry(own, room.seller.shop.tenant_id, number, Asked("Ana", "it is back"))
    assert acted.outcome is Outcome.DONE
    with run.engine.begin() as conn:
        assert number in refunds.overdue(conn, limit=100)
    return_money(run, number)
    assert at_psp(shared_psp, room, number) == ("captured", 500)


def test_the_rescuer_rings_for_a_refund(room: EngineRoom) -> None:
    number = done(room)
    refund(room, number, 500)
    until(lambda: not room.run.doorbell.waiting)
    before = room.run.depths.of(QUEUE_OF[Step.RETURN_MONEY])
    rescue(room.run)
    until(lambda: room.run.depths.of(QUEUE_OF[Step.RETURN_MONEY]) > before)
    [one] = of_order(room, number)
    [(put_off,)] = room.sql("SELECT due_at > now() FROM refunds WHERE action_id = :a", a=one.action_id)
    assert put_off


@dataclass(frozen=True, slots=True)
class _Dying:
    """A PSP whose caller dies, before or after it gave back what it was asked for."""

    psp: Psp
    after: bool

    def __getattr__(self, name: str) -> Any:
        return getattr(self.psp, name)

    def void(self, reference: str, *, psp_key: str) -> ReturnOutcome:
        if self.after:
            self.psp.void(reference, psp_key=psp_key)
        raise Killed

    def refund(self, reference: str, money: Money, *, psp_key: str) -> ReturnOutcome:
        if self.after:
            self.psp.refund(reference, money, psp_key=psp_key)
        raise Killed


@pytest.mark.parametrize("amount_minor", [None, 500], ids=["full", "part"])
@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after it"])
def test_a_worker_that_dies_over_a_refund_leaves_it_to_the_next(
    room: EngineRoom, shared_psp: Sandbox, amount_minor: int | None, after: bool
) -> None:
    number = done(room)
    refund(room, number, amount_minor)
    for _ in range(2):
        with pytest.raises(Killed):
            return_money(replace(room.run, psp_for=lambda _: _Dying(room.psp, after)), number)
        if after and amount_minor is None:
            break  # The next one finds that it went back.
    return_money(room.run, number)
    assert [one.state for one in of_order(room, number)] == [RefundState.GIVEN]
    assert at_psp(shared_psp, room, number) == (("voided", 0) if amount_minor is None else ("captured", 500))


def test_two_workers_at_one_refund_give_it_once(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = done(room)
    refund(room, number, 500)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: return_money(room.run, number), range(4)))
    assert at_psp(shared_psp, room, number) == ("captured", 500)
    assert reserved(room, number) == 500


@pytest.mark.parametrize("age", ["23:59:45", "25 h"], ids=["it may be within the call", "it is"])
def test_a_part_whose_key_may_be_forgotten_is_not_asked_for_again_and_raises_an_alarm(
    room: EngineRoom, shared_psp: Sandbox, age: str
) -> None:
    number = done(room)
    refund(room, number, 500)
    aged = "UPDATE refunds SET asked_at = now() - cast(:age AS interval), key_since = now() - cast(:age AS interval)"
    room.sql(f"{aged} WHERE tracking_number = :n", n=number, age=age)
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("captured", 0)
    assert stands(room, number) == [(500, RefundState.ASKED)]
    assert (checks.REFUND_TOO_LONG, number) in found(room)


def test_a_whole_refund_needs_no_memory_of_its_key(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = done(room)
    refund(room, number)
    room.sql("UPDATE refunds SET key_since = now() - interval '25 h' WHERE tracking_number = :n", n=number)
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("voided", 0)
