"""Whether this process runs, and whether it could serve: /healthz and /readyz.

Ready is who can admit: PostgreSQL and the vault answer. The broker is told and not required: without it orders are
admitted and wait, and to take every process out of service for it would refuse them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from flask import Blueprint, Response
from redis.exceptions import RedisError
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.auth import public
from api.broker_watch import BrokerWatch
from api.envelope import answer
from api.parts import Parts
from shared.store.engine import statements

_TROUBLE: Final = (SQLAlchemyError, RedisError)


def blueprint(parts: Parts) -> Blueprint:
    """Both routes; neither needs a key, neither tells more than up or away."""
    routes = Blueprint("health", __name__)
    broker = BrokerWatch(parts.settings.broker_url.get_secret_value())

    @routes.get("/healthz")
    @public
    def healthz() -> Response:
        return answer({}, code="SUCCESS")

    @routes.get("/readyz")
    @public
    def readyz() -> Response:
        checks = {"postgres": _reaches_database(parts), "vault": _works(parts.redis.ping)}
        ready = all(checks.values())
        told = checks | {"broker": broker.is_up()}
        document = {"checks": {name: "up" if works else "away" for name, works in told.items()}}
        return answer(
            document,
            status=200 if ready else 503,
            headers={} if ready else {"Retry-After": "2"},
            code="SUCCESS" if ready else "SERVICE_UNAVAILABLE",
        )

    return routes


def _reaches_database(parts: Parts) -> bool:
    """On either kind of connection, both asked whatever the first says: what broke one broke the other, and is to be
    found here and not by an order. Who is so busy that no connection is free in time is not without PostgreSQL."""
    return all([_works(lambda: _ask(parts.engine)), _works(lambda: _ask(parts.reading))])


def _ask(engine: Engine) -> None:
    with suppress(PoolTimeout), statements(engine) as conn:
        conn.execute(text("SELECT 1"))


def _works(check: Callable[[], object]) -> bool:
    try:
        check()
    except _TROUBLE:
        return False
    return True
