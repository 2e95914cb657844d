"""How many overdue orders may be rung for now: a lost message is made good, a long queue is not made longer.

An order that only waits its turn is not lost. Two things tell them apart, and neither needs to look into a queue:
a queue that holds far fewer messages than orders wait for it has lost them (a flush), and an order that has waited
twice as long as the whole queue takes was passed by. What somebody had claimed, and what comes due by its own
clock, never had a message: its queue is topped up, so a backlog of it stays in the rows, oldest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.domain.states import TRANSITIONS, OrderEvent, OrderState
from shared.patience import STEP_PATIENCE

BATCH: Final = 1_000
"""Orders a look rings for in one state: with a look every second, more than an engine room of this size works off."""
TOP_UP: Final = 200
"""Messages kept waiting of what comes due by its own clock: 4 threads need 5 s for them at 0.1 s a look-up."""
RETURNS_AT_LEAST: Final = 20
"""Returns a look rings for however deep their queue is; each is put off for a minute by it."""
IN_HAND: Final = 200
"""Messages that may be missing from a queue because workers hold them, or are being published."""
IN_HAND_SHARE: Final = 0.1
"""The same as a share of those who wait, for an engine room of many workers. Who loses fewer waits twice the queue."""

TURN_WAITERS: Final = frozenset({OrderState.ADMITTED, OrderState.OFFER_LOCKED, OrderState.CAPTURED})
"""States in which an order waits for a message that was sent when it got there."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Ring for at most *limit* orders, of those that have been due for *late_s* seconds or longer."""

    limit: int
    late_s: float = 0.0


NOT_NOW: Final = Pace(0)


def for_turn(*, waiting: int, depth: int, drained_per_s: float) -> Pace:
    """The pace for *waiting* orders whose queue holds *depth* messages of which *drained_per_s* are taken."""
    missing = waiting - depth
    if missing > max(IN_HAND, waiting * IN_HAND_SHARE):
        return Pace(min(missing, BATCH))
    if depth == 0:
        return Pace(BATCH)
    if drained_per_s <= 0:
        return NOT_NOW  # Nobody takes from this queue: its messages are there, and ringing louder helps nobody.
    return Pace(BATCH, max(0.0, 2 * depth / drained_per_s - STEP_PATIENCE.total_seconds()))


def for_clock(*, depth: int) -> Pace:
    """The pace for orders that come due by their own clock, or were claimed and dropped."""
    return Pace(max(0, TOP_UP - depth))


def for_returns(*, depth: int) -> Pace:
    """The pace for money that has to go back: look-ups share its queue, and a PSP that is silent to them (15 s each)
    must not keep what other PSPs would give back at once."""
    return Pace(max(RETURNS_AT_LEAST, TOP_UP - depth))


def _leaving(state: OrderState) -> frozenset[OrderEvent]:
    """The events that can only mean that an order left *state*."""
    sources: dict[OrderEvent, set[OrderState]] = {}
    for source, event in TRANSITIONS:
        sources.setdefault(event, set()).add(source)
    return frozenset(event for event, froms in sources.items() if froms == {state})


LEAVING: Final[Mapping[OrderState, frozenset[OrderEvent]]] = {state: _leaving(state) for state in TURN_WAITERS}
"""What is counted to know how fast a queue drains."""
