"""An order that costs nothing is done without asking any PSP."""

from __future__ import annotations

from sqlalchemy import Engine

from shared.config import Settings
from shared.domain.states import OrderState
from shared.store import attempts
from shared.store.engine import statements
from tests.support.order_rows import again, an_order
from workers.pay import pay
from workers.runtime import build
from workers.tokenize import tokenize


def test_an_order_that_costs_nothing_is_done_without_an_attempt(engine: Engine, settings: Settings) -> None:
    order = an_order(engine, OrderState.OFFER_LOCKED, amount_minor=0)
    run = build(settings)
    assert pay(run, order.tracking_number)
    tokenize(run, order.tracking_number)
    assert again(engine, order.tracking_number).state is OrderState.DONE
    with statements(engine) as conn:
        assert attempts.of_order(conn, order.tenant_id, order.tracking_number) == []
    run.engine.dispose()
