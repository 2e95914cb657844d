"""Orders that only have to end, and who ends them: what waiting pollers wait for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, insert

from deploy.measure.stand import Stand
from deploy.measure.traffic import Invalid
from deploy.stack import signals
from shared.config import Settings
from shared.domain.states import OrderState
from shared.ids import new_tracking_number
from shared.store import moves
from shared.store.engine import create_engine
from shared.store.row_security import Role
from shared.store.tables import orders as order_rows


@contextmanager
def mover(stand: Stand) -> Iterator[Engine]:
    """Who ends orders, as a worker does."""
    settings = Settings.model_validate({"DATABASE_URL": stand.wiring.database_url})
    engine = create_engine(settings, role=Role.ENGINE_ROOM)
    try:
        yield engine
    finally:
        engine.dispose()


def lay_out(engine: Engine, stand: Stand, many: int) -> list[str]:
    """So many orders of the tenant that only have to end; their numbers."""
    row = {
        "tenant_id": stand.seeded.tenant_id,
        "state": OrderState.CAPTURED.value,
        "offer_identifier": stand.offer,
        "customer_urn": "cu.00.482",
        "channel": "CreditCard",
        "carries_card": False,
        "keeps_method": False,
        "request": {"order": {"items": []}},
        "amount_minor": 1499,
        "currency": "EUR",
        "due_at": datetime.now(UTC) + timedelta(hours=1),
    }
    numbers = [new_tracking_number() for _ in range(many)]
    with engine.begin() as conn:
        conn.execute(insert(order_rows), [row | {"tracking_number": number} for number in numbers])
    return numbers


def end(engine: Engine, numbers: Sequence[str], *, a_second: float) -> dict[str, float]:
    """End the orders *numbers* at a steady rate; when each was, by the monotonic clock. Raises Invalid, StopAsked."""
    ended_at: dict[str, float] = {}
    began = time.monotonic()
    for already, number in enumerate(numbers):
        signals.check()
        time.sleep(max(0.0, began + already / a_second - time.monotonic()))
        if moves.ended_with_nothing_to_store(engine, number) is None:
            raise Invalid("an order that was to end did not")
        ended_at[number] = time.monotonic()
    return ended_at
