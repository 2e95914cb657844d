"""A key that has ended opens nothing from that moment on, whatever a process remembers (H5 of the faults)."""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import Engine

from api import auth
from api.app import create_app
from api.errors import NotAuthenticated
from api.parts import Parts
from shared import revocations
from shared.config import Settings
from shared.store import keys
from shared.store.engine import statements
from shared.store.keys import KeyRole
from tests.integration.test_front_door import NO_ENTRY, STATUS, probe
from tests.support.front_door import Shop, a_shop, api_parts, opened, parts_for
from tests.support.own_redis import own_redis
from tests.support.statements import counting

LONG: Final = 600.0
"""Seconds a process believes a key here: longer than any of these tests."""


@pytest.fixture(scope="module")
def parts(settings: Settings, vault_url: str) -> Iterator[Parts]:
    """A front door that believes a key for as long as the tests run."""
    with api_parts(settings.model_copy(update={"key_cache_s": LONG}), vault_url) as made:
        yield made


@pytest.fixture(scope="module")
def doors(parts: Parts) -> list[FlaskClient]:
    """Two processes' worth of front door, each with a memory of its own."""
    return [create_app(parts, probe()).test_client() for _ in range(2)]


def revoke(engine: Engine, redis: Redis | None, shop: Shop) -> None:
    """As `c2a keys revoke` does; without *redis* nobody is told."""
    with statements(engine) as conn:
        assert keys.revoke(conn, shop.tenant_id, keys.key_id_of(shop.key))
    if redis is not None:
        revocations.mark(redis, keys.key_id_of(shop.key))


def asked(door: FlaskClient, shop: Shop) -> list[int]:
    """What a change and a poll are answered."""
    calls = [("POST", "/probe"), ("GET", "/probe/trk_1"), ("GET", STATUS)]
    return [door.open(path, method=method, headers=shop.headers).status_code for method, path in calls]


def test_a_revoked_key_opens_nothing_from_that_moment_on_in_any_process(
    parts: Parts, engine: Engine, doors: list[FlaskClient]
) -> None:
    shop, other = a_shop(engine), a_shop(engine)
    assert [asked(door, shop) for door in doors] == [[200, 200, 404]] * 2

    revoke(engine, parts.redis, shop)

    assert [asked(door, shop) for door in doors] == [[401, 401, 401]] * 2
    assert [asked(door, other) for door in doors] == [[200, 200, 404]] * 2


def test_the_401_of_a_revoked_key_that_is_remembered_is_the_401_of_any_other(
    parts: Parts, engine: Engine, doors: list[FlaskClient]
) -> None:
    shop = a_shop(engine)
    asked(doors[0], shop)
    revoke(engine, parts.redis, shop)

    remembered, unknown = (
        doors[0].post("/probe", headers={**shop.headers, "x-api-key": key, "x-request-id": "one"})
        for key in (shop.key, "sk_dev_unknown")
    )

    assert (remembered.data, dict(remembered.headers)) == (unknown.data, dict(unknown.headers))


def test_a_revoked_publishable_key_hears_401_and_not_403(
    parts: Parts, engine: Engine, doors: list[FlaskClient]
) -> None:
    shop = a_shop(engine, role=KeyRole.READ_ONLY)
    assert asked(doors[0], shop) == [403, 200, 404]

    revoke(engine, parts.redis, shop)

    assert asked(doors[0], shop) == [401, 401, 401]


def test_a_good_key_that_is_remembered_costs_no_statement(
    parts: Parts, engine: Engine, doors: list[FlaskClient]
) -> None:
    shop = a_shop(engine)

    def asks() -> object:
        return doors[0].post("/probe", headers=shop.headers)

    assert statements_of(parts.engine, asks) > 0, "it is not remembered yet"
    assert statements_of(parts.engine, asks) == 0


