"""A worker with a busy slot and a free one survives the death of its Redis broker.

The published pair of celery 5.7.0 and kombu 5.7.0 does not: it exits with AttributeError and takes its running
tasks along, and where all its slots were busy it lives on without ever reading its queue again. These tests fail
without the mended transport of shared/broker.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from tests.support.own_redis import OwnRedis, own_redis
from tests.support.psp import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[OwnRedis]:
    with own_redis(tmp_path) as running:
        yield running


@pytest.fixture
def signals(vault_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(vault_url, decode_responses=True) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Worker:
    """The worker process and what it said."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def lives(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None


@pytest.fixture
def worker(broker: OwnRedis, vault_url: str, tmp_path: Path) -> Iterator[Worker]:
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    app = ("-A", "tests.support.two_slots", "worker", "-P", "threads", "-c", "2")
    command = [sys.executable, "-m", "celery", *app, *quiet]
    env = os.environ | {"BROKER_URL": broker.url, "VAULT_URL": vault_url}
    path = tmp_path / "worker.log"
    with path.open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)
        yield Worker(process, path)
        process.kill()
        process.wait()


def ask(broker: OwnRedis, name: str) -> None:
    """Send a task that holds its slot until `{name}:go` is pushed."""
    with Celery("client", broker=broker.url, set_as_current=False) as client:
        client.send_task("hold", [name])


def test_a_half_idle_worker_outlives_a_killed_broker(worker: Worker, broker: OwnRedis, signals: Any) -> None:
    ask(broker, "first")
    until(lambda: signals.get("first:running") == "1", seconds=30)

    broker.kill()  # One slot is busy; the other waits in a blocking pop.
    until(lambda: "Connection to broker lost" in worker.log.read_text() or not worker.lives, seconds=20)
    broker.start()
    signals.rpush("first:go", "1")
    until(lambda: signals.get("first:done") is not None or not worker.lives, seconds=20)

    ask(broker, "second")
    signals.rpush("second:go", "1")
    until(lambda: signals.get("second:done") is not None or not worker.lives, seconds=40)
    assert worker.lives, worker.log.read_text()[-2000:]


def test_a_wholly_busy_worker_reads_its_queue_again_after_its_broker_died(
    worker: Worker, broker: OwnRedis, signals: Any
) -> None:
    """Nothing waits in a pop, so nothing notices; the acknowledgements that fail must free their slots all the same."""
    for name in ("left", "right"):
        ask(broker, name)
    until(lambda: signals.get("left:running") == signals.get("right:running") == "1", seconds=30)

    broker.kill()
    for name in ("left", "right"):
        signals.rpush(f"{name}:go", "1")
    until(lambda: worker.log.read_text().count("Couldn't ack") == 2 or not worker.lives, seconds=20)
    broker.start()

    ask(broker, "third")
    signals.rpush("third:go", "1")
    until(lambda: signals.get("third:done") is not None or not worker.lives, seconds=40)
    assert worker.lives, worker.log.read_text()[-2000:]
