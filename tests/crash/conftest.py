"""The processes every crash happens to: real PostgreSQL, real Redis, a real PSP with a ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.config import Settings
from tests.support import crash_case
from tests.support.crash_case import Case, Floor
from tests.support.psp import receiver, sandbox


@pytest.fixture(scope="module")
def floor(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    """A floor of this module's own, its leases short."""
    folder: Path = tmp_path_factory.mktemp("crash")
    short = crash_case.settings_in(folder, settings)
    with (
        sandbox(folder / "ledger.jsonl") as psp,
        receiver() as hooks,
        crash_case.floor(short, psp, hooks) as made,
    ):
        yield made


@pytest.fixture
def case(floor: Floor) -> Iterator[Case]:
    """A tenant of this test's own at a healthy PSP, with nothing left in the queues."""
    floor.sandbox.heal()
    floor.broker.flushdb()
    yield floor.case()
    floor.sandbox.heal()
