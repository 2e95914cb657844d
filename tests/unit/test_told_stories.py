"""An operator is told of every move in words, and a replay tells each difference once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

from shared.domain.outcomes import LookUpOutcome
from shared.domain.states import OrderEvent, OrderState
from shared.operate.replay import replay
from shared.operate.sentences import OF_EVENT, TOLD
from shared.operate.waiting import NEXT
from shared.store.order_stories import Move

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def moves(*made: tuple[str, str]) -> list[Move]:
    return [Move(number, event, state, "test", None, NOON) for number, (event, state) in enumerate(made, 1)]


def test_every_event_and_every_state_has_its_sentence() -> None:
    assert set(OF_EVENT) == set(OrderEvent)
    assert set(NEXT) == set(OrderState)


def test_whatever_a_webhook_can_tell_of_a_charge_has_its_words() -> None:
    assert set(TOLD) >= {shape.__name__ for shape in get_args(LookUpOutcome)} - {"Unanswered", "Absent"}


def test_after_a_difference_the_replay_goes_on_from_what_is_recorded() -> None:
    made = moves(
        ("admitted", "admitted"), ("offer_held", "paying"), ("payment_captured", "captured"), ("method_stored", "done")
    )
    found = list(replay(made, state="done", version=4))
    assert [one.version for one in found] == [2]
    assert found[0].today == "offer_locked"


def test_an_order_without_a_record_differs() -> None:
    assert [one.version for one in replay([], state="done", version=4)] == [4]
