"""An order as it is judged: its row, its attempts, what their PSPs can do, and what is being refunded of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from shared.keyring import Keyring
from shared.operate.psps import Abilities, abilities
from shared.store import attempts as attempt_store
from shared.store import refunds
from shared.store.attempts import Attempt, AttemptState
from shared.store.orders import Order
from shared.store.refunds import Refund


@dataclass(frozen=True, slots=True)
class Case:
    """An order as it is judged."""

    order: Order
    attempts: tuple[Attempt, ...]
    abilities: Abilities
    under_way: Refund | None = None
    """The refund of it that is not settled yet."""
    refunded_minor: int = 0
    """What of its capture went back by us, or is on its way."""

    @property
    def captured(self) -> Attempt | None:
        """The attempt that holds its money."""
        return self.one(AttemptState.CAPTURED)

    @property
    def left_minor(self) -> int:
        """What may still go back, in minor units."""
        return 0 if self.captured is None else self.captured.amount_minor - self.refunded_minor

    def one(self, *outcomes: AttemptState) -> Attempt | None:
        """Its first attempt that stands so."""
        return next((one for one in self.attempts if one.outcome in outcomes), None)


def case_of(conn: Connection, order: Order, ring: Keyring) -> Case:
    """*order* with what it is judged by."""
    every = attempt_store.of_order(conn, order.tenant_id, order.tracking_number)
    can = abilities(conn, ring, order.tenant_id, {one.provider for one in every})
    case = Case(order, tuple(every), can)
    if case.captured is None or not order.is_finished:
        return case
    gone = refunds.refunded_minor(conn, case.captured)
    return replace(case, refunded_minor=gone, under_way=refunds.under_way(conn, order.tenant_id, order.tracking_number))
