"""A RabbitMQ of our own, and a whole stack on another."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import psp, rows, shop, well
from tests.support import own_rabbitmq
from tests.support import stack as stacks
from tests.support.own_rabbitmq import OwnRabbitMQ
from tests.support.stack import Stack

__all__ = ["psp", "rows", "shop", "well"]


@pytest.fixture(scope="session")
def node() -> Iterator[OwnRabbitMQ]:
    """A node that every test leaves running."""
    with tempfile.TemporaryDirectory(prefix="c2a-rabbitmq-") as folder, own_rabbitmq.running(Path(folder)) as node:
        yield node


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """What the acceptance tests run on, with the other broker."""
    own_rabbitmq.needed()
    with stacks.folder() as home, stacks.running(home, "--broker", "rabbitmq") as running:
        yield running
