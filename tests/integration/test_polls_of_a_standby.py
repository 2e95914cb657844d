"""A front door whose database takes no writes, as a standby's, answers polls like any other (README, SCALE)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InternalError

from shared.config import Settings
from shared.store.engine import create_engine, statements
from shared.store.row_security import Role
from tests.support.front_door import opened, parts_for
from tests.support.selling import Seller, a_seller


@pytest.fixture(scope="module")
def seller(settings: Settings, engine: Engine, vault_url: str) -> Iterator[Seller]:
    """A tenant whose orders go to the primary."""
    with Redis.from_url(vault_url) as redis:
        yield a_seller(parts_for(settings, engine, redis))


def test_a_standby_answers_polls_and_says_when_nothing_moved(
    settings: Settings, engine: Engine, seller: Seller, vault_url: str
) -> None:
    number = seller.accepted()
    name = make_url(settings.database_url.get_secret_value()).database
    with statements(engine) as conn:  # New sessions may not write, as PostgreSQL has it in recovery.
        conn.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
    standby = create_engine(settings, role=Role.API)
    with Redis.from_url(vault_url) as redis, opened(parts_for(settings, standby, redis)) as client:
        path = f"/api/v1/c2a/offer/checkout/{number}/status"
        told = client.get(path, headers=seller.shop.headers)
        again = client.get(path, headers=seller.shop.headers | {"If-None-Match": told.headers["ETag"]})
    with pytest.raises(InternalError, match="read-only"), statements(standby) as conn:
        conn.execute(text("DELETE FROM orders"))
    standby.dispose()

    assert (told.status_code, again.status_code) == (200, 304)
    assert told.get_json()["status"] == {"messageCode": "CHECK_OUT_PROCESSING"}
