"""A vault whose server writes down, or keeps, what it is to forget is told from one that does not."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import pytest
import redis

from deploy.stack import redis as servers
from shared import vault, vault_server
from shared.vault_server import UnsafeVault
from tests.support.own_redis import own_redis

CANARY: Final = "sealed-canary-4111"


def examine(url: str) -> None:
    with vault.connect(url) as client:
        vault_server.examine(client)


def test_the_vault_of_the_stack_keeps_nothing(tmp_path: Path) -> None:
    with own_redis(tmp_path, servers.vault) as server:
        examine(server.url)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGABRT])
def test_no_file_and_no_slow_log_of_the_vault_holds_anything_of_a_card(tmp_path: Path, how: signal.Signals) -> None:
    """Not even sealed: what is deleted is gone, and so is all when the server ends, however it ends."""
    with own_redis(tmp_path, servers.vault) as server, server.client() as client:
        for number in range(100):
            client.set(f"card:{number}", CANARY, ex=900)
        client.eval("for _ = 1, 5e6 do end", 0)  # Slower than the 10 ms from which a server as shipped would keep it.
        assert client.slowlog_len() == 0
        assert server.process is not None
        server.process.send_signal(how)
        server.process.wait(10)
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert any(path.suffix == ".log" for path in written)
        assert not [path for path in written if CANARY.encode() in path.read_bytes()]
        assert not [path for path in written if path.suffix in (".rdb", ".aof") or path.name.startswith("core")]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"save": "3600 1"}, "snapshots"),
        ({"appendonly": "yes"}, "append-only"),
        ({"slowlog-log-slower-than": "10000", "slowlog-max-len": "128"}, "slow log"),
        ({"slowlog-log-slower-than": "0", "slowlog-max-len": "1"}, "slow log"),
    ],
)
def test_a_server_that_persists_or_keeps_a_slow_log_is_unsafe(
    tmp_path: Path, settings: dict[str, str], told: str
) -> None:
    with own_redis(tmp_path, servers.vault, settings) as server, pytest.raises(UnsafeVault, match=told):
        examine(server.url)


def test_a_slow_log_without_room_keeps_nothing(tmp_path: Path) -> None:
    settings = {"slowlog-log-slower-than": "0", "slowlog-max-len": "0"}
    with own_redis(tmp_path, servers.vault, settings) as server:
        examine(server.url)


def test_a_server_as_it_is_shipped_is_unsafe_and_every_reason_is_told(tmp_path: Path) -> None:
    with own_redis(tmp_path, servers.vault) as server:
        with server.client() as client:
            client.config_set("save", "3600 1 300 100 60 10000")
            client.config_set("slowlog-log-slower-than", 10_000)
            client.config_set("slowlog-max-len", 128)
        with pytest.raises(UnsafeVault) as unsafe:
            examine(server.url)
    assert str(unsafe.value) == 'it writes snapshots: save ""; it keeps a slow log: slowlog-log-slower-than -1'


def test_a_server_that_does_not_let_us_ask_says_why_it_cannot_be_told(tmp_path: Path) -> None:
    with own_redis(tmp_path, servers.vault) as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "ours", "on", ">secret", "~*", "&*", "+@all", "-config")
        url = f"redis://ours:secret@{server.url.rpartition('@')[2]}"
        with pytest.raises(UnsafeVault, match=r"NoPermissionError.*\+config\|get"):
            examine(url)
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "ours", "+config|get")
        examine(url)


def test_a_server_that_is_away_is_no_reason(tmp_path: Path) -> None:
    with own_redis(tmp_path, servers.vault) as server:
        server.kill()
        examine(server.url)
    with pytest.raises(redis.exceptions.ConnectionError), server.client() as client:
        client.ping()
