"""A call for a refund is on record before it is made: while it may be on its way, nobody can say that none is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import ReturnOutcome
from shared.operate.proving import Verdict
from shared.patience import LONGEST_REFUND_AGAIN, RETURN_AGAIN
from shared.psp.port import Psp
from shared.store.operator_actions import Outcome
from shared.store.refunds import RefundState
from tests.support.adyen_room import AdyenRoom
from tests.support.engine_room import EngineRoom
from tests.support.operating import proves
from tests.support.psp import Sandbox
from tests.support.refunding import called_earlier, done, of_order, refund, reserved, stands
from workers.return_money import return_money
from workers.runtime import Runtime


@dataclass(frozen=True, slots=True)
class _Meanwhile:
    """A PSP, and what happens while a call for a refund is on its way to it."""

    psp: Psp
    happens: Callable[[], object]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.psp, name)

    def void(self, reference: str, *, psp_key: str) -> ReturnOutcome:
        self.happens()
        return self.psp.void(reference, psp_key=psp_key)

    def refund(self, reference: str, money: Money, *, psp_key: str) -> ReturnOutcome:
        self.happens()
        return self.psp.refund(reference, money, psp_key=psp_key)


def meanwhile(room: EngineRoom, happens: Callable[[], object]) -> Runtime:
    return replace(room.run, psp_for=lambda _: _Meanwhile(room.psp, happens))


def pause_after_asking(room: EngineRoom, number: str) -> tuple[timedelta, timedelta]:
    """Ask for its refund; what that is put off by, at least and at most: when within it nobody knows."""
    began = time.monotonic()
    return_money(room.run, number)
    [(left,)] = room.sql("SELECT due_at - now() FROM refunds WHERE tracking_number = :n", n=number)
    assert isinstance(left, timedelta)
    return left, left + timedelta(seconds=time.monotonic() - began)


@pytest.mark.parametrize("amount_minor", [None, 500], ids=["full", "part"])
def test_that_nothing_goes_back_is_not_believed_while_a_call_is_on_its_way(
    adyen: AdyenRoom, amount_minor: int | None
) -> None:
    """Else the call in flight gives it back, and a second refund gives it back once more."""
    number, told = done(adyen.room), list[str]()
    refund(adyen.room, number, amount_minor)
    run = meanwhile(adyen.room, lambda: told.append(proves(adyen.room, number, Verdict.NONE).told))
    return_money(run, number)
    told.append(proves(adyen.room, number, Verdict.NONE).told)
    assert len(told) == 2
    assert all("a request may be on its way until" in one for one in told)
    assert "one at a time" in refund(adyen.room, number, 500).told
    adyen.fake.work()
    adyen.deliver_all()
    assert stands(adyen.room, number) == [(amount_minor or 1499, RefundState.GIVEN)]
    assert [one.returned for one in adyen.payments(number)] == [amount_minor or 1499]


@pytest.mark.parametrize(
    ("ago_s", "outcome", "state", "still_reserved"),
    [(60, Outcome.REFUSED, RefundState.ASKED, 500), (91, Outcome.DONE, RefundState.REFUSED, 0)],
    ids=["it may be on its way", "none can be"],
)
def test_that_nothing_goes_back_is_believed_once_no_call_can_be_on_its_way(
    adyen: AdyenRoom, ago_s: int, outcome: Outcome, state: RefundState, still_reserved: int
) -> None:
    """Lease limit (30 s) and the PSP's longest processing (60 s) after it was called: neither alone is enough."""
    number = done(adyen.room)
    refund(adyen.room, number, 500)
    adyen.fake.troubles.add("drop", on="refunds")
    return_money(adyen.room.run, number)
    called_earlier(adyen.room, number, timedelta(seconds=ago_s))
    assert proves(adyen.room, number, Verdict.NONE).outcome is outcome
    assert stands(adyen.room, number) == [(500, state)]
    assert reserved(adyen.room, number) == still_reserved


def test_a_refund_nobody_was_called_for_is_proven_at_once_and_then_nobody_is_called(adyen: AdyenRoom) -> None:
    """A worker has read it as under way, and comes to its call after somebody settled it."""
    number = done(adyen.room)
    refund(adyen.room, number, 500)
    acted = []

    def psp_for(_: object) -> Psp:
        acted.append(proves(adyen.room, number, Verdict.NONE).outcome)
        return adyen.room.psp

    before = len(adyen.fake.calls)
    return_money(replace(adyen.room.run, psp_for=psp_for), number)
    assert acted == [Outcome.DONE]
    assert len(adyen.fake.calls) == before
    assert stands(adyen.room, number) == [(500, RefundState.REFUSED)]


def test_every_call_for_a_refund_is_written_ahead_of_it(room: EngineRoom, shared_psp: Sandbox) -> None:
    """A void that came too late, and the refund after it: two calls."""
    number = done(room)
    shared_psp.set_faults(voidWindowSeconds=0)
    refund(room, number)
    [one] = of_order(room, number)
    assert one.called_at is None
    called = []
    return_money(meanwhile(room, lambda: called.append(of_order(room, number)[0].called_at)), number)
    first, second = called
    assert first is not None
    assert second is not None
    assert one.asked_at < first < second
    assert stands(room, number) == [(1499, RefundState.GIVEN)]


def test_a_refund_without_an_answer_is_asked_for_ever_more_slowly(adyen: AdyenRoom) -> None:
    """So that there is a time between two calls in which none can be on its way."""
    number = done(adyen.room)
    refund(adyen.room, number, 500)
    adyen.fake.troubles.add("drop", on="refunds", times=2)
    least, most = pause_after_asking(adyen.room, number)
    assert least <= RETURN_AGAIN <= most
    adyen.room.sql("UPDATE refunds SET key_since = now() - interval '1 h' WHERE tracking_number = :n", n=number)
    least, most = pause_after_asking(adyen.room, number)
    assert least <= LONGEST_REFUND_AGAIN <= most
