"""Counts the workers that a step without a lease seems to have taken down, and parks its order at the fifth.

A payment's lease ends unreleased when its worker dies, and is counted when it is taken over. The steps before and
after it hold none, and a statement to say "I begin" would cost every order one. So only a worker that was rung for
again says it: whoever had the message before did not end the step. It is the worker that counts and never the ring,
so that an order whose messages are lost, however many, is suspected of nothing.
"""

from __future__ import annotations

import structlog

from shared.observe.metrics import parked
from shared.store import moves
from shared.store.direct import At
from shared.store.orders import Order

log = structlog.get_logger(__name__)


def begun(at: At, order: Order) -> Order | None:
    """*order* as its step begins: as it was read, or counted and perhaps parked; None if it moved on meanwhile."""
    if not order.rings or order.parked:
        return order
    again = moves.begin_again(at, order)
    if again is not None and again.parked:
        log.error("order.parked", tracking_number=order.tracking_number, crashes=again.crashes)
        parked()
    return again
