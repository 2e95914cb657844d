"""What these tests share: a sandbox PSP for the session, an engine room and a front door a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine

from api.parts import Parts
from shared import vault
from shared.config import Settings
from shared.psp.traffic.turns import Turns
from tests.support import engine_room
from tests.support.adyen_fake.fake import running as adyen_running
from tests.support.adyen_room import AdyenRoom
from tests.support.engine_room import EngineRoom
from tests.support.front_door import api_parts
from tests.support.lanes import turns_of
from tests.support.psp import Sandbox, sandbox
from tests.support.served import Served, serving
from tests.support.two_psps import TwoPsps, two_psps


@pytest.fixture(scope="package", autouse=True)
def _patient_limits() -> Iterator[None]:
    """A Redis that is only slow is waited for: past the fifth of a second that is shipped, calls pass and nobody counts
    them. Of the package, as the front doors of its modules are built before any test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.buckets.PATIENCE_S", 5.0)
        yield


@pytest.fixture(scope="module")
def _adyen_room(settings: Settings, vault_url: str) -> Iterator[AdyenRoom]:
    with adyen_running() as fake, engine_room.opened(settings, vault_url, fake, lease_s=1) as room:
        yield AdyenRoom(room, fake)


@pytest.fixture
def adyen(_adyen_room: AdyenRoom) -> Iterator[AdyenRoom]:
    """An engine room at a PSP that cannot be asked, healthy before and after; its notifications wait for the test."""
    _adyen_room.room.forget_traffic()
    _adyen_room.fake.postman.loses = _adyen_room.fake.holds_back = True
    yield _adyen_room
    _adyen_room.fake.heal()
    _adyen_room.fake.postman.lost.clear()


@pytest.fixture(scope="session")
def shared_psp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox process; its webhooks have no address, so nothing moves behind a test's back."""
    with sandbox(tmp_path_factory.mktemp("engine-room-psp") / "ledger.jsonl") as running:
        yield running


@pytest.fixture(scope="session")
def other_psp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A second sandbox process, with books of its own."""
    with sandbox(tmp_path_factory.mktemp("other-psp") / "ledger.jsonl") as running:
        yield running


@pytest.fixture
def both(settings: Settings, vault_url: str, shared_psp: Sandbox, other_psp: Sandbox) -> Iterator[TwoPsps]:
    """A new tenant with an account at either PSP, both healthy before and after."""
    for one in (shared_psp, other_psp):
        one.heal()
    with two_psps(settings, vault_url, shared_psp, other_psp) as made:
        yield made
    for one in (shared_psp, other_psp):
        one.heal()


@pytest.fixture(scope="module")
def room_of_module(settings: Settings, vault_url: str, shared_psp: Sandbox) -> Iterator[EngineRoom]:
    """An engine room whose leases end after a second."""
    with engine_room.opened(settings, vault_url, shared_psp, lease_s=1) as room:
        yield room


@pytest.fixture
def room(room_of_module: EngineRoom, shared_psp: Sandbox) -> Iterator[EngineRoom]:
    """The module's engine room, its PSP healthy before and after."""
    shared_psp.heal()
    room_of_module.forget_traffic()
    yield room_of_module
    shared_psp.heal()


@pytest.fixture
def own_room(settings: Settings, vault_url: str, shared_psp: Sandbox) -> Iterator[EngineRoom]:
    """The same with a tenant of the test's own: its account may be spoilt, and what is examined is its alone."""
    shared_psp.heal()
    with engine_room.opened(settings, vault_url, shared_psp, lease_s=1) as made:
        yield made
    shared_psp.heal()


@pytest.fixture(scope="module")
def redis(vault_url: str) -> Iterator[Redis]:
    """The volatile Redis, as the product connects to it."""
    with vault.connect(vault_url) as client:
        yield client


@pytest.fixture
def turns(redis: Redis) -> Turns:
    """The turns that a process takes at PSPs."""
    return turns_of(redis)


@pytest.fixture(scope="module")
def parts(settings: Settings, vault_url: str) -> Iterator[Parts]:
    """The front door's parts, with the rights that the API has."""
    with api_parts(settings, vault_url) as made:
        yield made


@pytest.fixture(scope="module")
def served(settings: Settings, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The API as deploy/up starts it."""
    with serving(settings, engine, tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
def mortal(settings: Settings, engine: Engine, tmp_path: Path) -> Iterator[Served]:
    """Another one, to be ended by its test."""
    with serving(settings, engine, tmp_path) as running:
        yield running
