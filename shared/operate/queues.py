"""How much waits, for whom, and since when? Told by the broker and by the rows, which may differ.

A queue with fewer messages than orders wait for it has lost some: the rescuer rings again, nothing is lost. One with
messages and nobody who reads it needs workers. What stands in the row of a PSP waits for its turn there, and no worker
makes it faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from shared.depth import BrokerAway, Depth, Depths
from shared.domain.states import OrderState
from shared.messages import ALONE_OF, CROWD_OF, FRONT_OF, QUEUE_OF, STEP_FOR, Step, queues
from shared.store import waiting_rows
from shared.store.waiting_rows import Waiting

_SIDES: Final = (
    (FRONT_OF, "dropped, goes first"),
    (CROWD_OF, "of tenants that send most, in turn with all others"),
    (ALONE_OF, "dropped twice, alone in a process"),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work: which step does it, in whose queue its messages are, what the rows say of it."""

    name: str
    step: Step | None
    queue: str | None
    rows: Waiting
    state: OrderState | None = None
    """The state of the orders that wait; None: it is not orders that wait."""

    @property
    def is_order(self) -> bool:
        """Whether it is orders that wait, and not money or news."""
        return self.state is not None


@dataclass(frozen=True, slots=True)
class Queues:
    """All that waits at one moment."""

    kinds: tuple[Kind, ...]
    depths: dict[str, Depth]
    """By queue; empty while the broker is away."""
    broker: str
    """"reached", or why not."""
    now: datetime


def look(conn: Connection, depths: Depths) -> Queues:
    """What waits now; a broker that is away is told of and keeps nobody from the rows."""
    kinds = tuple(kinds_of(conn))
    now = waiting_rows.clock(conn)
    try:
        return Queues(kinds, {queue: depths.told_of(queue) for queue in queues()}, "reached", now)
    except BrokerAway as error:
        return Queues(kinds, {}, f"away ({error})", now)


def kinds_of(conn: Connection) -> Iterator[Kind]:
    """What waits for each step as the rows say, where they may be seen: of a tenant, or of all."""
    found = waiting_rows.of_orders(conn)
    for state, step in STEP_FOR.items():
        yield Kind(state.value, step, QUEUE_OF[step], found.get(state, Waiting(0)), state)
    returning = Step.RETURN_MONEY
    yield Kind("money going back", returning, QUEUE_OF[returning], waiting_rows.of_returns(conn))
    yield Kind("parked webhooks", None, None, waiting_rows.of_news(conn))


def steps_of(queue: str) -> str:
    """What a queue is for, in words."""
    for steps, words in _SIDES:
        for step, side in steps.items():
            if side == queue:
                return f"{_short(step)}: {words}"
    return ", ".join(_short(step) for step, own in QUEUE_OF.items() if own == queue)


def _short(step: Step) -> str:
    return step.value.split(".")[1]
