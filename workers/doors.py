"""The tasks: each decodes a message, walks on with its order and says what is left to ring for. They decide nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from functools import cache
from typing import Any

from celery import Celery, signals

from shared.config import Settings
from shared.messages import Step
from shared.psp.port import Account, Psp
from workers.runtime import Runtime, build
from workers.walk import STEPS, walk


def register(
    app: Celery, settings: Settings, psp_for: Callable[[Account], Psp], served: Callable[[], Collection[str]]
) -> None:
    """Give *app* its tasks, which reach the PSP of an account by *psp_for*; *served*: the queues its worker reads."""

    @cache
    def of_process(_pid: int) -> Runtime:
        return build(settings, psp_for)

    def runtime() -> Runtime:
        """This process's parts; a forked child never uses its parent's connections."""
        return of_process(os.getpid())

    def door(step: Step) -> None:
        def run(task: Any, tracking_number: str) -> None:
            task.request.chain = walk(runtime(), step, tracking_number, task.request.chain, served())

        app.task(run, name=str(step), bind=True, shared=False)

    app.c2a_runtime = runtime
    signals.worker_process_init.connect(lambda **_: runtime().warm_up(), weak=False)  # A pool child.
    signals.worker_ready.connect(lambda sender, **_: _warm_threads(sender, runtime), weak=False)
    for step in STEPS:
        door(step)


def _warm_threads(consumer: Any, runtime: Callable[[], Runtime]) -> None:
    """A pool of threads works in this very process; a parent of pool children never connects."""
    if type(consumer.pool).__module__.endswith(("thread", "solo")):
        runtime().warm_up()
