"""Tells a worker's metrics at its port: the counts of its main process and of all its children.

The main process answers, in a thread of its own; a child that it forks later lets go of the socket, or the port would
stay taken for as long as an orphan lives. A port that cannot be had is an alarm and no reason to work on no order.
"""

from __future__ import annotations

from typing import Any

import structlog
from celery import bootsteps, signals
from prometheus_client import start_http_server

from shared.observe import metrics
from workers.snapshot import snapshot

log = structlog.get_logger(__name__)


class MetricsStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Listens at C2A_METRICS_PORT; does nothing where none is set."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, _worker: Any, **_: Any) -> None:
        self._server: Any = None

    def start(self, worker: Any) -> None:
        """Begin to answer."""
        settings = worker.app.c2a_settings
        if settings.metrics_port is None:
            return
        registry = metrics.exposed()
        if "upkeep" in worker.app.amqp.queues.consume_from:
            registry.register(snapshot())
        try:
            self._server, _ = start_http_server(settings.metrics_port, settings.metrics_host, registry)
        except OSError as error:
            log.error("metrics.no_port", port=settings.metrics_port, why=error.strerror)  # noqa: TRY400 - nor a trace.
            return
        signals.worker_process_init.connect(self._let_go, weak=False)

    def stop(self, _worker: Any) -> None:
        """End with the worker."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _let_go(self, **_: Any) -> None:
        self._server.socket.close()
