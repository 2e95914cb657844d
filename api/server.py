"""How the API is served: gunicorn, a few processes, a greenlet a connection.

Greenlets and not threads, because they cost less: a route with one autocommit statement took 0.75 of the CPU it takes
under gthread (16 threads), at 8 to 32 connections a process. A poll that is held takes not even one (parking.py). What
they need for it is a pool that serves in turn (shared/store/fair_pool.py).
"""

from __future__ import annotations

import logging
import resource
from datetime import UTC, datetime
from typing import Any, Final, cast

from gunicorn import glogging
from gunicorn.app.base import BaseApplication
from sqlalchemy import Engine

from api.app import create_app
from api.held import Holding
from api.metrics_door import MetricsDoor
from api.parts import Parts
from api.patience import PatientBodies
from api.quick import Quick
from api.server_worker import Worker
from shared import failpoints, start, vault
from shared.config import Settings
from shared.observe import counts, traces
from shared.store.engine import create_engine
from shared.store.row_security import Role

OPTIONS: Final[dict[str, Any]] = {
    "worker_class": Worker,
    "worker_connections": 1_000,  # Each costs a greenlet and 64 KiB at most; past it the kernel's queue waits.
    "keepalive": 5,  # Also how long headers may take to arrive, and an unread body to be thrown away.
    "timeout": 30,  # A process whose loop stands still that long is killed and replaced.
    "graceful_timeout": 8,  # No answer takes longer, and a supervisor's patience is 10 s.
    "limit_request_line": 4_094,
    "limit_request_fields": 64,
    "limit_request_field_size": 8_190,
    # No header says where in our addresses a path begins: a proxy that guards /ops looks at the path alone.
    "forwarder_headers": "",
    "control_socket_disable": True,  # Nobody steers this server but by signals.
    "loglevel": "info",  # Never debug: gunicorn's debug lines quote what a client sent.
}


class JsonLogger(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types.
    """Gunicorn's own log lines, through the log of this process; requests are logged by api/request_log.py."""

    def setup(self, cfg: Any) -> None:
        """Take gunicorn's handlers away and let its lines rise to the root logger."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types.
    """The API as gunicorn runs it."""

    def __init__(self, settings: Settings, *, host: str, port: int, workers: int) -> None:
        self._settings = settings
        self._own = {"bind": _addresses(settings, host, port), "workers": workers, "logger_class": JsonLogger}
        failpoints.arm(settings.failpoints, settings.mode)
        counts.share(settings)
        self._keyring = start.guarded(settings)  # Before the fork: a ring made for development is one for all.
        super().__init__()

    def load_config(self) -> None:
        """Our options over gunicorn's."""
        for name, value in {**OPTIONS, **self._own}.items():
            self.cfg.set(name, value)

    def load(self) -> PatientBodies | MetricsDoor:
        """The application of one process, built after the fork so that no two share a connection."""
        logging.getLogger("gunicorn.error").setLevel(logging.INFO)
        traces.begin("c2a-api")
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # Each poller who waits has a descriptor.
        settings = self._settings
        parts = Parts(
            settings=settings,
            engine=_engine(settings, settings.pool_size),
            own_for_reading=_engine(settings, settings.poll_pool_size),
            redis=vault.connect(settings.vault_url.get_secret_value()),
            keyring=self._keyring,
            clock=lambda: datetime.now(UTC),
        )
        app = create_app(parts)
        served = PatientBodies(Holding(app), quick_way=cast("Quick", app.wsgi_app).at_once)
        return MetricsDoor(served, settings.metrics_port) if settings.metrics_port is not None else served


def _engine(settings: Settings, connections: int) -> Engine:
    sized = settings.model_copy(update={"pool_size": connections})
    return create_engine(sized, answer_within_s=settings.database_answer_s, role=Role.API)


def _addresses(settings: Settings, host: str, port: int) -> list[str]:
    """Where it listens. Raises ValueError where the metrics would stand at the public port."""
    if settings.metrics_port is None:
        return [f"{host}:{port}"]
    if settings.metrics_port == port:
        raise ValueError("C2A_METRICS_PORT is the API's own port; choose another")
    return [f"{host}:{port}", f"{settings.metrics_host}:{settings.metrics_port}"]
