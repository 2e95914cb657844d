"""Says that a worker lives: a file it touches every second while its consumer is connected.

`inspect ping` wakes every worker, costs half a second of processor time and lies both ways; the age of a file
costs a stat. The worker's own timer touches it, so a main process that hangs or lost its broker stops.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import bootsteps

PERIOD_S = 1.0


class Liveness(bootsteps.StartStopStep):  # type: ignore[misc]
    """Touches the file named by C2A_HEARTBEAT_FILE; does nothing where none is named."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, _worker: Any, **_: Any) -> None:
        named = os.environ.get("C2A_HEARTBEAT_FILE")
        self._file = Path(named) if named else None
        self._timer: Any = None

    def start(self, worker: Any) -> None:
        """Begin to touch."""
        if self._file is not None:
            self._timer = worker.timer.call_repeatedly(PERIOD_S, self._touch, (worker,), priority=10)

    def stop(self, _worker: Any) -> None:
        """A worker that stops is no longer alive."""
        if self._timer is not None and self._file is not None:
            self._timer.cancel()
            self._file.unlink(missing_ok=True)

    def _touch(self, worker: Any) -> None:
        consumer = worker.consumer
        if self._file is not None and consumer and consumer.connection and consumer.task_consumer:
            self._file.touch()
