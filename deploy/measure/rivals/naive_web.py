"""The naive way's front door: gunicorn with threads, an ORM session, and a chain for every order.

`python -m deploy.measure.rivals.naive_web --port N`. No key, no limit, no check of the offer, no sealing: what most
teams start with. The chain is rung without results, which would cost a subscription more: where it is not clear what
others do, the reference is the faster way.
"""

from __future__ import annotations

from typing import Any, Final

from flask import Flask, Response, jsonify, request
from gunicorn.app.base import BaseApplication
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from deploy.measure.at_once import PROVIDER
from deploy.measure.rivals import naive_tasks
from deploy.measure.rivals.door import arguments
from deploy.measure.rivals.naive_rows import NaiveOrder
from deploy.stack.seed import TENANT_ID
from shared.config import Settings
from shared.ids import new_tracking_number

THREADS: Final = 8
"""A process: together as many as the load has connections."""


def create_app(engine: Engine, celery: Any) -> Flask:
    """The application over *engine*, ringing by *celery*."""
    app = Flask(__name__, static_folder=None)

    @app.post("/orders")
    def submit() -> tuple[Response, int]:
        asked = request.get_json()["order"]
        number = new_tracking_number()
        with Session(engine) as session:
            session.add(
                NaiveOrder(
                    tracking_number=number,
                    tenant_id=TENANT_ID,
                    offer_identifier=asked["offerIdentifier"],
                    customer_urn=asked["customer"]["customerUrn"],
                    correlation_id=asked["correlationId"],
                    provider=PROVIDER,
                    request=asked,
                )
            )
            session.commit()
        naive_tasks.ring(celery, number, results=False)
        return jsonify({"trackingNumber": number, "status": {"messageCode": "CHECK_OUT_PROCESSING"}}), 202

    @app.get("/readyz")
    def ready() -> str:
        return "ready"

    return app


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types.
    """The application as gunicorn runs it with threads."""

    def __init__(self, settings: Settings, *, bind: str, workers: int) -> None:
        self._settings = settings
        self._own = {"bind": bind, "workers": workers, "worker_class": "gthread", "threads": THREADS}
        super().__init__()

    def load_config(self) -> None:
        """Our options over gunicorn's."""
        for name, value in (self._own | {"control_socket_disable": True}).items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application of one process."""
        url = make_url(self._settings.database_url.get_secret_value()).set(drivername="postgresql+psycopg")
        return create_app(create_engine(url), naive_tasks.create(self._settings))


def main() -> None:
    """Serve until SIGTERM."""
    asked = arguments("the naive way's front door")
    Server(Settings(), bind=f"{asked.host}:{asked.port}", workers=asked.workers).run()


if __name__ == "__main__":
    main()
