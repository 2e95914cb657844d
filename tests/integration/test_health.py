"""A broker that is away or silent is told and takes nobody out of service; a worker's pulse is asked in a moment."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import Engine

from api.broker_watch import WAIT_S, BrokerWatch
from shared.config import Settings
from shared.store.engine import create_engine
from shared.store.row_security import Role
from tests.support import lateness
from tests.support.front_door import opened, parts_for
from tests.support.psp import until


@pytest.fixture
def silent() -> Iterator[str]:
    """A broker that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def _ready(client: FlaskClient) -> tuple[int, str]:
    answer = client.get("/readyz")
    assert answer.json is not None
    return answer.status_code, str(answer.json["checks"]["broker"])


def test_without_a_broker_a_process_is_ready_all_the_same(settings: Settings, engine: Engine, vault_url: str) -> None:
    nowhere = settings.model_copy(update={"broker_url": SecretStr("redis://127.0.0.1:9/0")})
    api = create_engine(nowhere, role=Role.API)
    with Redis.from_url(vault_url) as redis, opened(parts_for(nowhere, api, redis)) as client:
        assert _ready(client) == (200, "away")
    api.dispose()


def test_a_silent_broker_keeps_no_probe_waiting(settings: Settings, vault_url: str, silent: str) -> None:
    quiet = settings.model_copy(update={"broker_url": SecretStr(silent)})
    api = create_engine(quiet, role=Role.API)
    with Redis.from_url(vault_url) as redis, opened(parts_for(quiet, api, redis)) as client:
        client.get("/readyz")  # Opens the pool.
        with lateness.watched() as late:
            began = time.monotonic()
            assert _ready(client) == (200, "away")
            took = time.monotonic() - began
        assert took - late.seconds < WAIT_S + 0.5
    api.dispose()


def test_an_answer_stands_for_a_while_and_then_the_broker_is_asked_again(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = BrokerWatch(broker_url)
    with Redis.from_url(broker_url) as redis:

        def connections() -> int:
            return int(redis.info("stats")["total_connections_received"])

        assert until(watch.is_up)
        before = connections()
        assert all(watch.is_up() for _ in range(20))
        assert connections() == before

        monkeypatch.setattr("api.broker_watch.FRESH_S", 0.05)  # A while that is over at once.
        until(lambda: watch.is_up() and connections() > before)


@pytest.mark.parametrize(("age_s", "within", "code"), [(0, "3", 0), (60, "3", 1), (60, "120", 0), (None, "3", 1)])
def test_a_workers_pulse_is_told_by_the_age_of_its_file(
    tmp_path: Path, age_s: float | None, within: str, code: int
) -> None:
    heartbeat = tmp_path / "heartbeat"
    if age_s is not None:
        heartbeat.touch()
        then = time.time() - age_s
        os.utime(heartbeat, (then, then))
    env = os.environ | {"C2A_HEARTBEAT_FILE": str(heartbeat)}
    argv = [sys.executable, "-m", "workers.alive", "--within", within]
    assert subprocess.run(argv, env=env, check=False).returncode == code


def test_a_probe_that_was_told_of_no_file_says_so() -> None:
    env = {name: value for name, value in os.environ.items() if name != "C2A_HEARTBEAT_FILE"}
    done = subprocess.run([sys.executable, "-m", "workers.alive"], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, "C2A_HEARTBEAT_FILE" in done.stderr) == (2, True)
