"""Fifty equal POSTs at once, two hundred times (E1): one order each time, and one answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from redis import Redis
from sqlalchemy import Engine

from shared.config import Settings
from tests.support import equal_calls
from tests.support.front_door import parts_for
from tests.support.selling import a_seller

ROUNDS: Final = 200
"""Of ten thousand calls none was wrong: a true rate below 0.03 % (95 %)."""


@pytest.mark.timeout(1_200)
def test_two_hundred_times_fifty_equal_calls_are_two_hundred_orders(
    settings: Settings, engine: Engine, vault_url: str
) -> None:
    with Redis.from_url(vault_url) as redis, ThreadPoolExecutor(equal_calls.CALLS) as crowd:
        seller = a_seller(parts_for(settings, engine, redis))
        for _ in range(ROUNDS):
            equal_calls.assert_one_order(seller, crowd)
        seller.parts.doorbell.close()
    assert seller.count("orders") == ROUNDS
