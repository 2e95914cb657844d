"""What the front door is made of: each route under both prefixes, behind one order of checks.

The order is: request id, key, rate limit, role, route. Links are minted under /api/v1; /api is the published
alternative (contract section 1).
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Flask

from api import (
    auth,
    checkout,
    errors,
    health,
    here,
    limits,
    methods,
    offers,
    psp_side,
    quick,
    quick_routes,
    request_log,
)
from api.demo import door, shop
from api.openapi import page
from api.ops import console
from api.parts import Parts
from api.strict_json import MOST_BYTES

PREFIXES: Final = ("/api/v1", "/api")


def create_app(parts: Parts, *extra: Blueprint) -> Flask:
    """The WSGI application over *parts*; *extra* blueprints are served as they are, after ours."""
    app = Flask(__name__, static_folder=None)
    # Flask would take DEBUG from FLASK_DEBUG, and with it show errors by their values.
    app.config.update(DEBUG=False, TESTING=False, MAX_CONTENT_LENGTH=MOST_BYTES + 1, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.url_map.merge_slashes = False  # An address is served as published or not at all: no redirects.
    here.remember(app, parts)
    request_log.register(app)
    callers = auth.register(app, parts.reading, parts.settings.key_cache_s)
    buckets = limits.Limits(parts.redis)
    limits.register(app, buckets)
    auth.restrict(app, parts.settings.mode)
    errors.register(app)
    for routes in _rooms(parts):
        for prefix in PREFIXES:
            app.register_blueprint(routes, url_prefix=prefix, name=f"{routes.name}{prefix.replace('/', '-')}")
    for served_as_is in (health.blueprint(parts), console.blueprint(parts), *extra):
        app.register_blueprint(served_as_is)
    if door.is_wanted(parts):
        app.register_blueprint(shop.blueprint(parts))
    app.wsgi_app = quick.Quick(  # type: ignore[method-assign]  # As Flask says middleware is to be put before it.
        app.wsgi_app,
        (quick_routes.Submit(parts, buckets), quick_routes.Poll(parts, buckets)),
        callers,
        parts.settings.mode,
    )
    return app


def _rooms(parts: Parts) -> list[Blueprint]:
    return [*(room.blueprint(parts) for room in (checkout, offers, methods, psp_side)), page.blueprint()]
