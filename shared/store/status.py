"""Reads what a poller may see: one primary-key read of a few columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine, Float, bindparam, case, func, select

from shared.domain.states import CODE_OF, TERMINAL, CheckoutCode, OrderState
from shared.store.direct import Direct
from shared.store.month_bounds import numbered
from shared.store.tables import orders


@dataclass(frozen=True, slots=True)
class Status:
    """Where an order stands, in public words. *version* only grows."""

    tracking_number: str
    code: CheckoutCode
    version: int
    is_final: bool
    message: str | None
    redirect: dict[str, Any] | None
    place_in_s: float | None = None
    """Seconds until its place in the row of its PSP comes up, while it stands in one: nothing happens before."""

    @classmethod
    def fresh(cls, tracking_number: str) -> Status:
        """Where an order stands that was admitted this moment."""
        return cls(tracking_number, CheckoutCode.PROCESSING, 1, is_final=False, message=None, redirect=None)


_PLACE_IN_S: Final = case(
    (
        orders.c.waits_for.is_not(None) & (orders.c.rings == 0),
        func.extract("epoch", orders.c.due_at - func.clock_timestamp()).cast(Float),
    )
)
"""As Order.stands_in_row: what was rung for is somebody's work already."""

_READ: Final = Direct(
    select(orders.c.state, orders.c.version, orders.c.failure, orders.c.redirect, _PLACE_IN_S).where(
        numbered("tracking_number"), orders.c.tenant_id == bindparam("tenant_id")
    )
)


def read(engine: Engine, tenant_id: UUID, tracking_number: str) -> Status | None:
    """The status of this tenant's order; another tenant's order is as unknown as none."""
    row = _READ.one_or_none(engine, {"tracking_number": tracking_number, "tenant_id": tenant_id})
    if row is None:
        return None
    name, version, failure, redirect, place_in_s = row
    state = OrderState(name)
    is_ahead = place_in_s is not None and place_in_s > 0
    return Status(
        tracking_number,
        CODE_OF[state],
        version,
        state in TERMINAL,
        failure,
        redirect,
        place_in_s if is_ahead else None,
    )
