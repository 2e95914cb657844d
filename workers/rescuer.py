"""Finds orders whose next step is overdue and rings for it again.

A message can be lost between COMMIT and publish, in a broker restart, or with the worker that held it. So the
order's row says when it must be worked on next (`due_at`), every message is only a doorbell, and this loop is the
only retry. It is a plain thread of the upkeep process: it needs no broker to wake it, and outlives the database's
restarts by trying again.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.failpoints import Failpoint, reach
from shared.messages import STEP_FOR, Step
from shared.store import housekeeping, overdue
from shared.store.engine import statements
from workers.runtime import Runtime

log = structlog.get_logger(__name__)


HOUSEKEEPING_EVERY: Final = 30
"""Looks between two cleanings: about a minute."""


class Rescuer:
    """The loop of one upkeep process; any number of them may run beside each other."""

    def __init__(self, runtime: Callable[[], Runtime]) -> None:
        self._runtime = runtime
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="rescuer", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present look."""
        self._stopping.set()
        self._thread.join(5)

    def _work(self) -> None:
        run = self._runtime()
        for look in itertools.count():
            if self._stopping.wait(run.settings.rescue_period_s):
                return
            try:
                rescue(run)
                if look % HOUSEKEEPING_EVERY == 0:
                    housekeep(run)
            except SQLAlchemyError as error:
                log.warning("rescue.database_away", error=type(error).__name__)


def rescue(run: Runtime) -> int:
    """One look: ring for everything overdue; how many orders were rung for."""
    reach(Failpoint.RESCUER_BEFORE_STATEMENT)
    with statements(run.engine) as conn:
        late = overdue.orders_overdue(conn)
        reach(Failpoint.RESCUER_BETWEEN_STATEMENTS)
        returning = overdue.returns_overdue(conn)
    reach(Failpoint.RESCUER_BEFORE_RINGING)
    for one in late:
        run.doorbell.ring(STEP_FOR[one.state], one.tracking_number)
    for tracking_number in returning:
        run.doorbell.ring(Step.RETURN_MONEY, tracking_number)
    reach(Failpoint.RESCUER_AFTER_RINGING)
    if late or returning:
        log.info("rescue.rang", orders=len(late), returns=len(returning))
    return len(late)


def housekeep(run: Runtime) -> None:
    """Forget what is past keeping."""
    with statements(run.engine) as conn:
        housekeeping.forget_old_keys(conn)
