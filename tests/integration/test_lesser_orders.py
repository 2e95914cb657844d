"""Orders that need less than others: nothing to pay, or nothing to store."""

from __future__ import annotations

from sqlalchemy import Engine

from shared.config import Settings
from shared.domain.states import OrderState
from shared.store import attempts
from shared.store.attempts import Attempt, AttemptState
from shared.store.engine import statements
from shared.store.orders import Order
from tests.support.attempt_rows import write_ahead
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


def test_a_stored_card_that_asks_to_be_stored_is_done_at_once(engine: Engine, settings: Settings) -> None:
    order = an_order(engine, OrderState.CAPTURED, keeps_method=True, stored_method_urn="pm.00.482.7")
    with engine.begin() as conn:
        write_ahead(conn, a_capture_of(order))
    run = build(settings)
    tokenize(run, order.tracking_number)
    assert again(engine, order.tracking_number).state is OrderState.DONE
    run.engine.dispose()


def a_capture_of(order: Order) -> Attempt:
    """The attempt that paid *order*."""
    return Attempt(
        tenant_id=order.tenant_id,
        tracking_number=order.tracking_number,
        attempt_no=1,
        provider="sandbox",
        psp_key=order.tracking_number,
        merchant_reference=order.tracking_number,
        amount_minor=1499,
        currency="EUR",
        outcome=AttemptState.CAPTURED,
        psp_reference="sb_1",
        kept_token=None,
        looks=0,
        started_at=order.seen_at,
        asked_at=order.seen_at,
    )
