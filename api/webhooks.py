"""Takes one PSP event: verify, keep once, settle, and ring for what it made possible."""

from __future__ import annotations

import time
from collections.abc import Mapping
from uuid import UUID

import structlog
from sqlalchemy import Connection
from werkzeug.exceptions import NotFound

from api.limits import forget_polls
from api.parts import Parts
from shared.domain.outcomes import reference_of
from shared.domain.refusals import InvalidRequest
from shared.domain.states import OrderState
from shared.failpoints import Failpoint, reach
from shared.logs import about
from shared.messages import STEP_FOR, Lane
from shared.psp.factory import psp_for
from shared.psp.port import BadSignature, PspEvent
from shared.settle import News, settle
from shared.store import accounts, attempts, inbox, orders
from shared.store.engine import statements
from shared.store.inbox import EventName
from shared.store.orders import Order
from shared.store.tenancy import acting_for

log = structlog.get_logger(__name__)

NOBODY_WALKS = frozenset({OrderState.CHALLENGE, OrderState.CONFIRMING})
"""States whose chain has ended: whoever moves an order out of them rings for the next step."""


def take(parts: Parts, provider: str, account_id: str, headers: Mapping[str, str], raw: bytes) -> str | None:
    """Make the event in *raw* true, once; the body its PSP wants in the answer, None if it wants none of its own.

    Raises NotFound (no such account) or InvalidRequest (bad signature).
    """
    with statements(parts.engine) as conn:
        account = accounts.by_account_id(conn, parts.keyring, account_id)
    if account is None or account.provider != provider:
        raise NotFound
    psp = psp_for(account)
    try:
        event = psp.read_event(headers, raw, now=parts.clock())
    except BadSignature as error:
        raise InvalidRequest("the signature or its time stamp does not verify") from error
    tenant_id = UUID(account.tenant_id)
    about(tenant_id)
    reach(Failpoint.WEBHOOK_BEFORE_TRANSACTION)
    with acting_for(tenant_id), parts.engine.begin() as conn:
        moved = _settle_once(
            parts, conn, tenant_id, provider, event, remembers_declines=psp.capabilities.remembers_declines
        )
        reach(Failpoint.WEBHOOK_BEFORE_COMMIT)
    reach(Failpoint.WEBHOOK_AFTER_COMMIT)
    if moved is not None:
        _go_on(parts, *moved)
    reach(Failpoint.WEBHOOK_BEFORE_ANSWER)
    return psp.capabilities.acknowledges_with


def _settle_once(
    parts: Parts, conn: Connection, tenant_id: UUID, provider: str, event: PspEvent, *, remembers_declines: bool
) -> tuple[Order, Order] | None:
    """Settle *event* unless it was; the order before and after."""
    if not inbox.keep(conn, parts.keyring, tenant_id, provider, event):
        return None
    name = EventName(tenant_id, provider, event.event_id)
    if event.outcome is None:
        inbox.settled(conn, name)
        return None
    attempt = attempts.told_of(
        conn,
        tenant_id,
        provider,
        psp_key=event.psp_key,
        reference=reference_of(event.outcome),
        merchant_reference=event.merchant_reference,
    )
    if attempt is None:
        log.warning("webhook.parked", provider=provider, event_id=event.event_id)
        return None
    before = orders.lock(conn, tenant_id, attempt.tracking_number)
    assert before is not None, "an attempt has an order"
    news = News(attempt, event.outcome, actor="webhook", remembers_declines=remembers_declines)
    after = settle(conn, news, parts.terms)
    inbox.settled(conn, name)
    return before, after


def _go_on(parts: Parts, before: Order, after: Order) -> None:
    if before.version == after.version:
        return
    parts.velocity.note(after)
    log.info("webhook.moved", tracking_number=after.tracking_number, state=after.state)
    if before.state is OrderState.CHALLENGE:
        forget_polls(parts.redis, after.tenant_id, after.tracking_number)
    if before.state in NOBODY_WALKS and after.state is not before.state and not after.is_finished:
        lane = Lane.CROWD if parts.crowds.is_one(after.tenant_id, time.monotonic()) else Lane.TURN
        parts.doorbell.ring(STEP_FOR[after.state], after.tracking_number, lane)
        reach(Failpoint.WEBHOOK_AFTER_RING)
    if after.carries_card and after.needs_no_card:
        parts.vault.forget(after.tenant_id, after.tracking_number)
