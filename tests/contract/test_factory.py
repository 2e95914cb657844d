"""One client a process, whatever kind of process it is: forked, or patched by gevent.

Each runs as a program of its own: a test process can neither fork safely nor be patched.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict

import pytest

from shared.psp.factory import UnknownAdapter, psp_for
from shared.psp.port import Account, Channel
from tests.contract.subject import SandboxSubject
from tests.support.psp import ROOT

FORKED = """
import os, sys
from shared.psp.factory import psp_for
from shared.psp.port import Account, ChargeQuery
from shared.domain.outcomes import Absent

account = Account(**eval(sys.stdin.read()))

def ask() -> None:
    for n in range(25):
        assert psp_for(account).look_up(ChargeQuery("k", f"m{n}")) == Absent()

ask()  # The parent's connection is open when the children come.
children = []
for _ in range(4):
    if (child := os.fork()) == 0:
        try:
            ask()
        except BaseException:
            os._exit(1)
        os._exit(0)
    children.append(child)
ask()
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
"""

GREEN = """
from gevent import monkey; monkey.patch_all()
import sys, time
import gevent
from shared.psp.factory import psp_for
from shared.psp.port import Account, ChargeQuery
from shared.domain.outcomes import Absent

account = Account(**eval(sys.stdin.read()))

def ask(n):
    return psp_for(account).look_up(ChargeQuery("k", f"m{n}"))

began = time.monotonic()
asking = [gevent.spawn(ask, n) for n in range(50)]
gevent.joinall(asking, raise_error=True)
assert {one.value for one in asking} == {Absent()}
assert time.monotonic() - began < 15, "fifty calls of 0.4 s waited for one another"
"""


def _run(program: str, account: Account) -> None:
    document = asdict(account) | {"channels": frozenset()}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, input=repr(document), text=True, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_forked_worker_never_talks_on_its_parents_connections(sandbox_subject: SandboxSubject) -> None:
    _run(FORKED, sandbox_subject.account)


def test_fifty_greenlets_wait_for_the_psp_side_by_side(sandbox_subject: SandboxSubject) -> None:
    """One after the other they would take 20 s."""
    sandbox_subject.sandbox.set_faults(latencyMs=400)
    _run(GREEN, sandbox_subject.account)


def test_an_account_of_an_unknown_adapter_is_our_own_mistake() -> None:
    account = Account("t", "p", "a", "no such adapter", "http://127.0.0.1:1", frozenset(Channel), {})
    with pytest.raises(UnknownAdapter):
        psp_for(account)
