"""Who may work on an order: a lease with a fencing token, judged by the database's clock.

A claim raises the fence, and every later state write of the step names the fence it got: a worker that was
stopped past its lease wakes up, writes nothing and finds out. Facts about money do not pass through here; they
are settled under the row lock, whoever brings them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, Connection, Interval, Text, bindparam, func, or_, text

from shared.domain.money import Money
from shared.domain.states import OrderEvent, OrderState
from shared.patience import CRASHES_TO_PARK
from shared.store import ahead, holds, moves
from shared.store.attempts import Attempt
from shared.store.direct import At
from shared.store.moves import Hop
from shared.store.orders import Order
from shared.store.tables import orders


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """How long a claim holds unrenewed, and how long at most."""

    length: timedelta
    limit: timedelta


def claim(
    at: At, order: Order, attempt: Attempt, *, owner: str, terms: LeaseTerms, route: Mapping[str, Any] | None = None
) -> Order | None:
    """Take *order* to pay it and write *attempt* ahead, in one statement; None if somebody else holds it or was faster.

    From offer_locked it is a first claim; from paying it takes over a lease that ended unreleased, which counts
    as a crash of the worker that held it; the last one it may take parks the order (design: 5). From confirming the
    payment is sent again because its PSP cannot be asked. *route*: as `ahead.values_ahead` has it. Raises KeyTaken.
    """
    resumed = order.state is not OrderState.OFFER_LOCKED
    crashes = order.crashes + 1 if order.state is OrderState.PAYING else order.crashes
    statement = _CLAIMING[OrderEvent.PAYMENT_RESUMED if resumed else OrderEvent.PAYMENT_STARTED]
    given = _lease(owner, terms) | ahead.values_ahead(attempt, route)
    given |= {"crashes": crashes, "parked": crashes >= CRASHES_TO_PARK}
    with ahead.a_key_of_its_own(attempt):
        return moves.move(statement, at, order, actor="pay", due_in=terms.length, given=given)


def hold_and_claim(
    at: At,
    order: Order,
    attempt: Attempt,
    *,
    single_use: bool,
    price: Money,
    owner: str,
    terms: LeaseTerms,
    route: Mapping[str, Any] | None,
) -> Order | None:
    """Hold the offer of an admitted *order* at *price* and claim it, both in one statement and so in one commit.

    As `holds.hold` and then `claim`, of which it is both or neither: None if another order has the offer, or this one
    moved on. Raises KeyTaken.
    """
    given = _lease(owner, terms) | ahead.values_ahead(attempt, route) | holds.values_of(price)
    with ahead.a_key_of_its_own(attempt):
        return moves.move(_HOLDING_AND_CLAIMING[single_use], at, order, actor="pay", due_in=terms.length, given=given)


def _lease(owner: str, terms: LeaseTerms) -> dict[str, Any]:
    return {"owner": owner, "length": terms.length, "limit": terms.limit}


_LEASED: Final = {
    "fence": orders.c.fence + 1,
    "lease_owner": bindparam("owner", type_=Text),
    "lease_until": func.now() + moves.in_time("length"),
    "lease_limit": func.now() + moves.in_time("limit"),
}
_CLAIMING: Final = {
    event: moves.moving(
        Hop(event, OrderState.PAYING),
        only_if=or_(orders.c.lease_until.is_(None), orders.c.lease_until <= func.now()),
        sets=_LEASED
        | {
            "crashes": bindparam("crashes", type_=orders.c.crashes.type),
            "parked": bindparam("parked", type_=orders.c.parked.type),
        },
        also=ahead.written_ahead,
    )
    for event in (OrderEvent.PAYMENT_STARTED, OrderEvent.PAYMENT_RESUMED)
}
_HOLDING_AND_CLAIMING: Final = {
    single_use: moves.moving(
        holds.HELD,
        Hop(OrderEvent.PAYMENT_STARTED, OrderState.PAYING),
        only_if=only_if,
        sets=_LEASED | holds.PRICED,
        also=ahead.written_ahead,
    )
    for single_use, only_if in holds.IF_HELD.items()
}


# What one process holds was admitted of late: between its first and its last is a partition or two.
_RENEW: Final = text("""
    UPDATE orders SET lease_until = least(now() + :length, lease_limit), due_at = least(now() + :length, lease_limit)
    FROM unnest(:numbers, :fences) AS held (tracking_number, fence)
    WHERE orders.tracking_number = held.tracking_number AND orders.fence = held.fence
      AND orders.tracking_number BETWEEN :first AND :last
      AND orders.state = 'paying' AND orders.lease_until IS NOT NULL
""").bindparams(
    bindparam("numbers", type_=ARRAY(Text)),
    bindparam("fences", type_=ARRAY(BigInteger)),
    bindparam("length", type_=Interval),
)


def renew(conn: Connection, held: Sequence[tuple[str, int]], *, terms: LeaseTerms) -> None:
    """Prolong the leases of one process, given as (tracking number, fence), in one statement; never past a limit.

    A process of threads may hold hundreds: the statement's text does not grow with them.
    """
    numbers, fences = [number for number, _ in held], [fence for _, fence in held]
    bounds = {"first": min(numbers), "last": max(numbers)}
    conn.execute(_RENEW, {"numbers": numbers, "fences": fences, "length": terms.length, **bounds})
