"""A stream ends with the key that began it, long before a stream ends by itself; no other feels it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from redis import Redis
from sqlalchemy import Engine

from deploy.stack.waiting import until
from shared import revocations
from shared.config import Settings
from shared.store import keys
from shared.store.engine import statements
from shared.store.keys import KeyRole
from tests.integration.test_long_polls import AT_ONCE_S, DONE, PROCESSING, code_of, lines_of
from tests.support import lateness
from tests.support.front_door import Shop, a_shop
from tests.support.own_redis import own_redis
from tests.support.poller import captured, end, polling
from tests.support.served import Served, serving

STREAM_ENDS_S: Final = 3.0
"""How soon the stream of a key that ended does: the promised second, and what such a machine adds."""

KEY_LIVES_S: Final = 8.0
"""Long enough for its row to be written and its stream to begin, on a busy machine as well."""


def test_a_stream_ends_with_its_key_and_no_other_does(served: Served, engine: Engine, vault_url: str) -> None:
    theirs = replace(served, shop=a_shop(engine, served.shop.tenant_id))
    order = captured(engine, served)
    with polling(theirs) as revoked, polling(served) as good:
        for reader in (revoked, good):
            reader.ask(order.tracking_number, Accept="text/event-stream", x_request_id="whose-key-ends")
            assert reader.answer_head()[0] == 200
            assert code_of(reader.event()) == PROCESSING
        asked = time.monotonic()
        with Redis.from_url(vault_url) as redis:
            revocations.mark(redis, keys.key_id_of(theirs.shop.key))

        assert revoked.event() == {}
        assert time.monotonic() - asked < STREAM_ENDS_S
        end(engine, order)
        assert code_of(good.event()) == DONE
    until(lambda: b'"how": "revoked"' in lines_of(served, b"whose-key-ends"), "it is noted", within_s=5)


def test_while_nobody_can_say_what_was_revoked_streams_go_on_and_end_once_somebody_can(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    with own_redis(tmp_path) as redis, serving(at_vault(settings, redis.url), engine, tmp_path) as served:
        orders = [captured(engine, served) for _ in range(2)]
        with polling(served) as one, polling(served) as other, redis.client() as client:
            for reader, order in zip((one, other), orders, strict=True):
                reader.ask(order.tracking_number, Accept="text/event-stream")
                reader.answer_head()
                assert code_of(reader.event()) == PROCESSING
            with redis.silent():
                until(lambda: b"streams.unseen" in served.log.read_bytes(), "it is missed", within_s=10)
                with lateness.watched() as late:
                    end(engine, orders[0])
                    moved = time.monotonic()
                    assert code_of(one.event()) == DONE
                    took = time.monotonic() - moved
                assert took - late.seconds < AT_ONCE_S, "who speaks does not wait for Redis"
            revocations.mark(client, keys.key_id_of(served.shop.key))

            assert other.event() == {}


def test_a_stream_lives_no_longer_than_its_key(served: Served, engine: Engine) -> None:
    tenant_id = served.shop.tenant_id
    order = captured(engine, served)
    with statements(engine) as conn:
        ends_at = datetime.now(UTC) + timedelta(seconds=KEY_LIVES_S)
        key = keys.create(conn, tenant_id, KeyRole.READ_ONLY, live=False, expires_at=ends_at)
    with polling(replace(served, shop=Shop(tenant_id, key))) as reader:
        reader.ask(order.tracking_number, Accept="text/event-stream")
        reader.answer_head()
        assert code_of(reader.event()) == PROCESSING
        while reader.event():
            pass

    assert -1 < (datetime.now(UTC) - ends_at).total_seconds() < STREAM_ENDS_S


def at_vault(settings: Settings, url: str) -> Settings:
    """The same servers, but for the vault's."""
    others = {"DATABASE_URL": settings.database_url, "BROKER_URL": settings.broker_url}
    return Settings.model_validate({name: one.get_secret_value() for name, one in others.items()} | {"VAULT_URL": url})
