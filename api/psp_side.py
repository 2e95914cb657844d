"""Where PSPs tell us news and shoppers come back (contract section 6); neither carries an API key.

A webhook is verified as it was sent before anything of it is parsed, stored once, and settled in the commit that
stores it. A returning shopper proves nothing about money: the signed state only says which order to ask the PSP
about, and the asking is rung for.
"""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Final

import structlog
from flask import Blueprint, Response, redirect, request
from sqlalchemy.exc import SQLAlchemyError

from api import return_page
from api.auth import public
from api.envelope import answer
from api.limits import by_account, forget_polls
from api.parts import Parts
from api.strict_json import capped
from api.webhooks import take
from shared.domain.states import OrderState
from shared.failpoints import Failpoint, reach
from shared.ids import is_return_state
from shared.messages import Step
from shared.store import orders, tenants
from shared.store.engine import statements
from shared.store.orders import Order

log = structlog.get_logger(__name__)

LOOK_SOON: Final = timedelta(seconds=2)
"""If the ring for a look-up is lost, the rescuer asks this soon after the shopper came back."""


def blueprint(parts: Parts) -> Blueprint:
    """The routes over *parts*."""
    routes = Blueprint("psp_side", __name__)

    @routes.post("/c2a/psp/<provider>/<account_id>/webhook")
    @public
    @by_account
    def webhook(provider: str, account_id: str) -> Response:
        take(parts, provider, account_id, dict(request.headers), capped())
        return answer({}, code="SUCCESS")

    @routes.route("/c2a/offer/checkout/<tracking_number>/return", methods=["GET", "POST"])
    @public
    def come_back(tracking_number: str) -> Response:
        try:
            return _welcome(parts, tracking_number)
        except SQLAlchemyError as error:
            log.warning("return.database_away", error=type(error).__name__)
            return return_page.busy()

    return routes


def _welcome(parts: Parts, tracking_number: str) -> Response:
    order = _returning(parts, tracking_number)
    if order is None:
        return return_page.unknown()
    if order.state is OrderState.CHALLENGE:
        forget_polls(parts.redis, order.tenant_id, tracking_number)  # As a webhook does: the shopper has acted.
        _ask_soon(parts, order)
    return _onward(parts, order)


def _returning(parts: Parts, tracking_number: str) -> Order | None:
    """The order a shopper comes back to, if the state they bring was signed for it."""
    with statements(parts.engine) as conn:
        order = orders.get(conn, tracking_number)
    state = request.args.get("state", "")
    if order is None or not is_return_state(parts.keyring, order.tenant_id, tracking_number, state):
        log.warning("return.refused", known=order is not None)
        return None
    return order


def _ask_soon(parts: Parts, order: Order) -> None:
    reach(Failpoint.BROWSER_BEFORE_STATEMENT)
    with statements(parts.engine) as conn:
        orders.look_again(conn, order, due_in=LOOK_SOON)
    reach(Failpoint.BROWSER_AFTER_STATEMENT)
    parts.doorbell.ring(Step.LOOK_UP, order.tracking_number)
    reach(Failpoint.BROWSER_AFTER_RING)


def _onward(parts: Parts, order: Order) -> Response:
    with statements(parts.engine) as conn:
        tenant = tenants.get(conn, order.tenant_id)
    target = tenant.settings.return_url if tenant is not None else None
    if not target:
        return return_page.thanks(order.tracking_number)
    joint = "&" if "?" in target else "?"
    onward = redirect(f"{target}{joint}trackingNumber={order.tracking_number}", HTTPStatus.SEE_OTHER, Response)
    assert isinstance(onward, Response)
    return onward
