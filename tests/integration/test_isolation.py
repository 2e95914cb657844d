"""Races are decided by rows and not by PostgreSQL's serialisation: whatever a server asks of its sessions by default.

A server that serialises every transaction ends one of two that meet with 40001, where we want the second to wait and
to see what the first one did: admission rests on that (B3 of the list of faults), and so does every move of an order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from deploy.stack.postgres import ADMIN
from shared.config import Settings
from shared.domain.states import OrderEvent, OrderState
from shared.store import moves, orders
from shared.store.engine import create_engine, statements
from shared.store.row_security import Role
from tests.support import order_rows

STRICTEST: Final = "serializable"


@pytest.fixture(scope="module")
def strict(settings: Settings, postgres_url: str) -> Settings:
    """A database whose sessions serialise every transaction unless they say otherwise."""
    url = make_url(postgres_url)
    with psycopg.connect(url.set(username=ADMIN).render_as_string(hide_password=False), autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE \"{url.database}\" SET default_transaction_isolation = '{STRICTEST}'")
    with psycopg.connect(postgres_url) as conn:
        assert conn.execute("SHOW transaction_isolation").fetchone() == (STRICTEST,)
    return settings


@pytest.fixture(params=[None, *Role])
def engine_of(strict: Settings, request: pytest.FixtureRequest) -> Iterator[Engine]:
    engine = create_engine(strict, role=request.param)
    yield engine
    engine.dispose()


def test_each_process_says_how_its_transactions_see_each_other(engine_of: Engine) -> None:
    with statements(engine_of) as conn:
        assert conn.execute(text("SHOW transaction_isolation")).scalar_one() == "read committed"
    with engine_of.begin() as conn:
        assert conn.execute(text("SHOW transaction_isolation")).scalar_one() == "read committed"


def test_whoever_comes_second_sees_what_the_first_one_did(strict: Settings) -> None:
    """Serialised, the second transaction would be ended here: it had looked before the first one moved the order."""
    engine = create_engine(strict)
    order = order_rows.an_order(engine, OrderState.ADMITTED)
    with engine.begin() as second:
        assert orders.get(second, order.tracking_number) is not None
        with engine.begin() as first:
            moves.advance(first, order, OrderEvent.OFFER_REFUSED, actor="test", failure="OFFER_EXPIRED")
        seen = orders.lock(second, order.tenant_id, order.tracking_number)
    engine.dispose()
    assert seen is not None
    assert seen.state is OrderState.FAILED
