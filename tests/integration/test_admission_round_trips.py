"""An order costs one round trip to PostgreSQL to admit; an answer lost on its way back costs a second, and no order.

For a tenant whom PostgreSQL is told with every statement. Counted on the wire, by a proxy that reads the server's
protocol: what a driver sends behind SQLAlchemy's back (BEGIN, COMMIT, ROLLBACK, a prepare) counts, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import Engine

from shared.config import Settings
from shared.store.engine import create_engine
from shared.store.row_security import Role
from tests.support import pg_proxy
from tests.support.front_door import parts_for
from tests.support.pg_proxy import PgProxy
from tests.support.selling import Seller, a_seller
from tests.support.storefront import new_correlation
from tests.support.vaulted import card_of
from tests.support.wire import Document, channel, fresh_card

WARM = 8
"""Orders before we count: connected, key cached, statement prepared (psycopg prepares after its fifth run)."""

ENDS_AS_IT_IS_ORDERED: Final = """
    CREATE FUNCTION end_offer() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            UPDATE offers SET expires_at = '2020-01-01T00:00:00Z',
                snapshot = snapshot || '{"expiresAt": "2020-01-01T00:00:00.000Z"}'
            WHERE tenant_id = NEW.tenant_id AND offer_identifier = NEW.offer_identifier;
            RETURN NULL;
        END $$;
    CREATE TRIGGER end_offer AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION end_offer();
"""
"""An offer that is good for one order and past in the moment that is committed."""


@pytest.fixture(scope="module")
def proxy(postgres_url: str) -> Iterator[PgProxy]:
    with pg_proxy.before(postgres_url) as running:
        yield running


@pytest.fixture(scope="module")
def seller(settings: Settings, engine: Engine, proxy: PgProxy, vault_url: str) -> Iterator[Seller]:
    """A seller whose API reaches its database through the proxy, and believes a key for as long as the test runs."""
    through = settings.model_copy(update={"database_url": SecretStr(proxy.url), "key_cache_s": 600.0})
    front_door = create_engine(through, role=Role.API)
    with Redis.from_url(vault_url) as redis:
        made = a_seller(parts_for(through, front_door, redis), rows=engine)
        for _ in range(WARM):
            made.accepted()
        yield made
        made.parts.doorbell.close()
    front_door.dispose()


@pytest.fixture(autouse=True)
def _time_for_a_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the disk takes over the first one: how long a caller may be kept waiting is not the matter here."""
    monkeypatch.setattr("api.admission.AGAIN_WITHIN_S", 30.0)


def cost_of(proxy: PgProxy, seller: Seller, document: Document, status: int) -> int:
    before = proxy.round_trips
    answer = seller.post(document)
    assert answer.status_code == status, answer.text
    return proxy.round_trips - before


@pytest.mark.parametrize("payment", [fresh_card(), channel("PayPal"), fresh_card(storeMethodSuccessPayment="always")])
def test_a_fresh_order_is_one_round_trip(proxy: PgProxy, seller: Seller, payment: Document) -> None:
    requests = [seller.request(payment, correlationId=new_correlation()) for _ in range(5)]

    assert [cost_of(proxy, seller, request, 202) for request in requests] == [1] * 5


def test_a_repeat_is_one_more_to_tell_where_the_order_stands(proxy: PgProxy, seller: Seller) -> None:
    """Not of the admitting statement: it finds the holder of the key; the status is a read of its own."""
    request = seller.request(correlationId=new_correlation())
    seller.post(request)

    assert cost_of(proxy, seller, request, 202) == 2


def test_an_answer_lost_after_the_commit_is_asked_for_again_and_is_the_same_order(
    proxy: PgProxy, seller: Seller, postgres_url: str
) -> None:
    request = seller.request(correlationId=new_correlation())
    proxy.lose_next_answer()

    answer = seller.post(request)

    assert proxy.lost.is_set()
    assert answer.status_code == 202, answer.text
    assert "Idempotent-Replayed" not in answer.headers
    assert numbers(postgres_url, request) == [answer.get_json()["trackingNumber"]]


def test_an_order_whose_answer_was_lost_stands_though_its_offer_ended_since(
    proxy: PgProxy, seller: Seller, postgres_url: str
) -> None:
    """The second try finds nothing that may be ordered, but its own order under its key: a 202, no refusal."""
    request = seller.request(correlationId=new_correlation())
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute(ENDS_AS_IT_IS_ORDERED)
        proxy.lose_next_answer()
        answer = seller.post(request)
        conn.execute("DROP FUNCTION end_offer CASCADE")

    assert proxy.lost.is_set()
    assert answer.status_code == 202, answer.text
    assert "Idempotent-Replayed" not in answer.headers
    [number] = numbers(postgres_url, request)
    assert answer.get_json()["trackingNumber"] == number
    assert card_of(seller.parts.vault, seller.shop.tenant_id, number) is not None


def test_the_callers_own_repeat_after_a_lost_answer_gets_the_same_number(
    proxy: PgProxy, seller: Seller, postgres_url: str
) -> None:
    request = seller.request(correlationId=new_correlation())
    proxy.lose_next_answer()
    first = seller.post(request)

    again = seller.post(request)

    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json()["trackingNumber"] == first.get_json()["trackingNumber"]
    assert len(numbers(postgres_url, request)) == 1


def numbers(postgres_url: str, request: Document) -> list[Any]:
    """The tracking numbers of the orders that came of *request*."""
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        query = "SELECT tracking_number FROM orders WHERE correlation_id = %s"
        return [number for (number,) in conn.execute(query, [request["order"]["correlationId"]])]
