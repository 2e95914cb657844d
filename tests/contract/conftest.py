"""One process of each PSP for the whole tier; each test gets an account of its own and a healthy PSP.

An adapter's subject is a fixture `<adapter>_subject`, in a file of its own where it needs more than a few lines.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.psp.http import Http, Patience
from shared.psp.sandbox import SandboxPsp
from tests.contract.adyen_subject import _adyen_process, adyen_subject
from tests.contract.stripe_subject import _stripe_process, stripe_process, stripe_subject
from tests.contract.subject import SandboxSubject, Subject
from tests.support.psp import Receiver, Sandbox, receiver, sandbox

__all__ = ["_adyen_process", "_stripe_process", "adyen_subject", "stripe_process", "stripe_subject"]

PATIENCE = Patience(connect_s=1.0, read_s=3.0, total_s=3.5)
"""Long enough for a local process on a busy machine, short enough to wait out."""
HANG_S = 5.0
"""Longer than PATIENCE: a hanging call is given up before it is cut."""
SETTLE_S = 1.0
"""Longer than two webhooks sent one after the other may need to change places."""


@pytest.fixture(scope="session")
def _process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("psp") / "ledger.jsonl") as running:
        yield running


@pytest.fixture
def psp_process(_process: Sandbox) -> Iterator[Sandbox]:
    """The sandbox, healthy before and after."""
    _process.set_faults(hangSeconds=HANG_S, settleSeconds=SETTLE_S, autoSeconds=SETTLE_S, slowSeconds=0.2)
    yield _process
    _process.heal()


@pytest.fixture
def hooks() -> Iterator[Receiver]:
    """A webhook address."""
    with receiver() as received:
        yield received


@pytest.fixture(scope="session")
def http() -> Iterator[Http]:
    """The adapters' client with small deadlines."""
    made = Http(PATIENCE)
    yield made
    made.close()


@pytest.fixture
def sandbox_subject(psp_process: Sandbox, hooks: Receiver, http: Http) -> SandboxSubject:
    """The sandbox adapter, for what only the sandbox can be told to do."""
    account = psp_process.account(hooks.url, merchantName="Shop <b>& Sons</b>")
    return SandboxSubject(SandboxPsp(account, http), account, hooks, psp_process)


@pytest.fixture(params=["sandbox", "stripe", "adyen"])
def subject(request: pytest.FixtureRequest) -> Subject:
    """Every adapter we have, one after the other."""
    found: Subject = request.getfixturevalue(f"{request.param}_subject")
    return found


@pytest.fixture(params=["sandbox", "stripe"])
def asked_subject(request: pytest.FixtureRequest) -> Subject:
    """Every adapter whose PSP can be asked: what became of a charge, and of a return, is said at once.

    One that cannot keeps the same promises by notifications, in tests of its own (test_adyen_returns.py and others).
    """
    found: Subject = request.getfixturevalue(f"{request.param}_subject")
    assert found.psp.capabilities.looks_up
    assert found.psp.capabilities.lists_charges
    return found
