"""Polling: where an order stands, asked by its tracking number, beside one prepared statement on the same server."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import httpx

from deploy.measure import database
from deploy.measure.crowd import Crowd
from deploy.measure.parts import served
from deploy.measure.parts.admission import prepare_rivals
from deploy.measure.parts.outcome import Outcome
from deploy.measure.plan import Plan
from deploy.measure.rivals import naive_rows, programs
from deploy.measure.stand import SUBMIT, Stand
from deploy.measure.traffic import Invalid, Kind
from deploy.measure.turns import in_turn
from deploy.stack import product

LIVE: Final = 500
"""Orders that are polled: more than connections, few enough that all of their pages are in memory."""
_COPIED: Final = f"""
    INSERT INTO {naive_rows.SCHEMA}.floor_orders
        (tracking_number, tenant_id, offer_identifier, customer_urn, correlation_id, request)
    SELECT tracking_number, tenant_id, offer_identifier, customer_urn, correlation_id, request FROM orders
"""  # noqa: S608 - our own name


def measure(stand: Stand, plan: Plan) -> Outcome:
    """The figures of polling. Raises Invalid, ProcessDied or StopAsked."""
    prepare_rivals(stand)
    ours, floor = product.api(stand.home, stand.wiring), programs.floor(stand.home, stand.wiring)
    with stand.running(ours, floor) as up, database.connected(stand.admin_url) as conn:
        database.empty_orders(conn)
        numbers = Crowd(stand.submit_url, stand.headers, stand.offer).submit(LIVE)
        conn.execute(_COPIED)
        database.settled(conn)
        paths = status_paths(numbers)
        unchanged = {"if-none-match": _etag(stand, paths[0])}
        floor_port = programs.port_of(programs.FLOOR, stand.home)
        ways = {
            "ours": (asking(stand, paths, stand.wiring.api_port), up["api"]),
            "floor": (Kind(floor_port, "GET", [f"/orders/{number}" for number in numbers]), up["floor"]),
            "304": (asking(stand, paths, stand.wiring.api_port, **unchanged), up["api"]),
        }
        served.warm_up(stand, (kind for kind, _ in ways.values()), seconds=plan.warm_seconds)
        seen = in_turn(
            {name: partial(served.window, stand, *way, seconds=plan.seconds) for name, way in ways.items()},
            plan.rounds,
            lambda number, name, window: stand.show.say(f"  polling {number}, {name}: {window}"),
        )
    outcome = Outcome()
    floor_rates = served.rates(seen["floor"])
    outcome.add("poll / floor", "polls/s", served.rates(seen["ours"]), floor_rates, details=served.details(seen))
    outcome.add("poll that finds nothing new (304) / floor", "polls/s", served.rates(seen["304"]), floor_rates)
    cpu = served.processor_ms
    outcome.add("processor time of a poll / floor", "ms", cpu(seen["ours"]), cpu(seen["floor"]))
    return outcome


def status_paths(numbers: Sequence[str]) -> list[str]:
    """Where these orders are polled."""
    return [f"{SUBMIT}/{number}/status" for number in numbers]


def asking(stand: Stand, paths: Sequence[str], port: int, **headers: str) -> Kind:
    """Polls of *paths* at the API at *port*."""
    return Kind(port, "GET", paths, stand.headers | headers)


def _etag(stand: Stand, path: str) -> str:
    """What a poller holds of a live order; raises Invalid unless it is answered with 304."""
    with httpx.Client(base_url=stand.wiring.base_url, headers=stand.headers, trust_env=False) as http:
        etag = http.get(path).headers["etag"]
        if http.get(path, headers={"if-none-match": etag}).status_code != httpx.codes.NOT_MODIFIED:
            raise Invalid("a poll that finds nothing new is not answered with 304")
    return str(etag)
