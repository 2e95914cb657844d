"""A done order whose money an operator gives back, and where its refunds stand: here and at the PSP."""

from __future__ import annotations

import uuid
from datetime import timedelta

from shared.domain.states import OrderState
from shared.operate import actions
from shared.operate.asking import Asked
from shared.store import refunds
from shared.store.operator_actions import Acted
from shared.store.refunds import Refund, RefundState
from tests.support import acting
from tests.support.engine_room import EngineRoom
from tests.support.operating import a_desk
from tests.support.psp import Sandbox
from workers.pay import pay
from workers.tokenize import tokenize


def done(room: EngineRoom) -> str:
    """An order that is paid and done."""
    number = room.locked()
    assert pay(room.run, number)
    tokenize(room.run, number)
    assert room.state(number) is OrderState.DONE
    return number


def refund(room: EngineRoom, number: str, amount_minor: int | None = None, action_id: uuid.UUID | None = None) -> Acted:
    """An operator asks to give back *amount_minor* of it, or all that is left."""
    by = Asked("Ana", "withdrawn", action_id or uuid.uuid4())
    return actions.refund(a_desk(room), room.seller.shop.tenant_id, number, by, amount_minor)


def called_earlier(room: EngineRoom, number: str, by: timedelta) -> None:
    """Let its refund that is under way have been asked for, and its PSP called for it, *by* earlier."""
    columns = ("asked_at", "key_since", "called_at", "taken_at")
    moved = ", ".join(f"{column} = {column} - cast(:by AS interval)" for column in columns)
    room.sql(f"UPDATE refunds SET {moved} WHERE tracking_number = :n AND state = 'asked'", by=by, n=number)


def of_order(room: EngineRoom, number: str) -> list[Refund]:
    """Its refunds, the first one first."""
    with room.run.engine.begin() as conn:
        return refunds.of_order(conn, room.seller.shop.tenant_id, number)


def stands(room: EngineRoom, number: str) -> list[tuple[int, RefundState]]:
    """How much each of its refunds is of, and where it stands."""
    return [(one.amount_minor, one.state) for one in of_order(room, number)]


def reserved(room: EngineRoom, number: str) -> int:
    """What of its capture was given back or is on its way, in minor units."""
    [(minor,)] = room.sql(
        "SELECT refunded_minor FROM payment_attempts WHERE tracking_number = :n AND outcome = 'captured'", n=number
    )
    return int(minor)


def at_psp(psp: Sandbox, room: EngineRoom, number: str) -> tuple[str, int]:
    """Where its only charge stands at the PSP, and what of it went back."""
    [only] = acting.at_psp(psp, room, number)
    return only
