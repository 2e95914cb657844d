"""A PSP's first good answer after an outage makes its waiters due (C6); a lost answer or two are no outage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.config import Settings
from shared.domain.outcomes import Captured, NotSent, PaymentOutcome, Pending, Unanswered
from shared.domain.states import OrderState
from tests.support import engine_room
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from tests.support.wire import channel, fresh_card
from workers.outages import AWAY_AFTER
from workers.pay import pay

REFUSED = [{"kind": "http429", "times": AWAY_AFTER}]


@pytest.fixture
def room(settings: Settings, vault_url: str, shared_psp: Sandbox) -> Iterator[EngineRoom]:
    """A tenant, and a process that has heard nothing of its PSP yet."""
    shared_psp.heal()
    with engine_room.opened(settings, vault_url, shared_psp, lease_s=1) as made:
        yield made
    shared_psp.heal()


def waits(room: EngineRoom, number: str) -> timedelta:
    """How long the order is put off."""
    [(left,)] = room.sql("SELECT due_at - now() FROM orders WHERE tracking_number = :n", n=number)
    assert isinstance(left, timedelta)
    return left


def put_off(room: EngineRoom, numbers: list[str]) -> None:
    room.sql("UPDATE orders SET due_at = now() + interval '4 min' WHERE tracking_number = ANY (:n)", n=numbers)


def test_when_a_psp_is_back_those_who_wait_for_it_are_due_at_once(room: EngineRoom, shared_psp: Sandbox) -> None:
    unclear = room.locked(fresh_card("4000007700000141"))
    pay(room.run, unclear)
    shared_psp.set_faults(next=REFUSED)
    refused = [room.locked() for _ in range(AWAY_AFTER)]
    for number in refused:
        pay(room.run, number)
    pending = room.locked(channel("SEPA"))
    put_off(room, [unclear, *refused])

    pay(room.run, pending)

    assert room.state(pending) is OrderState.CONFIRMING
    assert {room.state(number) for number in refused} == {OrderState.OFFER_LOCKED}
    assert all(waits(room, number) <= timedelta(0) for number in (unclear, *refused))
    assert waits(room, pending) > timedelta(minutes=30), "a bank's days are not a PSP's outage"


def test_a_lost_answer_or_two_are_no_outage(room: EngineRoom, shared_psp: Sandbox) -> None:
    shared_psp.set_faults(next=[{"kind": "http429", "times": AWAY_AFTER - 1}])
    refused = [room.locked() for _ in range(AWAY_AFTER - 1)]
    for number in refused:
        pay(room.run, number)
    put_off(room, refused)
    pay(room.run, room.locked())
    assert all(waits(room, number) > timedelta(minutes=3) for number in refused)


@pytest.mark.parametrize(
    ("heard", "due"),
    [
        ([Unanswered("")] * AWAY_AFTER, True),
        ([NotSent("")] * AWAY_AFTER, True),
        ([NotSent(""), None, *[NotSent("")] * (AWAY_AFTER - 1)], False),
    ],
    ids=["unanswered", "not sent", "an answer between"],
)
def test_only_silence_in_a_row_counts(room: EngineRoom, heard: list[Any], *, due: bool) -> None:
    number = room.locked(fresh_card("4000007700000141"))
    pay(room.run, number)
    attempt = room.attempt(number)
    good: PaymentOutcome = Captured("sb_other", attempt.money)
    room.run.outages.heard(room.run.engine, attempt, good)
    put_off(room, [number])
    for outcome in (*heard, Pending("sb_other", timedelta(days=1))):
        room.run.outages.heard(room.run.engine, attempt, outcome or good)
    assert (waits(room, number) <= timedelta(0)) is due