def test_without_redis_a_key_is_looked_up_at_every_call_and_ends_at_once_all_the_same(
    tmp_path: Path, settings: Settings, engine: Engine
) -> None:
    shop, other = a_shop(engine), a_shop(engine)
    with own_redis(tmp_path) as server, server.client() as client:
        long = settings.model_copy(update={"key_cache_s": LONG})
        with opened(parts_for(long, engine, client), probe()) as door:
            assert asked(door, shop) == asked(door, other) == [200, 200, 404]
            server.kill()
            assert asked(door, shop) == [200, 200, 404], "a limit nobody can count refuses nobody"

            revoke(engine, None, shop)

            assert asked(door, shop) == [401, 401, 401]
            assert asked(door, other) == [200, 200, 404]
            assert statements_of(engine, lambda: door.post("/probe", headers=other.headers)) == 1


def test_a_key_is_never_believed_past_its_expiry(engine: Engine) -> None:
    now = [0.0]
    callers = auth.Callers(engine, LONG, clock=lambda: now[0])
    shop = a_shop(engine)
    with statements(engine) as conn:
        expires_at = datetime.now(UTC) + timedelta(seconds=60)
        key = keys.create(conn, shop.tenant_id, KeyRole.STOREFRONT, live=False, expires_at=expires_at)
    tenant = str(shop.tenant_id)

    assert statements_of(engine, lambda: callers.authenticate(key, tenant)) == 1
    now[0] = 50.0
    assert statements_of(engine, lambda: callers.authenticate(key, tenant)) == 0
    now[0] = 60.0
    assert statements_of(engine, lambda: callers.authenticate(key, tenant)) == 1, "asked again when it should be over"


def test_a_key_in_use_is_looked_up_anew_by_one_caller_while_the_others_are_believed(engine: Engine) -> None:
    now = [0.0]
    callers = auth.Callers(engine, 2.0, clock=lambda: now[0])
    shop = a_shop(engine)
    shown = shop.key, str(shop.tenant_id)
    found = callers.authenticate(*shown)

    now[0] = 1.6
    assert [callers.remembered(*shown) for _ in range(3)] == [None, found, found]
    assert statements_of(engine, lambda: callers.authenticate(*shown)) == 1, "who was sent"
    assert statements_of(engine, lambda: callers.authenticate(*shown)) == 0, "who came after"
    now[0] = 2.1
    assert callers.remembered(*shown) == found, "from when it was looked up anew"


def test_a_key_that_was_looked_up_anew_in_vain_is_believed_by_nobody(engine: Engine) -> None:
    now = [0.0]
    callers = auth.Callers(engine, 2.0, clock=lambda: now[0])
    shop = a_shop(engine)
    shown = shop.key, str(shop.tenant_id)
    callers.authenticate(*shown)
    revoke(engine, None, shop)

    now[0] = 1.6
    assert callers.remembered(*shown) is None
    with pytest.raises(NotAuthenticated):
        callers.authenticate(*shown)
    assert callers.remembered(*shown) is None


def test_a_key_has_at_least_160_random_bits_and_no_two_are_alike(engine: Engine) -> None:
    shop = a_shop(engine)
    with engine.begin() as conn:
        made = {keys.create(conn, shop.tenant_id, KeyRole.STOREFRONT, live=False) for _ in range(200)}

    secrets = {key.removeprefix("sk_dev_") for key in made}
    assert len(secrets) == 200
    assert {len(secret) for secret in secrets} == {43}  # 6 bits a character, 256 in all.
    assert keys.SECRET_BYTES * 8 >= 160


@pytest.mark.parametrize("cause", NO_ENTRY)
def test_the_tenants_are_compared_in_constant_time_whether_or_not_the_key_is_known(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    headers = NO_ENTRY[cause](a_shop(engine), engine)
    with pytest.raises(NotAuthenticated):
        auth.Callers(engine, 0.0).authenticate(headers.get("x-api-key", ""), headers.get("x-tn", ""))

    assert [length for length, _ in compared] == [len(str(uuid.UUID(int=0)))]


def statements_of(engine: Engine, call: Any) -> int:
    """How many statements *call* sends."""
    with counting(engine) as sent:
        call()
    return len(sent)
