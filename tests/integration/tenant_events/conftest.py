"""What tests of tenant events share: storefronts that hear them, and an upkeep process in the hands of the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.config import Settings
from tests.support import event_receiver
from tests.support.event_receiver import Receivers
from tests.support.listening import Listener, a_tenant, listens, teller
from tests.support.unsynced import unsynced
from workers import runtime
from workers.runtime import Runtime
from workers.telling import Teller


@pytest.fixture(scope="module", autouse=True)
def _unsynced(postgres_url: str) -> Iterator[None]:
    """An event that was not taken is due again five seconds after that was written down, however long its commit takes:
    on a disk that others write to, before a test has looked."""
    with unsynced(postgres_url):
        yield


@pytest.fixture(scope="module")
def receivers() -> Iterator[Receivers]:
    """A process where storefronts hear their events."""
    with event_receiver.running() as process:
        yield process


@pytest.fixture(scope="module")
def run(settings: Settings) -> Iterator[Runtime]:
    """The upkeep process."""
    made = runtime.build(settings)
    yield made
    made.doorbell.close()
    made.engine.dispose()


@pytest.fixture
def one(run: Runtime) -> Iterator[Teller]:
    """Its teller."""
    with teller(run) as made:
        yield made


@pytest.fixture
def listener(run: Runtime, receivers: Receivers) -> Listener:
    """A new tenant that listens."""
    return listens(run.engine, run.keyring, a_tenant(run.engine), receivers.storefront())
