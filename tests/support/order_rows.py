"""Orders as rows, put where a test needs them; only for tests that begin in the middle of an order's life."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, func, insert

from shared.domain.states import TERMINAL, OrderState
from shared.ids import new_tracking_number
from shared.store import orders as order_store
from shared.store.engine import statements
from shared.store.orders import Order
from shared.store.tables import orders


def an_order(engine: Engine, state: OrderState, *, due_in: timedelta = timedelta(hours=1), **values: Any) -> Order:
    """A row in *state*, as its reader sees it; due in an hour unless told otherwise."""
    number = str(values.get("tracking_number", new_tracking_number()))
    ends = state in TERMINAL
    row = {
        "tenant_id": uuid.uuid4(),
        "tracking_number": number,
        "state": state,
        "offer_identifier": "of_test",
        "customer_urn": "cu.00.482",
        "channel": "CreditCard",
        "carries_card": False,
        "keeps_method": False,
        "request": {"order": {"items": [], "customer": {"customerUrn": "cu.00.482"}}, "paymentMethod": {}},
        "amount_minor": None if state is OrderState.ADMITTED else 1499,
        "currency": None if state is OrderState.ADMITTED else "EUR",
        "failure": "CANCELLED" if state is OrderState.FAILED else None,
        "due_at": None if ends else func.now() + due_in,
        "finished_at": func.now() if ends else None,
    }
    with engine.begin() as conn:
        conn.execute(insert(orders).values(row | values))
    return again(engine, number)


def again(engine: Engine, tracking_number: str) -> Order:
    """The order as it is now."""
    with statements(engine) as conn:
        order = order_store.get(conn, tracking_number)
    assert order is not None
    return order
