"""On RabbitMQ, too, nobody stands behind a crowd: what a worker has in hand it serves in the order of its coming."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from shared.config import Settings
from tests.support import brokers, two_crowds
from tests.support.own_rabbitmq import OwnRabbitMQ
from tests.support.psp import Sandbox, sandbox
from tests.support.worker_process import PLACES


@pytest.fixture
def psp(tmp_path: Path) -> Iterator[Sandbox]:
    with sandbox(tmp_path / "ledger.jsonl") as running:
        yield running


def test_who_comes_after_a_crowd_is_served_within_two_steps(
    node: OwnRabbitMQ, settings: Settings, engine: Engine, psp: Sandbox, tmp_path: Path
) -> None:
    on_rabbitmq = settings.model_copy(update={"broker_url": SecretStr(node.url)})
    orders = two_crowds.waiting(on_rabbitmq, engine, psp, tmp_path, crowd=100, crowd_orders=1)
    with orders.at_work():
        assert orders.served_before_the_other() <= 2 * PLACES
    brokers.forget(node.url)
