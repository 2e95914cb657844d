"""Orders for an operator to act on, the acts themselves, and what was recorded of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

from shared.domain.states import OrderState
from shared.operate.asking import Asked
from shared.store.operator_actions import Acted
from tests.support.engine_room import EngineRoom
from tests.support.operating import a_desk
from tests.support.psp import Sandbox
from tests.support.wire import fresh_card
from workers.pay import pay

CHALLENGED: Final = "4000002760003184"


def asked(action_id: uuid.UUID | None = None) -> Asked:
    """Who asks, why, and under which id: a new one unless it is given."""
    return Asked("Ana", "the shopper called", action_id or uuid.uuid4())


def does(room: EngineRoom, act: Callable[..., Acted], number: str, by: Asked | None = None) -> Acted:
    """What came of *act* on an order of the room's tenant."""
    return act(a_desk(room), room.seller.shop.tenant_id, number, by or asked())


def paid(room: EngineRoom) -> str:
    """An order that is paid and not done."""
    number = room.locked()
    assert pay(room.run, number)
    return number


def challenged(room: EngineRoom) -> str:
    """An order whose shopper must act."""
    number = room.locked(fresh_card(CHALLENGED))
    pay(room.run, number)
    assert room.state(number) is OrderState.CHALLENGE
    return number


def at_psp(psp: Sandbox, room: EngineRoom, number: str) -> list[tuple[str, int]]:
    """Where its charges stand at the PSP, and what of each went back, in minor units."""
    rows = [one for one in psp.charges(room.account) if one["merchantReference"] == number]
    return [(row["state"], row["refundedMinor"]) for row in rows]


def recorded(room: EngineRoom, number: str) -> list[tuple[str, str, str, str]]:
    """The actions kept of it: what, how it ended, who and why."""
    rows = room.sql(
        "SELECT action, outcome, who, why FROM operator_actions WHERE tracking_number = :n ORDER BY at", n=number
    )
    return [tuple(row) for row in rows]
