"""Finds orders whose next step is overdue and rings for it again.

A message can be lost between COMMIT and publish, in a broker restart, or with the worker that held it. So the
order's row says when it must be worked on next (`due_at`), every message is only a doorbell, and this is the only
retry. How many are rung for is decided in pacing.py. While the broker is away nothing is rung and nothing is put
off: the rows stay due, and the first look after its return finds them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from uuid import UUID

import structlog

from shared.crowds import crowds_among
from shared.depth import BrokerAway
from shared.domain.states import OrderState
from shared.failpoints import Failpoint, reach
from shared.messages import FRONT_OF, QUEUE_OF, STEP_FOR, Lane, Step, queues_in_turn
from shared.observe.metrics import rescued
from shared.store import housekeeping, overdue, refunds
from shared.store.engine import statements
from shared.store.overdue import Due, Late
from workers import pacing, spent_cards
from workers.apart import apart
from workers.pacing import LEAVING, TURN_WAITERS, Pace
from workers.release import Releases
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

RELEASE_EVERY: Final = 10
"""Looks between two releases of early news: about 10 s, as a look-up would take."""
HOUSEKEEPING_EVERY: Final = 60
"""Looks between two cleanings: about a minute."""


def look(run: Runtime, number: int, releases: Releases | None = None) -> None:
    """One round of the upkeep loop; *releases*: how far this process came with early news before.

    None of its parts waits for another to go well: least of all the cards that are to be let go of.
    """
    with apart("upkeep.failed", part="rescue"):
        rescue(run)
    if number % RELEASE_EVERY == 0:
        with apart("upkeep.failed", part="release"):
            (releases or Releases()).round(run)
    if number % HOUSEKEEPING_EVERY == 0:
        with apart("upkeep.failed", part="keys"):
            _forget_old_keys(run)
        with apart("upkeep.failed", part="cards"):
            spent_cards.forget(run)


def _forget_old_keys(run: Runtime) -> None:
    for _ in range(housekeeping.MOST_BATCHES):
        with statements(run.engine) as conn:
            found = housekeeping.forget_old_keys(conn, days=run.settings.keys_kept_days)
        if found < housekeeping.BATCH:
            return


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
    return sum(_ring_for(run, kind) for kind in sorted(due, key=_urgency))


def _urgency(due: Due) -> tuple[bool, bool, OrderState]:
    """What was claimed and dropped before all else, then those whose place in a PSP's row has come up."""
    return due.state is not OrderState.PAYING, not due.in_row, due.state


def _goes_first(due: Due) -> bool:
    """Whether it is rung for ahead of the backlog: what was dropped, and whose turn it is at its PSP."""
    return due.state is OrderState.PAYING or due.in_row


def _ring_for(run: Runtime, due: Due) -> int:
    pace = _pace(run, due)
    if pace.limit == 0:
        log.info("rescue.waits_its_turn", state=due.state, due=due.count)
        return 0
    with statements(run.engine) as conn:
        late = overdue.put_off(conn, due.state, limit=pace.limit, late_s=pace.late_s, in_row=due.in_row)
    reach(Failpoint.RESCUER_BEFORE_RINGING)
    crowds = crowds_among((one.tenant_id for one in late.values()), run.settings.crowd_orders)
    for tracking_number, one in late.items():
        lane = _lane(due, one, crowds)
        run.doorbell.ring(STEP_FOR[due.state], tracking_number, lane)
        rescued(due.state, lane)
    return len(late)


def _lane(due: Due, late: Late, crowds: Collection[UUID]) -> Lane:
    """An order that was taken over before and dropped again may be what takes its workers down; and whom a crowd's
    orders would be rung for ahead of, oldest first, is not to wait for all of them."""
    if due.state is OrderState.PAYING and late.takeovers:
        return Lane.ALONE
    if _goes_first(due):
        return Lane.FRONT
    return Lane.CROWD if late.tenant_id in crowds else Lane.TURN


def _pace(run: Runtime, due: Due) -> Pace:
    """How many orders of this kind may be rung for now. Raises BrokerAway."""
    state, step = due.state, STEP_FOR[due.state]
    if _goes_first(due):
        return pacing.for_clock(depth=run.depths.of(FRONT_OF[step]))
    if state not in TURN_WAITERS:
        return pacing.for_clock(depth=run.depths.of(QUEUE_OF[step]))
    with statements(run.engine) as conn:
        waiting = overdue.waiting(conn, state)
        moves_per_s = overdue.moves_per_s(conn, LEAVING[state])
    depth, fall_per_s = run.depths.of_and_fall(*queues_in_turn(step))
    # Messages nobody needs any more move no order, but they drain, too. Moves are counted over longer, so they are
    # believed first: one look may see a queue fall by a leap.
    return pacing.for_turn(waiting=waiting, depth=depth, drained_per_s=moves_per_s or fall_per_s)


def _rescue_returns(run: Runtime) -> int:
    pace = pacing.for_returns(depth=run.depths.of(QUEUE_OF[Step.RETURN_MONEY]))
    with statements(run.engine) as conn:
        returning = overdue.returns_overdue(conn, limit=pace.limit)
        returning += refunds.overdue(conn, limit=pace.limit)
    for tracking_number in returning:
        run.doorbell.ring(Step.RETURN_MONEY, tracking_number)
        rescued("returning", Lane.TURN)
    return len(returning)
