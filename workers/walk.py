"""How far a worker takes an order with one message: through every next step whose queue it reads as well.

A message costs more processor time than a step: it is written, read, acknowledged and, in a pool of processes, handed
through two pipes. So a worker that serves the queue of the step that comes next takes that step at once; where it does
not, the step is rung for in its queue. Either way the row decides: a worker that dies between two steps leaves its
order as if the message of the next one had been lost, and the rescuer rings for it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

import structlog
from psycopg.errors import DeadlockDetected, SerializationFailure
from sqlalchemy.exc import DBAPIError

from shared.messages import QUEUE_OF, Step
from workers.lock_offer import lock_offer
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money
from workers.runtime import Runtime
from workers.step_times import timed
from workers.straight import lock_and_pay
from workers.tokenize import tokenize

log = structlog.get_logger(__name__)

Work = Callable[[Runtime, str], bool | None]

STEPS: Final[Mapping[Step, Work]] = {
    Step.LOCK_OFFER: lock_offer,
    Step.PAY: pay,
    Step.TOKENIZE: tokenize,
    Step.LOOK_UP: look_up,
    Step.RETURN_MONEY: return_money,
}
"""What each step does; true if the order goes on to the next one."""

UNDONE: Final = (DeadlockDetected, SerializationFailure)
"""The transaction is as if it had never been, and there was nothing wrong with it."""
PAUSE_S: Final = 0.2
"""At most, and at random, before a step is taken again: those that met at one lock, or in one restart of PostgreSQL, do
not come back as one crowd. A fiftieth of what a lost message costs."""


def walk(
    run: Runtime, step: Step, tracking_number: str, later: Sequence[Any] | None, served: Collection[str]
) -> list[Any] | None:
    """Take *step* of an order, and then those of *later* whose queues are *served*; what is left to be rung for.

    *later*: as Celery keeps a chain, the next step last. None: the row does not agree with the rest of the chain.
    """
    left = list(later or ())

    def comes(following: Step) -> bool:
        return bool(left) and left[-1]["task"] == following and QUEUE_OF[following] in served

    while True:
        work: Work = STEPS[step]
        if step is Step.LOCK_OFFER and comes(Step.PAY):
            left.pop()
            step, work = Step.PAY, partial(lock_and_pay, ends=comes(Step.TOKENIZE))
        elif step is Step.PAY:
            work = partial(pay, ends=comes(Step.TOKENIZE))
        if not twice_if_undone(timed(step, work), run, tracking_number):
            return None
        if not left or not comes(Step(left[-1]["task"])):
            return left
        step = Step(left.pop()["task"])


def twice_if_undone(work: Work, run: Runtime, tracking_number: str) -> bool | None:
    """Take a step, once more if its connection was cut or PostgreSQL undid it for the sake of another session.

    After a restart of PostgreSQL every pooled connection is dead, and each would cost one order its message and ten
    seconds. Every step may be taken twice: the row knows how far the first time came. Once more and no oftener: what
    is undone again is rung for again.
    """
    try:
        return work(run, tracking_number)
    except DBAPIError as error:
        if not (error.connection_invalidated or isinstance(error.orig, UNDONE)):
            raise
        log.warning("step.again", tracking_number=tracking_number, error=type(error.orig).__name__)
    time.sleep(random.uniform(0, PAUSE_S))  # noqa: S311 - no secret
    return work(run, tracking_number)
