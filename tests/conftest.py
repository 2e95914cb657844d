"""What every tier may ask for: real servers, started once a session and only if somebody asks."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import hypothesis
import pytest
import structlog
from sqlalchemy import Engine

from shared.config import Settings
from shared.store.engine import create_engine
from tests.support import no_network, servers
from tests.support import stack as stacks
from tests.support.servers import TestServers
from tests.support.stack import Stack

UNIT: Final = Path(__file__).parent / "unit"


def pytest_configure() -> None:
    """End on SIGTERM as on Ctrl-C: fixtures are torn down, and no server outlives the tests.

    What hypothesis tries is the same in every run and may take its time (its own profile "ci"). What the product logs
    goes to standard error, as its programs' lines do: in whatever a test took for standard output, a line of a thread
    that an earlier test left behind would stand among what a command says. A trace is told without its values: to draw
    them as on a terminal takes up to a second each.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    hypothesis.settings.load_profile("ci")
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[*structlog.get_config()["processors"][:-1], plain],
        logger_factory=structlog.PrintLoggerFactory(file=sys.__stderr__),
    )


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Writes a line to the terminal, past pytest's capture: a figure is to be seen also when all is well."""

    def write(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n    {line}\n")
            sys.stdout.flush()

    return write


@pytest.fixture(autouse=True)
def _no_network_in_unit_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    with no_network.refused() if request.path.is_relative_to(UNIT) else nullcontext():
        yield


@pytest.fixture(scope="session")
def test_servers() -> Iterator[TestServers]:
    """One PostgreSQL and two Redis for the whole session."""
    with servers.running() as started:
        yield started


@pytest.fixture(scope="module")
def postgres_url(test_servers: TestServers) -> str:
    """A database of this module's own, empty, at the newest schema."""
    return test_servers.fresh_database()


@pytest.fixture(scope="module")
def broker_url(test_servers: TestServers) -> str:
    """The broker, emptied for this module."""
    return servers.emptied(test_servers.broker_url)


@pytest.fixture(scope="module")
def vault_url(test_servers: TestServers) -> str:
    """The volatile Redis, emptied for this module."""
    return servers.emptied(test_servers.vault_url)


@pytest.fixture(scope="module")
def settings(postgres_url: str, broker_url: str, vault_url: str, test_servers: TestServers) -> Settings:
    """The product's settings on this module's servers; everything else as shipped."""
    return servers.settings_for(postgres_url, test_servers)


@pytest.fixture(scope="module")
def engine(settings: Settings) -> Iterator[Engine]:
    """The product's own pool on this module's database."""
    made = create_engine(settings)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A whole stack, its challenges short-lived, shared by every test that drives the product from outside."""
    with stacks.folder() as home, stacks.running(home) as running:
        yield running
