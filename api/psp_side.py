"""Where PSPs tell us news and shoppers come back (contract section 6); neither carries an API key.

A webhook is verified as it was sent before anything of it is parsed, stored once, and settled in the commit that
stores it. A returning shopper proves nothing about money: the signed state only says which order to ask the PSP
about, and the asking is rung for. A state is good for one asking, of the attempt it was signed for, while that waits
for its shopper: the order's row remembers that it was asked for. Whoever brings it a second time sees the same page and
makes nothing happen, but for what their browser brought back from a PSP that wants it (Capabilities.brings): that is
noted once, whoever came before it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from flask import Blueprint, Response, request
from sqlalchemy import Connection, true
from sqlalchemy.exc import SQLAlchemyError

from api import return_page
from api.auth import public
from api.envelope import answer
from api.limits import by_account, forget_polls
from api.parts import Parts
from api.strict_json import capped
from api.webhooks import take
from shared.brought import seal_brought, wanted
from shared.domain.states import OrderState
from shared.failpoints import Failpoint, reach
from shared.ids import attempt_of_state
from shared.key_service import KeysAway
from shared.logs import about
from shared.messages import Step
from shared.psp.factory import psp_for
from shared.store import accounts, attempts, moves, orders, tenants
from shared.store.attempts import Attempt, AttemptState
from shared.store.engine import statements
from shared.store.orders import Order
from shared.store.tenancy import acting_for

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
        acknowledgement = take(parts, provider, account_id, dict(request.headers), capped())
        if acknowledgement is not None:
            return Response(acknowledgement, content_type="text/plain")
        return answer({}, code="SUCCESS")

    @routes.route("/c2a/offer/checkout/<tracking_number>/return", methods=["GET", "POST"])
    @public
    def come_back(tracking_number: str) -> Response:
        try:
            return _welcome(parts, tracking_number)
        except (SQLAlchemyError, KeysAway) as error:
            log.warning("return.busy", error=type(error).__name__)
            return return_page.busy()

    return routes


def _welcome(parts: Parts, tracking_number: str) -> Response:
    tenant_id, attempt_no = _returning(parts, tracking_number)
    if tenant_id is None or attempt_no is None:
        log.warning("return.refused", known=tenant_id is not None)
        return return_page.unknown()
    about(tenant_id)
    with acting_for(tenant_id):
        return _welcome_to(parts, tenant_id, tracking_number, attempt_no)


def _welcome_to(parts: Parts, tenant_id: UUID, tracking_number: str, attempt_no: int) -> Response:
    with statements(parts.engine) as conn:
        order = orders.of_tenant(conn, tenant_id, tracking_number)
    assert order is not None, "its tenant was just learned"
    if order.state is OrderState.CHALLENGE:
        _ask_once(parts, order, attempt_no)
    return _onward(parts, order)


def _returning(parts: Parts, tracking_number: str) -> tuple[UUID | None, int | None]:
    """Whose order a shopper comes back to, if there is one, and the attempt their state was signed for, if it was."""
    with statements(parts.engine) as conn:
        tenant_id = orders.tenant_of(conn, tracking_number)
    states = request.args.getlist("state")
    if tenant_id is None or len(states) != 1:
        return tenant_id, None
    return tenant_id, attempt_of_state(parts.keyring, tenant_id, tracking_number, states[0])


def _ask_once(parts: Parts, order: Order, attempt_no: int) -> None:
    """Have the PSP asked about the attempt, if it waits for its shopper and nobody asked since it does."""
    reach(Failpoint.BROWSER_BEFORE_STATEMENT)
    with statements(parts.engine) as conn:
        every = attempts.of_order(conn, order.tenant_id, order.tracking_number)
        waits = next((o for o in every if o.attempt_no == attempt_no and o.outcome is AttemptState.CHALLENGED), None)
        is_news = waits is not None and _bring(parts, conn, waits)
        only_if = true() if is_news else moves.NOBODY_RANG
        if waits is None or not moves.look_again(conn, order, due_in=LOOK_SOON, only_if=only_if):
            log.info("return.again", tracking_number=order.tracking_number)
            return
    reach(Failpoint.BROWSER_AFTER_STATEMENT)
    forget_polls(parts.redis, order.tenant_id, order.tracking_number)  # As a webhook does: the shopper has acted.
    parts.doorbell.ring(Step.LOOK_UP, order.tracking_number)
    reach(Failpoint.BROWSER_AFTER_RING)


def _bring(parts: Parts, conn: Connection, attempt: Attempt) -> bool:
    """Note what the browser brought back for *attempt*, if its PSP wants any of it; whether that is news."""
    fields = request.values.to_dict()
    if fields.keys() <= {"state"}:
        return False
    account = accounts.get(conn, parts.keyring, attempt.tenant_id, attempt.provider)
    assert account is not None, "an account that was charged through is disabled, never deleted"
    brought = wanted(fields, psp_for(account).capabilities.brings)
    return bool(brought) and attempts.bring(conn, attempt, seal_brought(parts.keyring, attempt, brought))


def _onward(parts: Parts, order: Order) -> Response:
    with statements(parts.engine) as conn:
        tenant = tenants.get(conn, order.tenant_id)
    target = tenant.settings.return_url if tenant is not None else None
    if not target:
        return return_page.thanks(order.tracking_number)
    joint = "&" if "?" in target else "?"
    return return_page.onward(f"{target}{joint}trackingNumber={order.tracking_number}")
