"""Reads what pollers may see: one primary-key read of a few columns, for all who ask at the same moment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Engine, Float, Text, any_, bindparam, func, select

from shared.domain.states import CODE_OF, TERMINAL, CheckoutCode, OrderState
from shared.ids import may_be_number
from shared.store.direct import Direct
from shared.store.month_bounds import Bounds, bounds_of, in_the_month_of
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
    state: OrderState = OrderState.ADMITTED
    since_s: float = 0.0
    """How long it has been there."""
    look_in_s: float = 0.0
    """Seconds until somebody is to look at it again."""
    is_called: bool = False
    """Its place in the row of its PSP came up, and it was rung for."""
    tenant_id: UUID | None = None
    """Whose it is; None: not told."""

    @property
    def face(self) -> str:
        """A name for what the public sees of it: moves that change nothing for its poller keep it."""
        seen = json.dumps([self.code, self.message, self.redirect], sort_keys=True)
        return hashlib.blake2b(seen.encode(), digest_size=8).hexdigest()

    @property
    def tag(self) -> str:
        """The name of an answer that tells it: its version, which only grows, and its face."""
        return f"{self.version}-{self.face}"

    @classmethod
    def fresh(cls, tracking_number: str, tenant_id: UUID | None = None) -> Status:
        """Where an order stands that was admitted this moment."""
        return cls(
            tracking_number,
            CheckoutCode.PROCESSING,
            1,
            is_final=False,
            message=None,
            redirect=None,
            tenant_id=tenant_id,
        )


_IN_ROW: Final = orders.c.waits_for.is_not(None)
_LOOK_IN_S: Final = func.extract("epoch", orders.c.due_at - func.clock_timestamp()).cast(Float)
_SINCE_S: Final = func.extract("epoch", func.clock_timestamp() - orders.c.changed_at).cast(Float)

_READ: Final = Direct(
    select(
        orders.c.tracking_number,
        orders.c.state,
        orders.c.version,
        orders.c.failure,
        orders.c.redirect,
        _IN_ROW,
        orders.c.rings,
        _LOOK_IN_S,
        _SINCE_S,
    ).where(
        orders.c.tracking_number == any_(bindparam("tracking_numbers", type_=ARRAY(Text))),
        in_the_month_of("one_of_them"),
        orders.c.tenant_id == bindparam("tenant_id"),
    )
)

_MOVED: Final = Direct(
    select(orders.c.tracking_number).where(
        orders.c.tracking_number == any_(bindparam("tracking_numbers", type_=ARRAY(Text))),
        in_the_month_of("one_of_them"),
        orders.c.tenant_id == bindparam("tenant_id"),
        orders.c.state == any_(bindparam("states", type_=ARRAY(Text))),
    )
)


def moved(engine: Engine, tenant_id: UUID, tracking_numbers: Sequence[str], code: CheckoutCode) -> list[str]:
    """Those of this tenant's orders for which the public has another word than *code*."""
    others = [state.value for state in OrderState if CODE_OF[state] is not code]
    found: list[str] = []
    for number_of_month, numbers in _by_month(tracking_numbers).items():
        asked = {
            "tracking_numbers": numbers,
            "one_of_them": number_of_month,
            "tenant_id": tenant_id,
            "states": others,
        }
        found += [number for (number,) in _MOVED.all(engine, asked)]
    return found


def read(engine: Engine, tenant_id: UUID, tracking_numbers: Sequence[str]) -> list[Status | None]:
    """The status of each of this tenant's orders; another tenant's order is as unknown as none."""
    found: dict[str, Status] = {}
    for number_of_month, numbers in _by_month(tracking_numbers).items():
        asked = {"tracking_numbers": numbers, "one_of_them": number_of_month, "tenant_id": tenant_id}
        found |= {
            status.tracking_number: status for status in (_status(tenant_id, row) for row in _READ.all(engine, asked))
        }
    return [found.get(number) for number in tracking_numbers]


def _by_month(tracking_numbers: Sequence[str]) -> dict[str, list[str]]:
    """Them, each once, under one of each month: nearly always all are of this month. What can be no number is left out:
    all others would be refused with it."""
    months: dict[Bounds | None, list[str]] = {}
    for number in dict.fromkeys(filter(may_be_number, tracking_numbers)):
        months.setdefault(bounds_of(number), []).append(number)
    return {numbers[0]: numbers for numbers in months.values()}


def _status(tenant_id: UUID, row: tuple[Any, ...]) -> Status:
    tracking_number, name, version, failure, redirect, in_row, rings, look_in_s, since_s = row
    state = OrderState(name)
    stands = in_row and not rings and look_in_s is not None  # As Order.stands_in_row.
    is_ahead = stands and look_in_s > 0
    return Status(
        tracking_number,
        CODE_OF[state],
        version,
        state in TERMINAL,
        failure,
        redirect,
        look_in_s if is_ahead else None,
        state,
        since_s,
        look_in_s or 0.0,
        in_row and not is_ahead,
        tenant_id,
    )
