"""Runs the rescuer in the upkeep worker, from before it reaches its broker until it stops."""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from workers.rescuer import Rescuer


class RescueStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Starts a rescuer in a worker that consumes the upkeep queue."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, _worker: Any, **_: Any) -> None:
        self._rescuer: Rescuer | None = None

    def start(self, worker: Any) -> None:
        """Begin to rescue, if this is the upkeep worker."""
        if "upkeep" in worker.app.amqp.queues.consume_from:
            self._rescuer = Rescuer(worker.app.c2a_runtime)
            self._rescuer.start()

    def stop(self, _worker: Any) -> None:
        """End with the worker."""
        if self._rescuer is not None:
            self._rescuer.stop()
