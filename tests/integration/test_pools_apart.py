"""A process whose connections are all taken says so to those who order, and still tells pollers (B7)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

import pytest
from redis import Redis
from sqlalchemy import Engine

from api.parts import Parts
from shared import keyring
from shared.config import Settings
from shared.store.engine import create_engine
from shared.store.row_security import Role
from tests.support.selling import Seller, a_seller
from tests.support.wire import fresh_card

PLACES: Final = 2
CLIENTS: Final = 50


@pytest.fixture
def narrow(settings: Settings, engine: Engine, vault_url: str) -> Iterator[Seller]:
    """A front door of two places and one for polls, which believes no key for longer than a moment."""
    settings = settings.model_copy(update={"database_wait_s": 0.3, "key_cache_s": 0.0})
    pools = [create_engine(settings.model_copy(update={"pool_size": places}), role=Role.API) for places in (PLACES, 1)]
    with Redis.from_url(vault_url) as redis:
        parts = Parts(settings, pools[0], redis, keyring.fresh(), lambda: datetime.now(UTC), own_for_reading=pools[1])
        yield a_seller(parts, rows=engine)
        parts.doorbell.close()
    for pool in pools:
        pool.dispose()


def test_who_polls_is_answered_while_every_other_place_is_taken(narrow: Seller) -> None:
    number = narrow.accepted()
    poll = f"/api/v1/c2a/offer/checkout/{number}/status"
    request = narrow.request()

    with ExitStack() as taken, narrow.app.test_client() as client:
        for _ in range(PLACES):
            taken.enter_context(narrow.parts.engine.connect())
        polls = [client.get(poll, headers=narrow.shop.headers) for _ in range(3)]
        ready = client.get("/readyz")
        refused = narrow.post(request)

    assert [answer.status_code for answer in polls] == [200] * 3
    assert ready.get_json()["checks"]["postgres"] == "up", "a process that is busy is not taken out of service"
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert narrow.post(request).status_code == 202


def test_fifty_who_order_at_once_share_two_places_and_none_hears_more_than_try_again(narrow: Seller) -> None:
    requests = [narrow.request(fresh_card()) for _ in range(CLIENTS)]
    assert narrow.app

    with ThreadPoolExecutor(CLIENTS) as crowd:
        answers = list(crowd.map(narrow.post, requests))

    told = {(answer.status_code, answer.headers.get("Retry-After")) for answer in answers}
    assert told <= {(202, "2"), (503, "2")}
    assert (202, "2") in told
    admitted = [answer for answer in answers if answer.status_code == 202]
    assert narrow.count("orders") == len(admitted)
