"""Attempts as rows, without the claim of an order beside which the product writes one ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import bindparam, select

from shared.domain.money import Money
from shared.store import tables
from shared.store.ahead import a_key_of_its_own, values_ahead, written_ahead
from shared.store.attempts import Attempt, AttemptState
from shared.store.direct import At, Direct
from shared.store.orders import Order

_WHOSE: Final = select(
    bindparam("tenant", type_=tables.orders.c.tenant_id.type).label("tenant_id"),
    bindparam("number", type_=tables.orders.c.tracking_number.type).label("tracking_number"),
).cte("whose")
_WRITE: Final = Direct(select(_WHOSE.c.tenant_id).add_cte(written_ahead(_WHOSE)))


def write_ahead(at: At, attempt: Attempt, *, route: Mapping[str, Any] | None = None) -> None:
    """Write *attempt* down as the payment step does before its call. Raises KeyTaken."""
    with a_key_of_its_own(attempt):
        whose = {"tenant": attempt.tenant_id, "number": attempt.tracking_number}
        _WRITE.all(at, whose | values_ahead(attempt, route))


def first_attempt(order: Order) -> Attempt:
    """An attempt to pay *order* that nobody made."""
    money = Money(order.amount_minor or 100, order.currency or "EUR")
    return Attempt(
        tenant_id=order.tenant_id,
        tracking_number=order.tracking_number,
        attempt_no=1,
        provider="sandbox",
        psp_key=f"key-{order.tracking_number}",
        merchant_reference=order.merchant_reference,
        amount_minor=money.amount_minor,
        currency=money.currency,
        outcome=AttemptState.OPEN,
        psp_reference=None,
        kept_token=None,
        looks=0,
        started_at=order.seen_at,
        asked_at=order.seen_at,
    )
