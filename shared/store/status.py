"""Reads what a poller may see: one primary-key read of four columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine, bindparam, select

from shared.domain.states import CODE_OF, TERMINAL, CheckoutCode, OrderState
from shared.store.direct import Direct
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

    @classmethod
    def fresh(cls, tracking_number: str) -> Status:
        """Where an order stands that was admitted this moment."""
        return cls(tracking_number, CheckoutCode.PROCESSING, 1, is_final=False, message=None, redirect=None)


_READ: Final = Direct(
    select(orders.c.state, orders.c.version, orders.c.failure, orders.c.redirect).where(
        orders.c.tracking_number == bindparam("tracking_number"), orders.c.tenant_id == bindparam("tenant_id")
    )
)


def read(engine: Engine, tenant_id: UUID, tracking_number: str) -> Status | None:
    """The status of this tenant's order; another tenant's order is as unknown as none."""
    row = _READ.one_or_none(engine, {"tracking_number": tracking_number, "tenant_id": tenant_id})
    if row is None:
        return None
    state, version, failure, redirect = OrderState(row[0]), *row[1:]
    return Status(tracking_number, CODE_OF[state], version, state in TERMINAL, failure, redirect)
