"""Releases parked PSP events: news that came before its attempt was known is settled once it is.

An attempt is committed before its PSP is called, so an event is early only if that commit was lost in a failover and
made again, or was not yet to be seen. That is rare and never urgent (look-ups ask, too), so it costs the payment's
own way nothing: the upkeep loop looks for such events and takes them one by one, each in its own transaction. One that
cannot be settled is logged and left, and a round goes on behind the last one: nothing stands in front of the others.
"""

from __future__ import annotations

from typing import Final

import structlog
from sqlalchemy import Connection

from shared.failpoints import Failpoint, reach
from shared.key_service import KeysAway
from shared.keyring import CannotOpen
from shared.messages import STEP_FOR
from shared.settle import News, settle
from shared.store import attempts, inbox, orders
from shared.store.engine import statements
from shared.store.inbox import EventName, Place
from shared.store.orders import Order
from shared.told import UnreadableTold, open_told
from workers.apart import apart
from workers.look_up import UNCLEAR
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

BATCH: Final = 100
"""Events a round; more can only wait after a failover, and then the next round is soon."""


class Releases:
    """What one process knows from round to round: which event it tried last."""

    def __init__(self) -> None:
        self._after: Place | None = None

    def round(self, run: Runtime) -> int:
        """Settle the parked events whose attempt is known by now, a batch of them; how many were."""
        with statements(run.engine) as conn:
            waiting = inbox.releasable(conn, limit=BATCH, after=self._after)
        released = 0
        for place, name in waiting:
            with apart("inbox.not_released", provider=name.provider, event_id=name.event_id):
                try:
                    released += _release(run, name)
                except KeysAway:
                    log.warning("inbox.keys_away", waiting=len(waiting))
                    return released  # They are away for the others, too.
            self._after = place
        if len(waiting) < BATCH:
            self._after = None
        return released


def _release(run: Runtime, name: EventName) -> bool:
    try:
        with run.engine.begin() as conn:
            moved = _settle(run, conn, name)
            reach(Failpoint.RELEASE_BEFORE_COMMIT)
        reach(Failpoint.RELEASE_AFTER_COMMIT)
    except (CannotOpen, UnreadableTold):  # It must not stand in the way of the others.
        log.exception("inbox.unreadable", provider=name.provider, event_id=name.event_id)
        return False
    if moved is None:
        return False
    _go_on(run, *moved)
    return True


def _settle(run: Runtime, conn: Connection, name: EventName) -> tuple[Order, Order] | None:
    """Settle one parked event; the order before and after, None if somebody else took it or nobody can say of whom it
    tells."""
    event = inbox.take_parked(conn, name)
    if event is None:
        return None
    outcome = open_told(run.keyring, name.tenant_id, name.event_id, event.sealed)
    attempt = attempts.told_of(
        conn,
        name.tenant_id,
        name.provider,
        psp_key=event.psp_key,
        reference=event.psp_reference,
        merchant_reference=event.merchant_reference,
    )
    if attempt is None:
        return None  # More than one may be meant.
    before = orders.lock(conn, attempt.tenant_id, attempt.tracking_number)
    assert before is not None, "an attempt has an order"
    after = settle(conn, News(attempt, outcome, actor="upkeep"), run.terms)
    inbox.settled(conn, name)
    return before, after


def _go_on(run: Runtime, before: Order, after: Order) -> None:
    log.info("inbox.released", tracking_number=after.tracking_number, state=after.state)
    if before.version == after.version:
        return
    run.velocity.note(after)
    if before.state in UNCLEAR and after.state not in UNCLEAR and not after.is_finished:
        run.doorbell.ring(STEP_FOR[after.state], after.tracking_number)
        reach(Failpoint.RELEASE_AFTER_RING)
    run.forget_spent_card(after)
