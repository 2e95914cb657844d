"""What a step has to know of an order, as one round trip shows it.

One joined statement and no pipeline of several: psycopg speaks to the server between the statements of a pipeline, and
what that takes of the system is more than the join.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

from sqlalchemy import Engine, exists, select

from shared.logs import about
from shared.psp.router import Candidate
from shared.store import accounts, attempts, offers, orders, tables
from shared.store.attempts import Attempt
from shared.store.direct import Direct
from shared.store.orders import Order
from workers.runtime import Runtime

_WIDTH: Final = len(orders.COLUMNS)
_FOR_OFFER: Final = Direct(
    select(*orders.COLUMNS, *offers.TOLD)
    .join_from(tables.orders, tables.offers, offers.OF_ORDER)
    .where(orders.NUMBERED)
)
_FOR_BOTH: Final = Direct(
    select(*orders.COLUMNS, accounts.OF_ORDERS_TENANT, *offers.TOLD)
    .join_from(tables.orders, tables.offers, offers.OF_ORDER)
    .where(orders.NUMBERED)
)
_WAS_ASKED: Final = exists().where(attempts.OF_ITS_ORDER).correlate(tables.orders)
_FOR_PAYMENT: Final = Direct(select(*orders.COLUMNS, accounts.OF_ORDERS_TENANT, _WAS_ASKED).where(orders.NUMBERED))


@dataclass(frozen=True, slots=True)
class Sight:
    """An order that is to be paid, what was asked of PSPs for it, and whom its tenant may ask."""

    order: Order
    earlier: Sequence[Attempt]
    enabled: Sequence[Mapping[str, Any]] | None

    @classmethod
    def of(cls, engine: Engine, tracking_number: str) -> Self | None:
        """The order of *tracking_number*; None if there is none."""
        row = _FOR_PAYMENT.one_or_none(engine, {"number": tracking_number})
        if row is None:
            return None
        order = _order(row)
        enabled, was_asked = row[_WIDTH:]
        earlier = attempts.of_order(engine, order.tenant_id, order.tracking_number) if was_asked else ()
        return cls(order, earlier, enabled)

    def candidates(self, run: Runtime) -> list[Candidate]:
        """Whom it may be charged through. Raises KeysAway."""
        return run.candidates(accounts.opened(run.keyring, self.enabled))


Told: TypeAlias = Sequence[Any]
"""An offer as it was read, for `offers.offer_of`: what it takes to understand it may be what takes workers down."""


def order_and_offer(engine: Engine, tracking_number: str) -> tuple[Order, Told] | None:
    """An order and the offer it is for; None if there is none."""
    row = _FOR_OFFER.one_or_none(engine, {"number": tracking_number})
    return None if row is None else (_order(row), row[_WIDTH:])


def order_offer_and_accounts(engine: Engine, tracking_number: str) -> tuple[Sight, Told] | None:
    """An order that nobody has worked on, with whom its tenant may ask, and the offer it is for; None if there is
    none."""
    row = _FOR_BOTH.one_or_none(engine, {"number": tracking_number})
    return None if row is None else (Sight(_order(row), (), row[_WIDTH]), row[_WIDTH + 1 :])


def _order(row: Sequence[Any]) -> Order:
    """The order in *row*, whose tenant every log line of the step names from now on."""
    order = orders.order_of(row[:_WIDTH])
    about(order.tenant_id)
    return order
