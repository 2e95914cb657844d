"""Makes the method a PSP kept with the charge a stored method of the customer, and ends the order.

It never needs the card: storing rode on the charge. Its failure never un-sells an order: after three tries, or
five workers that it took down, the order is done without a stored method.
"""

from __future__ import annotations

import structlog

from shared.domain.outcomes import Captured, KeptMethod
from shared.domain.states import OrderEvent, OrderState
from shared.failpoints import Failpoint, reach
from shared.kept import open_kept
from shared.logs import about
from shared.patience import KEEP_TRIES, PSP_AWAY
from shared.psp.port import Channel
from shared.store import attempts, methods, moves, orders
from shared.store.attempts import Attempt, AttemptState
from shared.store.engine import statements
from shared.store.orders import Order
from workers.runtime import Runtime
from workers.suspicion import begun

log = structlog.get_logger(__name__)


def tokenize(run: Runtime, tracking_number: str) -> None:
    """End a captured order, storing its method first if it asked for that."""
    reach(Failpoint.TOKENIZE_BEFORE_END)
    done = moves.ended_with_nothing_to_store(run.engine, tracking_number)
    reach(Failpoint.TOKENIZE_AFTER_END)
    if done is not None:
        about(done.tenant_id)
        _tell(done, stored=False)
        return
    order = orders.get(run.engine, tracking_number)
    if order is None or order.state is not OrderState.CAPTURED:
        return
    about(order.tenant_id)
    order = begun(run.engine, order)
    if order is None:
        return
    every = attempts.of_order(run.engine, order.tenant_id, order.tracking_number) if order.stores_method else ()
    paid = next((one for one in every if one.outcome is AttemptState.CAPTURED), None)
    kept = _kept(run, paid) if paid is not None else None
    if paid is not None and kept is None and order.rings < KEEP_TRIES:
        reach(Failpoint.TOKENIZE_BEFORE_WAIT)
        with statements(run.engine) as conn:
            moves.look_again(conn, order, due_in=PSP_AWAY)
        reach(Failpoint.TOKENIZE_AFTER_WAIT)
        return
    _end(run, order, paid, kept)


def _kept(run: Runtime, paid: Attempt) -> KeptMethod | None:
    """What the PSP kept with the charge: told with the capture, else asked for."""
    told = open_kept(run.keyring, paid)
    if told is not None:
        return told
    psp = run.psp_for(run.account_at(paid.tenant_id, paid.provider))
    if not psp.capabilities.looks_up:
        return None  # It told with the capture, or it kept nothing.
    reach(Failpoint.TOKENIZE_BEFORE_CALL)
    answer = psp.look_up(paid.query)
    return answer.kept if isinstance(answer, Captured) else None


def _end(run: Runtime, order: Order, paid: Attempt | None, kept: KeptMethod | None) -> None:
    event = OrderEvent.STORING_SKIPPED if kept is None else OrderEvent.METHOD_STORED
    with run.engine.begin() as conn:
        done = moves.advance(conn, order, event, actor="tokenize")
        if done is not None and paid is not None and kept is not None:
            methods.store(
                conn,
                run.keyring,
                order.tenant_id,
                order.customer_urn,
                Channel(order.channel),
                paid.provider,
                kept,
                alias=_alias(order),
                tracking_number=order.tracking_number,
            )
        reach(Failpoint.TOKENIZE_BEFORE_COMMIT)
    reach(Failpoint.TOKENIZE_AFTER_COMMIT)
    if done is not None:
        _tell(done, stored=kept is not None)


def _tell(done: Order, *, stored: bool) -> None:
    log.info("order.done", tracking_number=done.tracking_number, stored=stored)


def _alias(order: Order) -> str | None:
    card = order.request["paymentMethod"].get("creditCard") or {}
    alias: str | None = card.get("cardAlias")
    return alias
