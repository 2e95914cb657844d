"""What our own servers promise: real durability where it counts, nothing on disk where it must not be."""

from __future__ import annotations

import psycopg
import pytest
import redis

from tests.support.servers import TestServers


def test_postgres_commits_durably_and_serves_the_product_as_no_superuser(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as conn:
        facts = conn.execute(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit'), usesuper"
            " FROM pg_user WHERE usename = current_user"
        ).fetchone()

    assert facts == ("on", "on", False)


def test_postgres_refuses_who_does_not_know_the_password(test_servers: TestServers) -> None:
    url = test_servers.cluster.url().replace(test_servers.cluster.password, "guess")

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url).close()


def test_every_module_starts_with_the_newest_schema_and_no_order(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as conn:
        assert conn.execute("SELECT count(*) FROM orders").fetchone() == (0,)


def test_the_broker_keeps_its_messages_and_never_evicts(broker_url: str) -> None:
    with redis.Redis.from_url(broker_url, decode_responses=True) as broker:
        assert broker.config_get("appendonly") == {"appendonly": "yes"}
        assert broker.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert broker.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_the_vault_writes_nothing_down(vault_url: str) -> None:
    with redis.Redis.from_url(vault_url, decode_responses=True) as vault:
        assert vault.config_get("save") == {"save": ""}
        assert vault.config_get("appendonly") == {"appendonly": "no"}
        assert vault.config_get("slowlog-log-slower-than") == {"slowlog-log-slower-than": "-1"}
        assert vault.config_get("crash-log-enabled") == {"crash-log-enabled": "no"}
