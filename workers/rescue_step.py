"""Runs the upkeep loops in the worker of that queue, from before it reaches its broker until it stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import bootsteps

from workers import examiner, foresight, keeper, rescuer, telling
from workers.books_in_turn import BooksInTurn
from workers.foresight import Foresight
from workers.gauges import PERIOD_S, Look
from workers.keeper import Keeper
from workers.loop import Loop
from workers.release import Releases
from workers.runtime import Runtime
from workers.snapshot import snapshot
from workers.telling import Teller


class RescueStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Starts the loops in a worker that consumes the upkeep queue."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, _worker: Any, **_: Any) -> None:
        self.loops: list[Loop] = []
        self._teller: Teller | None = None

    def start(self, worker: Any) -> None:
        """Begin, if this is the upkeep worker."""
        if "upkeep" not in worker.app.amqp.queues.consume_from:
            return
        run = worker.app.c2a_runtime
        keeping, counting, turn, releases = Keeper(run().settings), Foresight(), BooksInTurn(), Releases()
        self.loops = [
            Loop("rescuer", run().settings.rescue_period_s, lambda number: rescuer.look(run(), number, releases)),
            Loop("foresight", foresight.PERIOD_S, lambda _: counting.look(run())),
            Loop("examiner", examiner.PERIOD_S, lambda _: examiner.examine_alone(run(), turn=turn)),
            Loop("keeper", keeper.PERIOD_S, lambda number: keeping.look(run(), number)),
            Loop("tenant-events", telling.PERIOD_S, lambda number: self._tell(run, number)),
        ]
        if run().settings.metrics_port is not None:
            look = Look(run(), snapshot())
            self.loops.append(Loop("gauges", PERIOD_S, lambda _: look.look()))
        for loop in self.loops:
            loop.start()

    def _tell(self, run: Callable[[], Runtime], number: int) -> None:
        """A round for the tenants' events, by the one teller of this process."""
        if self._teller is None:
            self._teller = Teller(run())
        self._teller.round(number)

    def stop(self, _worker: Any) -> None:
        """End with the worker."""
        for loop in self.loops:
            loop.stop()
        if self._teller is not None:
            self._teller.close()
