"""Finds orders whose next step is overdue and rings for it again.

A message can be lost between COMMIT and publish, in a broker restart, or with the worker that held it. So the
order's row says when it must be worked on next (`due_at`), every message is only a doorbell, and this is the only
retry. How many are rung for is decided in pacing.py. While the broker is away nothing is rung and nothing is put
off: the rows stay due, and the first look after its return finds them.
"""

from __future__ import annotations

from typing import Final

import structlog

from shared.depth import BrokerAway
from shared.domain.states import OrderState
from shared.failpoints import Failpoint, reach
from shared.messages import FRONT_OF, QUEUE_OF, STEP_FOR, Lane, Step
from shared.store import housekeeping, overdue
from shared.store.engine import statements
from workers import pacing, spent_cards
from workers.pacing import LEAVING, TURN_WAITERS, Pace
from workers.release import release
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

RELEASE_EVERY: Final = 10
"""Looks between two releases of early news: about 10 s, as a look-up would take."""
HOUSEKEEPING_EVERY: Final = 60
"""Looks between two cleanings: about a minute."""


def look(run: Runtime, number: int) -> None:
    """One round of the upkeep loop."""
    rescue(run)
    if number % RELEASE_EVERY == 0:
        release(run)
    if number % HOUSEKEEPING_EVERY == 0:
        with statements(run.engine) as conn:
            housekeeping.forget_old_keys(conn)
        spent_cards.forget(run)


def rescue(run: Runtime) -> int:
    """Ring for what is overdue, as fast as its queues allow; how many orders were rung for."""
    reach(Failpoint.RESCUER_BEFORE_STATEMENT)
    try:
        returns = _rescue_returns(run)
        reach(Failpoint.RESCUER_BETWEEN_STATEMENTS)
        rung = _rescue_orders(run)
    except BrokerAway as error:
        log.warning("rescue.broker_away", error=str(error))
        return 0
    reach(Failpoint.RESCUER_AFTER_RINGING)
    if rung or returns:
        log.info("rescue.rang", orders=rung, returns=returns)
    return rung


def _rescue_orders(run: Runtime) -> int:
    with statements(run.engine) as conn:
        due = overdue.due(conn)
    return sum(_ring_for(run, state, due[state]) for state in _most_urgent_first(due))


def _most_urgent_first(due: dict[OrderState, int]) -> list[OrderState]:
    """What was claimed and dropped before all else."""
    return sorted(due, key=lambda state: (state is not OrderState.PAYING, state))


def _ring_for(run: Runtime, state: OrderState, due: int) -> int:
    pace = _pace(run, state)
    if pace.limit == 0:
        log.info("rescue.waits_its_turn", state=state, due=due)
        return 0
    with statements(run.engine) as conn:
        late = overdue.put_off(conn, state, limit=pace.limit, late_s=pace.late_s)
    reach(Failpoint.RESCUER_BEFORE_RINGING)
    for tracking_number, takeovers in late.items():
        run.doorbell.ring(STEP_FOR[state], tracking_number, _lane(state, takeovers))
    return len(late)


def _lane(state: OrderState, takeovers: int) -> Lane:
    """An order that was taken over before and dropped again may be what takes its workers down."""
    if state is not OrderState.PAYING:
        return Lane.TURN
    return Lane.ALONE if takeovers else Lane.FRONT


def _pace(run: Runtime, state: OrderState) -> Pace:
    """How many orders in *state* may be rung for now. Raises BrokerAway."""
    step = STEP_FOR[state]
    if state not in TURN_WAITERS:
        return pacing.for_clock(depth=run.depths.of(FRONT_OF[step] if state is OrderState.PAYING else QUEUE_OF[step]))
    with statements(run.engine) as conn:
        waiting = overdue.waiting(conn, state)
        moves_per_s = overdue.moves_per_s(conn, LEAVING[state])
    depth, fall_per_s = run.depths.of_and_fall(QUEUE_OF[step])
    # Messages nobody needs any more move no order, but they drain, too. Moves are counted over longer, so they are
    # believed first: one look may see a queue fall by a leap.
    return pacing.for_turn(waiting=waiting, depth=depth, drained_per_s=moves_per_s or fall_per_s)


def _rescue_returns(run: Runtime) -> int:
    pace = pacing.for_returns(depth=run.depths.of(QUEUE_OF[Step.RETURN_MONEY]))
    with statements(run.engine) as conn:
        returning = overdue.returns_overdue(conn, limit=pace.limit)
    for tracking_number in returning:
        run.doorbell.ring(Step.RETURN_MONEY, tracking_number)
    return len(returning)
