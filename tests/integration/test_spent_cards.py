"""A card whose process died before it let go of it is found by the upkeep; one that is still needed is left alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, func

from shared.config import Settings
from shared.domain.cards import Card
from shared.domain.states import OrderState
from shared.ids import new_tracking_number
from tests.support.order_rows import an_order
from tests.support.vaulted import card_of
from workers import spent_cards
from workers.runtime import Runtime, build

CARD = Card("Jane Doe", "4111111111111111", "2029", "12", "123", None)
NEEDED = {OrderState.ADMITTED, OrderState.OFFER_LOCKED, OrderState.PAYING, OrderState.CONFIRMING}


@pytest.fixture
def run(settings: Settings) -> Iterator[Runtime]:
    made = build(settings)
    yield made
    made.vault.redis.flushdb()
    made.vault.redis.close()
    made.engine.dispose()


@pytest.mark.parametrize("state", OrderState)
def test_a_card_is_forgotten_once_its_order_can_no_longer_need_it(
    engine: Engine, run: Runtime, state: OrderState
) -> None:
    order = an_order(engine, state)
    run.vault.put(order.tenant_id, order.tracking_number, CARD)
    assert spent_cards.forget(run) == (state not in NEEDED)
    assert (card_of(run.vault, order.tenant_id, order.tracking_number) is not None) == (state in NEEDED)


def test_a_payment_that_is_pending_needs_its_card_no_more(engine: Engine, run: Runtime) -> None:
    """It is confirming with a deadline: the PSP has it, and nobody sends it again."""
    order = an_order(engine, OrderState.CONFIRMING, deadline_at=func.now())
    run.vault.put(order.tenant_id, order.tracking_number, CARD)
    assert spent_cards.forget(run) == 1
    assert card_of(run.vault, order.tenant_id, order.tracking_number) is None


def test_the_card_of_an_order_that_is_just_being_admitted_is_left_alone(engine: Engine, run: Runtime) -> None:
    tenant, number = an_order(engine, OrderState.DONE).tenant_id, new_tracking_number()
    run.vault.put(tenant, number, CARD)
    assert spent_cards.forget(run) == 0


def test_more_cards_than_one_batch_are_all_looked_at(
    engine: Engine, run: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spent_cards, "BATCH", 2)
    for _ in range(5):
        order = an_order(engine, OrderState.FAILED)
        run.vault.put(order.tenant_id, order.tracking_number, CARD)
    assert spent_cards.forget(run) == 5


def test_a_vault_that_is_away_stops_nobody(settings: Settings) -> None:
    nowhere = {"vault_url": SecretStr("redis://127.0.0.1:9/0")}
    run = build(settings.model_copy(update=nowhere))
    assert spent_cards.forget(run) == 0
    run.engine.dispose()
