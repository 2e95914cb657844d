"""The floor's application: one prepared statement on one of a few connections, in autocommit."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from flask import Flask, Response, jsonify, request
from gunicorn.app.base import BaseApplication
from psycopg.types.json import Jsonb

from api.server import OPTIONS
from deploy.measure.rivals.naive_rows import SCHEMA
from deploy.stack.seed import TENANT_ID
from shared.config import Settings
from shared.ids import new_tracking_number

WRITE: Final = f"""
    INSERT INTO {SCHEMA}.floor_orders
        (tracking_number, tenant_id, offer_identifier, customer_urn, correlation_id, request)
    VALUES (%s, %s, %s, %s, %s, %s)
"""  # noqa: S608 - our own name
READ: Final = f"""
    SELECT state, version, failure FROM {SCHEMA}.floor_orders WHERE tracking_number = %s
"""  # noqa: S608 - our own name


class Connections:
    """So many connections as the product's pool has; opened when they are first needed."""

    def __init__(self, url: str, count: int) -> None:
        self._url = url
        self._free: queue.LifoQueue[psycopg.Connection[Any] | None] = queue.LifoQueue()
        for _ in range(count):
            self._free.put(None)

    @contextmanager
    def lent(self) -> Iterator[psycopg.Connection[Any]]:
        """One of them, for the block."""
        conn = self._free.get()
        try:
            conn = conn or psycopg.connect(self._url, autocommit=True)
            yield conn
        finally:
            self._free.put(conn)


def create_app(connections: Connections) -> Flask:
    """The application over *connections*."""
    app = Flask(__name__, static_folder=None)

    @app.post("/orders")
    def submit() -> tuple[Response, int]:
        asked = request.get_json()["order"]
        number, customer = new_tracking_number(), asked["customer"]["customerUrn"]
        values = [number, TENANT_ID, asked["offerIdentifier"], customer, asked["correlationId"], Jsonb(asked)]
        with connections.lent() as conn:
            conn.execute(WRITE, values, prepare=True)
        return jsonify({"trackingNumber": number, "status": {"messageCode": "CHECK_OUT_PROCESSING"}}), 202

    @app.get("/orders/<number>")
    def read(number: str) -> Response:
        with connections.lent() as conn:
            row = conn.execute(READ, [number], prepare=True).fetchone()
        assert row is not None, "the bench asks for what it wrote"
        state, version, failure = row
        return jsonify({"trackingNumber": number, "state": state, "version": version, "message": failure})

    @app.get("/readyz")
    def ready() -> str:
        return "ready"

    return app


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types.
    """The application as gunicorn runs it, with the API's options and worker class."""

    def __init__(self, settings: Settings, *, bind: str, workers: int) -> None:
        self._settings = settings
        self._own = {"bind": bind, "workers": workers}
        super().__init__()

    def load_config(self) -> None:
        """The API's options."""
        for name, value in (OPTIONS | self._own).items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application of one process."""
        url = self._settings.database_url.get_secret_value()
        return create_app(Connections(url, self._settings.pool_size))
