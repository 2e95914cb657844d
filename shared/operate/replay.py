"""Would an order's recorded moves be made by today's state machine, and lead to where its row stands?

The events were written by the statements that moved the order, perhaps by a version before ours. A difference means
that the table of moves changed its meaning under live orders, or that somebody wrote to the rows by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shared.domain.states import IllegalMove, OrderEvent, OrderState, next_state
from shared.store.order_stories import Move


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the record and the state machine part; *version* is the move's."""

    version: int
    recorded: str
    today: str


def replay(moves: Iterable[Move], *, state: str, version: int) -> Iterator[Difference]:
    """What differs between *moves* and today's table, or between their end and the row's *state* and *version*.

    After a difference it goes on from what is recorded, so that each is told once.
    """
    stands: str | None = None
    last = 0
    for expected, move in enumerate(moves, 1):
        last = move.version
        if move.version != expected:
            yield Difference(move.version, f"version {move.version}", f"version {expected} is missing before it")
            return
        today = _after(stands, move.event)
        if today != move.state:
            yield Difference(move.version, f"{move.event}: {stands or 'nothing'} to {move.state}", today)
        stands = move.state
    if (stands, last) != (state, version):
        yield Difference(version, f"the row: {state}, version {version}", f"its moves: {stands}, version {last}")


def _after(stands: str | None, event: str) -> str:
    """The state that *event* leads to today, or why there is none."""
    try:
        told = OrderEvent(event)
        if stands is None:
            return OrderState.ADMITTED.value if told is OrderEvent.ADMITTED else "an order begins by being admitted"
        return next_state(OrderState(stands), told).value
    except IllegalMove as error:
        return str(error)
    except ValueError:
        return "a name that this version does not know"
