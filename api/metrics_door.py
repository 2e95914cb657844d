"""The port where metrics are asked for: served by the API's processes, beside the public one and never through it.

What it tells is of the whole installation, and every key is a tenant's, so no key may open it; who can reach its
address may read it (C2A_METRICS_HOST, loopback unless told otherwise), as is the custom of what scrapes. Any process
answers for all (shared/observe/counts.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import make_wsgi_app

from api.patience import PatientBodies
from api.quick import Told
from shared.observe import metrics


class MetricsDoor:
    """*app* at every port but *port*, metrics there."""

    def __init__(self, app: PatientBodies, port: int) -> None:
        self._app, self._port = app, str(port)

    def at_once(self, environ: dict[str, Any]) -> Told | None:
        """As the quick way says, at every port but this one."""
        return self._app.at_once(environ) if environ["SERVER_PORT"] != self._port else None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request; which door it came through is the socket's word, not the caller's."""
        if environ["SERVER_PORT"] != self._port:
            return self._app(environ, start_response)
        if environ["PATH_INFO"] != "/metrics":
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        answer: Iterable[bytes] = make_wsgi_app(metrics.exposed())(environ, start_response)
        return answer
