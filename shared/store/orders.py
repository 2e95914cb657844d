"""Reads an order and moves it; every move is one compare-and-set that also writes its event.

`advance` is the only statement in the system that changes an order's state. It names the state it moves from
and the fence its caller holds; whoever comes second changes nothing and gets None. The event row, the end of the
lease and, for a failed order, the release of its offer are parts of the same statement, so no crash can part them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Interval,
    Uuid,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    true,
    update,
)

from shared.domain.states import NEEDS_NO_CARD, TERMINAL, OrderEvent, OrderState, next_state
from shared.patience import CRASHES_TO_PARK
from shared.store.tables import offer_holds, order_events, orders


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
    def is_finished(self) -> bool:
        """Whether the order reached its end."""
        return self.state in TERMINAL


_COLUMNS: Final = [
    func.clock_timestamp().label("seen_at") if field.name == "seen_at" else orders.c[field.name]
    for field in fields(Order)
]


def _order(row: Any) -> Order:
    return Order(**(dict(row._mapping) | {"state": OrderState(row.state)}))


def get(conn: Connection, tracking_number: str) -> Order | None:
    """The order of *tracking_number*, for the engine room; the front door asks with its tenant (`of_tenant`)."""
    row = conn.execute(select(*_COLUMNS).where(orders.c.tracking_number == tracking_number)).one_or_none()
    return None if row is None else _order(row)


def tenant_of(conn: Connection, tracking_number: str) -> UUID | None:
    """Whose order it is, for a caller who shows no key and has yet to prove the number is theirs (migration 0004)."""
    found = conn.execute(select(func.c2a_tenant_of_order(tracking_number, type_=Uuid()))).scalar_one()
    return cast("UUID | None", found)


def of_tenant(conn: Connection, tenant_id: UUID, tracking_number: str) -> Order | None:
    """The order if it is this tenant's; another tenant's is as unknown as none (contract section 3)."""
    row = conn.execute(
        select(*_COLUMNS).where(orders.c.tracking_number == tracking_number, orders.c.tenant_id == tenant_id)
    ).one_or_none()
    return None if row is None else _order(row)


def lock(conn: Connection, tenant_id: UUID, tracking_number: str) -> Order | None:
    """The order with its row locked until the transaction ends: where facts about money are settled."""
    row = conn.execute(
        select(*_COLUMNS)
        .where(orders.c.tracking_number == tracking_number, orders.c.tenant_id == tenant_id)
        .with_for_update()
    ).one_or_none()
    return None if row is None else _order(row)


def advance(
    conn: Connection,
    order: Order,
    event: OrderEvent,
    *,
    actor: str,
    due_in: timedelta | None = None,
    deadline_in: timedelta | None = None,
    attempt_no: int | None = None,
    only_if: ColumnElement[bool] = true(),  # noqa: B008 - an immutable expression
    **values: Any,
) -> Order | None:
    """Move *order* by *event*; None if someone else moved it first, or *only_if* does not hold.

    *due_in* is when somebody must look at it next (required unless the move ends it), *deadline_in* when the new
    state ends by itself. Both are added to the database's clock. Raises IllegalMove for a move outside the table.
    """
    to = next_state(order.state, event)
    ends = to in TERMINAL
    assert ends or due_in is not None, "a live order is always due"
    moved = (
        update(orders)
        .where(*_is(order), only_if)
        .values(
            state=to,
            version=orders.c.version + 1,
            changed_at=func.now(),
            finished_at=func.now() if ends else None,
            due_at=null() if ends else func.now() + literal(due_in, Interval),
            deadline_at=null() if deadline_in is None else func.now() + literal(deadline_in, Interval),
            **_AT_REST | values,
        )
        .returning(*_COLUMNS)
        .cte("moved")
    )
    told = (
        insert(order_events)
        .from_select(
            ["tenant_id", "tracking_number", "version", "event", "state", "actor", "attempt_no"],
            select(
                moved.c.tenant_id,
                moved.c.tracking_number,
                moved.c.version,
                literal(event.value),
                literal(to.value),
                literal(actor),
                literal(attempt_no, order_events.c.attempt_no.type),
            ),
        )
        .cte("told")
    )
    result = select(*moved.c).add_cte(told)
    if to is OrderState.FAILED:
        result = result.add_cte(_released(moved))
    row = conn.execute(result).one_or_none()
    return None if row is None else _order(row)


_AT_REST: Final[dict[str, Any]] = {
    "lease_owner": None,
    "lease_until": None,
    "lease_limit": None,
    "redirect": None,
    "waits_for": None,
    "rings": 0,
}
"""What every move resets unless it says otherwise: nobody works on the order, it stands in no row, nobody was rung."""


def _is(order: Order) -> list[Any]:
    return [
        orders.c.tracking_number == order.tracking_number,
        orders.c.tenant_id == order.tenant_id,
        orders.c.state == order.state,
        orders.c.fence == order.fence,
    ]


def _released(moved: CTE) -> CTE:
    """The offer of a failed order may be ordered again; a hold ends in no other way.

    Only of an order that *moved*: PostgreSQL runs a data-modifying CTE whatever its siblings found, and who comes too
    late to fail an order must not take the offer from under it.
    """
    return (
        delete(offer_holds)
        .where(
            offer_holds.c.tenant_id == moved.c.tenant_id,
            offer_holds.c.offer_identifier == moved.c.offer_identifier,
            offer_holds.c.tracking_number == moved.c.tracking_number,
        )
        .cte("released")
    )


def begin_again(conn: Connection, order: Order) -> Order | None:
    """Count one more worker that did not end its step with *order*, and park it at the last it may take (design: 5).

    None if *order* moved on since it was read: then somebody did end it.
    """
    crashes = orders.c.crashes + 1
    row = conn.execute(
        update(orders)
        .where(*_is(order))
        .values(crashes=crashes, parked=orders.c.parked | (crashes >= CRASHES_TO_PARK))
        .returning(*_COLUMNS)
    ).one_or_none()
    return None if row is None else _order(row)


def look_again(
    conn: Connection,
    order: Order,
    *,
    due_in: timedelta,
    only_if: ColumnElement[bool] = true(),  # noqa: B008 - an immutable expression
) -> bool:
    """Set when somebody must look at *order* next, if it still stands where its reader saw it, is not finished and
    *only_if* holds; whether it did."""
    set_to = (
        update(orders)
        .where(*_is(order), orders.c.finished_at.is_(None), only_if)
        .values(due_at=func.now() + literal(due_in, Interval), rings=order.rings + 1)
        .returning(orders.c.version)
    )
    return conn.execute(set_to).one_or_none() is not None


def stand_in_row(conn: Connection, order: Order, provider: str, *, due_in: timedelta) -> bool:
    """Have *order* wait for its place at *provider*, if it still stands where its reader saw it; whether it does.

    No back-off grows with it: whoever has a place is rung for when it comes up, however often it was before.
    """
    placed = (
        update(orders)
        .where(*_is(order), orders.c.finished_at.is_(None))
        .values(due_at=func.now() + literal(due_in, Interval), waits_for=provider, rings=0)
        .returning(orders.c.version)
    )
    return conn.execute(placed).one_or_none() is not None


NOBODY_RANG: Final = orders.c.rings == 0
"""Nobody has asked for the order to be looked at since it came to where it stands."""
