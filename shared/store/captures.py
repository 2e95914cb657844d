"""Settles a capture that meets its order just as it was claimed: one statement, where `settle` takes a transaction.

Nearly every payment ends here: nobody brought other news while the PSP was asked, so the order is still `paying` under
the fence of its claim, its attempt is open, and no other attempt has the money or this charge. All of that is asked by
the statement itself. Whoever may bring other news locks the order's row first and moves it, so what is asked of the
attempts holds once the row is ours. Where anything is different nothing is written, and `settle` judges.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import CTE, ColumnElement, bindparam, exists, func, or_, select, update

from shared.domain.states import OrderEvent, OrderState
from shared.store import moves
from shared.store.attempts import Attempt, AttemptState, settled, values_of
from shared.store.direct import At
from shared.store.orders import Order
from shared.store.tables import payment_attempts


def captured_as_claimed(
    at: At,
    order: Order,
    attempt: Attempt,
    *,
    reference: str,
    kept_token: bytes | None,
    due_in: timedelta,
    ends: bool = False,
) -> Order | None:
    """Make *order*, as its claim answered it, captured by *attempt* in full; None if it does not stand as it did then.

    *ends*: and done, if it stores no method; nobody has anything left to do for it. Raises IntegrityError if the charge
    is another order's.
    """
    given = values_of(attempt, AttemptState.CAPTURED, reference=reference, kept_token=kept_token)
    statement = _CAPTURING[ends and not order.stores_method]
    return moves.move(statement, at, order, actor="pay", due_in=due_in, given=given | {"provider": attempt.provider})


def _attempt(number: ColumnElement[bool]) -> ColumnElement[bool]:
    column = payment_attempts.c
    return (column.tenant_id == bindparam("tenant")) & (column.tracking_number == bindparam("number")) & number


_column: Final[Any] = payment_attempts.c
_NUMBER: Final[Any] = bindparam("attempt_no", type_=_column.attempt_no.type)
_REFERENCE: Final[Any] = bindparam("to_reference", type_=_column.psp_reference.type)
_MINE: Final = (
    _attempt(_column.attempt_no == _NUMBER)
    & (_column.outcome == AttemptState.OPEN.value)
    & (func.coalesce(_column.psp_reference, _REFERENCE) == _REFERENCE)
)
_RIVAL: Final = _attempt(_column.attempt_no != _NUMBER) & or_(
    _column.outcome == AttemptState.CAPTURED.value,
    (_column.provider == bindparam("provider")) & (_column.psp_reference == _REFERENCE),
)


def _captured(moved: CTE) -> CTE:
    return (
        update(payment_attempts)
        .where(_column.tenant_id == moved.c.tenant_id, _column.tracking_number == moved.c.tracking_number)
        .where(_column.attempt_no == _NUMBER)
        .values(settled())
        .cte("captured")
    )


_TO_CAPTURED: Final = moves.Hop(OrderEvent.PAYMENT_CAPTURED, OrderState.CAPTURED)
_CAPTURING: Final = {
    ends: moves.moving(
        *hops,
        only_if=exists(select(_column.attempt_no).where(_MINE)) & ~exists(select(_column.attempt_no).where(_RIVAL)),
        also=_captured,
    )
    for ends, hops in {False: (_TO_CAPTURED,), True: (_TO_CAPTURED, moves.NOTHING_STORED)}.items()
}
