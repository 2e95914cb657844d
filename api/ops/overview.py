"""The first page: how the shop stands now.

Its panels are asked for again every few seconds, all in one document, as the HTML that the page itself is made of: so
that what is drawn is drawn in one place.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from flask import Blueprint, Response, jsonify
from sqlalchemy import Engine

from api.broker_watch import BrokerWatch
from api.ops import charts
from api.ops.guard import behind_login, operator, unattended
from api.ops.pages import HEADERS, fragment, page
from api.parts import Parts
from shared.domain.states import OrderState
from shared.operate import overview
from shared.operate.overview import Overview
from shared.psp.traffic.records import Records
from shared.psp.traffic.terms import terms_of
from shared.store.engine import statements

PANELS: Final = ("orders", "stuck", "money", "psps", "waiting", "times")
BELIEVED_S: Final = 2.0
"""How long a look is shown to others of the same tenant: many open pages cost what one does."""
TIMES_ITS_COST: Final = 20
"""A look is believed for so many times as long as it took: watching never takes more than a twentieth of one
connection's time. Five minutes at 500 orders a second are counted in 0.3 s, and so every 6 s."""
LONGEST_BELIEVED_S: Final = 30.0
"""After half a minute it would be no look at what happens now, whatever it costs."""
MOST_KEPT: Final = 100
STATES: Final = {
    OrderState.ADMITTED: "Accepted, until the offer is held",
    OrderState.OFFER_LOCKED: "Until a PSP is asked",
    OrderState.PAYING: "Until the PSP answers",
    OrderState.CONFIRMING: "Unclear, until it is known",
    OrderState.CHALLENGE: "With the shopper",
    OrderState.CAPTURED: "Paid, until it is done",
}
"""What orders stand in a state for, as a panel calls it."""


@dataclass(slots=True)
class Looks:
    """The looks that this process took of late, by tenant."""

    engine: Engine
    records: Records
    _taken: dict[UUID, tuple[float, Overview]] = field(default_factory=dict)

    def of(self, tenant_id: UUID) -> Overview:
        """How the tenant's shop stands, or stood a moment ago; the caller acts for that tenant."""
        until, look = self._taken.get(tenant_id, (0.0, None))
        if look is not None and time.monotonic() < until:
            return look
        began = time.monotonic()
        with statements(self.engine) as conn:
            look = overview.look(conn, tenant_id, self.records)
        if len(self._taken) >= MOST_KEPT:
            self._taken.clear()
        ended = time.monotonic()
        self._taken[tenant_id] = (ended + believed_s(ended - began), look)
        return look


def believed_s(took_s: float) -> float:
    """For how many seconds a look that took *took_s* is shown again."""
    return min(LONGEST_BELIEVED_S, max(BELIEVED_S, TIMES_ITS_COST * took_s))


def add(routes: Blueprint, parts: Parts) -> None:
    """The routes."""
    broker = BrokerWatch(parts.settings.broker_url.get_secret_value())
    looks = Looks(parts.engine, Records(parts.redis, terms_of(parts.settings)))

    @routes.get("/ops")
    @behind_login
    def home() -> Response:
        return page("overview", panels=PANELS, **_shown(looks.of(operator().caller.tenant_id), broker))

    @routes.get("/ops/live")
    @unattended
    def live() -> Response:
        look = looks.of(operator().caller.tenant_id)
        shown = _shown(look, broker)
        panels = {name: fragment(f"panels/{name}", **shown) for name in PANELS}
        response = jsonify({"at": f"{look.now:%H:%M:%S}", "panels": panels})
        response.headers.update(HEADERS)
        return response


def _shown(look: Overview, broker: BrokerWatch) -> dict[str, Any]:
    """What the panels' templates need."""
    drawn = {"charts": charts, "states": STATES, "bars": charts.stacked(look.slots)}
    return drawn | {"look": look, "broker_is_up": broker.is_up()}
