"""The tasks: each decodes a message, calls its step and says whether the chain goes on. They decide nothing."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import structlog
from celery import Celery, signals
from psycopg.errors import DeadlockDetected, SerializationFailure
from sqlalchemy.exc import DBAPIError

from shared.config import Settings
from shared.messages import Step
from shared.psp.port import Account, Psp
from workers.lock_offer import lock_offer
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money
from workers.runtime import Runtime, build
from workers.tokenize import tokenize

log = structlog.get_logger(__name__)

UNDONE: Final = (DeadlockDetected, SerializationFailure)
"""The transaction is as if it had never been, and there was nothing wrong with it."""
PAUSE_S: Final = 0.2
"""At most, and at random, before a step is taken again: those that met at one lock, or in one restart of PostgreSQL, do
not come back as one crowd. A fiftieth of what a lost message costs."""


def register(app: Celery, settings: Settings, psp_for: Callable[[Account], Psp]) -> None:
    """Give *app* its tasks, which reach the PSP of an account by *psp_for*."""

    @cache
    def of_process(_pid: int) -> Runtime:
        return build(settings, psp_for)

    def runtime() -> Runtime:
        """This process's parts; a forked child never uses its parent's connections."""
        return of_process(os.getpid())

    def door(step: Step, work: Callable[[Runtime, str], bool | None]) -> None:
        def run(task: Any, tracking_number: str) -> None:
            if not twice_if_undone(work, runtime(), tracking_number):
                task.request.chain = None  # The row does not agree with the rest of the chain.

        app.task(run, name=str(step), bind=True, shared=False)

    app.c2a_runtime = runtime
    signals.worker_process_init.connect(lambda **_: runtime().warm_up(), weak=False)  # A pool child.
    signals.worker_ready.connect(lambda sender, **_: _warm_threads(sender, runtime), weak=False)
    door(Step.LOCK_OFFER, lock_offer)
    door(Step.PAY, pay)
    door(Step.TOKENIZE, tokenize)
    door(Step.LOOK_UP, look_up)
    door(Step.RETURN_MONEY, return_money)


def twice_if_undone(work: Callable[[Runtime, str], bool | None], run: Runtime, tracking_number: str) -> bool | None:
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


def _warm_threads(consumer: Any, runtime: Callable[[], Runtime]) -> None:
    """A pool of threads works in this very process; a parent of pool children never connects."""
    if type(consumer.pool).__module__.endswith(("thread", "solo")):
        runtime().warm_up()
