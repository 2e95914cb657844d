"""Reads an order: one row of the status table, as it was when it was read. What moves it is in moves.py."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import (
    Connection,
    Uuid,
    bindparam,
    func,
    select,
)

from shared.domain.states import NEEDS_NO_CARD, TERMINAL, OrderState
from shared.ids import may_be_number
from shared.store.direct import At, Direct
from shared.store.month_bounds import numbered
from shared.store.tables import orders


@dataclass(frozen=True, slots=True)
class Order:
    """One row of the status table, as its reader saw it."""

    tenant_id: UUID
    tracking_number: str
    state: OrderState
    version: int
    offer_identifier: str
    customer_urn: str
    correlation_id: str | None
    channel: str
    forced_provider: str | None
    stored_method_urn: str | None
    carries_card: bool
    keeps_method: bool
    request: dict[str, Any]
    amount_minor: int | None
    currency: str | None
    failure: str | None
    redirect: dict[str, Any] | None
    fence: int
    lease_until: datetime | None
    due_at: datetime | None
    deadline_at: datetime | None
    waits_for: str | None
    rings: int
    crashes: int
    parked: bool
    admitted_at: datetime
    seen_at: datetime
    """The database's clock when the row was read."""

    @property
    def merchant_reference(self) -> str:
        """What the PSP is told this order is called: re-derivable, so a lost row can be found by it."""
        return self.correlation_id or self.tracking_number

    @property
    def is_overdue(self) -> bool:
        """Whether the deadline of its present state was past when it was read."""
        return self.deadline_at is not None and self.deadline_at <= self.seen_at

    @property
    def is_leased(self) -> bool:
        """Whether somebody's lease on it ran when it was read."""
        return self.lease_until is not None and self.lease_until > self.seen_at

    @property
    def stands_in_row(self) -> bool:
        """Whether its place at its PSP was still to come when it was read; once it is rung for, it has come."""
        is_placed = self.waits_for is not None and self.rings == 0
        return is_placed and self.due_at is not None and self.due_at > self.seen_at

    @property
    def is_pending(self) -> bool:
        """Whether its PSP has its payment and will know later: of the orders that are confirming, only such a one has
        a deadline."""
        return self.state is OrderState.CONFIRMING and self.deadline_at is not None

    @property
    def is_bound(self) -> bool:
        """Whether one PSP alone may take its payment: it was forced, or has the token of the stored method."""
        return self.forced_provider is not None or self.stored_method_urn is not None

    @property
    def needs_no_card(self) -> bool:
        """Whether no further attempt can need the shopper's card: a pending payment is never sent again, either."""
        return self.is_pending or self.state in NEEDS_NO_CARD

    @property
    def stores_method(self) -> bool:
        """Whether its method is to become a stored one; one that is stored already is not stored again."""
        return self.keeps_method and self.stored_method_urn is None and not self.parked

    @property
    def is_finished(self) -> bool:
        """Whether the order reached its end."""
        return self.state in TERMINAL


COLUMNS: Final = [
    func.clock_timestamp().label("seen_at") if field.name == "seen_at" else orders.c[field.name]
    for field in fields(Order)
]
"""What is read of an order, in the order of its fields."""
_STATE_AT: Final = [field.name for field in fields(Order)].index("state")

NUMBERED: Final = numbered("number")
"""The order of one `number`."""
OF_TENANT: Final = NUMBERED & (orders.c.tenant_id == bindparam("tenant"))
"""The order of one `number`, if it is that `tenant`'s."""
SEEN: Final = OF_TENANT & (orders.c.state == bindparam("from_state")) & (orders.c.fence == bindparam("from_fence"))
"""The order as its reader saw it (`seen`)."""

READ: Final = Direct(select(*COLUMNS).where(NUMBERED))
"""The order of one `number`: for the engine room, which asks for all of one at once."""
_READ_TENANTS: Final = Direct(select(*COLUMNS).where(OF_TENANT))
_LOCK: Final = Direct(select(*COLUMNS).where(OF_TENANT).with_for_update())


def order_of(row: Any) -> Order:
    """The order that *row*, of COLUMNS, holds."""
    values = [*row]
    values[_STATE_AT] = OrderState(values[_STATE_AT])
    return Order(*values)


def found(row: Any) -> Order | None:
    """The order that *row*, of COLUMNS, holds, if there is one."""
    return None if row is None else order_of(row)


def seen(order: Order) -> dict[str, Any]:
    """The values of SEEN."""
    return {
        "number": order.tracking_number,
        "tenant": order.tenant_id,
        "from_state": order.state.value,
        "from_fence": order.fence,
    }


def get(at: At, tracking_number: str) -> Order | None:
    """The order of *tracking_number*, for the engine room; the front door asks with its tenant (`of_tenant`)."""
    return found(READ.one_or_none(at, {"number": tracking_number}))


def tenant_of(conn: Connection, tracking_number: str) -> UUID | None:
    """Whose order it is, for a caller who shows no key and has yet to prove the number is theirs (migration 0004)."""
    if not may_be_number(tracking_number):
        return None
    found = conn.execute(select(func.c2a_tenant_of_order(tracking_number, type_=Uuid()))).scalar_one()
    return cast("UUID | None", found)


def of_tenant(at: At, tenant_id: UUID, tracking_number: str) -> Order | None:
    """The order if it is this tenant's; another tenant's is as unknown as none (contract section 3)."""
    if not may_be_number(tracking_number):
        return None
    return found(_READ_TENANTS.one_or_none(at, {"number": tracking_number, "tenant": tenant_id}))


def lock(conn: Connection, tenant_id: UUID, tracking_number: str) -> Order | None:
    """The order with its row locked until the transaction ends: where facts about money are settled."""
    return found(_LOCK.one_or_none(conn, {"number": tracking_number, "tenant": tenant_id}))
