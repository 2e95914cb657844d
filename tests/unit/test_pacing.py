"""How many overdue orders are rung for, by what their queue holds."""

from __future__ import annotations

import pytest

from shared.domain.states import OrderEvent, OrderState
from workers.pacing import BATCH, IN_HAND, LEAVING, NOT_NOW, TOP_UP, TURN_WAITERS, Pace, for_clock, for_turn


@pytest.mark.parametrize(
    ("waiting", "depth", "drained_per_s", "pace"),
    [
        (50_000, 50_000, 100.0, Pace(BATCH, 990.0)),  # Only who waited twice as long as the queue takes (500 s).
        (50_000, 49_000, 100.0, Pace(BATCH, 970.0)),  # What workers have in hand is not lost.
        (50_000, 0, 100.0, Pace(BATCH)),  # Flushed: at once, and paced.
        (300, 0, 0.0, Pace(300)),  # No more than are missing.
        (5_000, 4_000, 0.0, Pace(BATCH)),  # A fifth is missing: lost, even if nobody drains the queue now.
        (3, 0, 0.0, Pace(BATCH)),  # An empty queue waits for nobody.
        (100, 100, 50.0, Pace(BATCH, 0.0)),  # A short queue: the first patience (10 s) was enough.
        (1, 1, 0.1, Pace(BATCH, 10.0)),
        (5_000, 5_000, 0.0, NOT_NOW),  # Nobody takes from the queue: ringing louder helps nobody.
        (IN_HAND, 1, 0.0, NOT_NOW),
    ],
)
def test_who_waits_a_turn_is_rung_for_when_its_message_must_be_lost(
    waiting: int, depth: int, drained_per_s: float, pace: Pace
) -> None:
    assert for_turn(waiting=waiting, depth=depth, drained_per_s=drained_per_s) == pace


@pytest.mark.parametrize(("depth", "limit"), [(0, TOP_UP), (TOP_UP - 1, 1), (TOP_UP, 0), (TOP_UP * 9, 0)])
def test_what_comes_due_by_its_own_clock_only_tops_its_queue_up(depth: int, limit: int) -> None:
    assert for_clock(depth=depth) == Pace(limit)


def test_a_queue_drains_by_the_moves_that_lead_out_of_its_state_alone() -> None:
    assert dict(LEAVING) == {
        OrderState.ADMITTED: {OrderEvent.OFFER_HELD, OrderEvent.OFFER_REFUSED},
        OrderState.OFFER_LOCKED: {OrderEvent.PAYMENT_STARTED, OrderEvent.NOTHING_TO_PAY},
        OrderState.CAPTURED: {OrderEvent.METHOD_STORED, OrderEvent.STORING_SKIPPED, OrderEvent.CALLED_OFF},
    }
    assert set(LEAVING) == TURN_WAITERS
