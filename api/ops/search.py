"""Finding orders: by any name somebody has, by state and time, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from api.ops.guard import behind_login, operator
from api.ops.pages import page
from api.parts import Parts
from shared.domain.states import OrderState
from shared.operate.search import Page, search
from shared.store.engine import statements
from shared.store.order_search import Wanted

A_PAGE: Final = 50
NAMES: Final = ("number", "correlation", "customer", "reference")
LONGEST: Final = 255
"""Contract section 2: no name of an order is longer."""
STUCK: Final = "stuck"


class NotAsked(ValueError):
    """What was asked for cannot be looked for; the message says which field."""


def add(routes: Blueprint, parts: Parts) -> None:
    """The route."""

    @routes.get("/ops/orders")
    @behind_login
    def orders() -> Response:
        asked = {name: value.strip() for name, value in request.args.items() if value.strip()}
        try:
            found, wrong = _found(parts, asked), ""
        except NotAsked as error:
            found, wrong = Page((), None, None), str(error)
        more = urlencode(asked | {"before": found.next}) if found.next else None
        status = 400 if wrong else 200
        return page("orders", status, asked=asked, found=found, more=more, wrong=wrong, every_state=list(OrderState))


def _found(parts: Parts, asked: Mapping[str, str]) -> Page:
    wanted, now = _wanted(asked), parts.clock()
    with statements(parts.engine) as conn:
        return search(conn, wanted, now=now, before=_name(asked, "before"), limit=A_PAGE)


def _wanted(asked: Mapping[str, str]) -> Wanted:
    """What the form asks for. Raises NotAsked."""
    state = asked.get("state")
    if state not in (None, STUCK, *OrderState):
        raise NotAsked("State: choose one of the list")
    return Wanted(
        tenant_id=operator().caller.tenant_id,
        tracking_number=_name(asked, "number"),
        correlation_id=_name(asked, "correlation"),
        customer_urn=_name(asked, "customer"),
        psp_reference=_name(asked, "reference"),
        states=frozenset() if state in (None, STUCK) else frozenset({OrderState(state)}),
        stuck=state == STUCK,
        since=_moment(asked, "since"),
        until=_moment(asked, "until"),
    )


def _name(asked: Mapping[str, str], field: str) -> str | None:
    value = asked.get(field)
    if value is not None and (len(value) > LONGEST or not value.isprintable()):
        raise NotAsked(f"{field.capitalize()}: at most {LONGEST} printable characters")
    return value


def _moment(asked: Mapping[str, str], field: str) -> datetime | None:
    value = asked.get(field)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise NotAsked(f"{field.capitalize()}: say it as 2026-01-31T14:05") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if moment.timestamp() < 0:
        raise NotAsked(f"{field.capitalize()}: there were no orders then")
    return moment
