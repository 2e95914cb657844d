"""The sandbox as a process: what it answered survives kill -9, and what it never answered is not half there."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from shared.domain.outcomes import Absent, Captured, Challenged, KeptMethod, Pending, Unanswered
from shared.psp.http import Http, Patience
from shared.psp.port import Channel
from shared.psp.sandbox import SandboxPsp
from tests.contract.subject import SUCCESS, a_request, card, query_of
from tests.support.psp import ROOT, Sandbox, SandboxDidNotStart, receiver, sandbox, until


@pytest.fixture(scope="module")
def _own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("psp") / "ledger.jsonl") as running:
        yield running


@pytest.fixture
def own(_own: Sandbox) -> Sandbox:
    """A sandbox that no other module uses: it may be killed, and is healthy again for the next test."""
    if _own.has_ended:
        _own.start()
    _own.heal()
    return _own


@pytest.fixture
def patient() -> Iterator[Http]:
    """A client with the product's own deadlines."""
    made = Http(Patience())
    yield made
    made.close()


def test_what_was_answered_survives_kill_9(own: Sandbox, patient: Http) -> None:
    psp = SandboxPsp(own.account(), patient)
    request, challenge = a_request(keep_method=True), a_request("4000002760003184")
    captured, challenged = psp.charge(request), psp.charge(challenge)
    assert isinstance(captured, Captured)
    assert isinstance(challenged, Challenged)
    own.kill()
    own.start()
    assert psp.charge(request) == captured  # The account, its key memory and the charge are all back.
    assert psp.look_up(query_of(challenge)) == challenged
    assert captured.kept is not None
    assert isinstance(psp.charge(a_request(token=captured.kept.token)), Captured)


def test_kill_9_under_load_loses_no_answer_and_invents_no_charge(own: Sandbox, patient: Http) -> None:
    account = own.account()
    psp = SandboxPsp(account, patient)
    answered: list[tuple[str, str]] = []
    sent: set[str] = set()
    stop = threading.Event()

    def shop() -> None:
        while not stop.is_set():
            request = a_request()
            sent.add(request.merchant_reference)
            outcome = psp.charge(request)
            if isinstance(outcome, Captured):
                answered.append((request.merchant_reference, outcome.reference))

    shoppers = [threading.Thread(target=shop) for _ in range(8)]
    for shopper in shoppers:
        shopper.start()
    for goal in (50, 100):
        until(partial(_holds, answered, goal), seconds=20)
        own.kill()
        own.start()
    stop.set()
    for shopper in shoppers:
        shopper.join()
    held = {(row["merchantReference"], row["pspReference"]) for row in own.charges(account)}
    assert set(answered) <= held
    assert {reference for reference, _ in held} <= sent


def test_what_was_pending_is_settled_after_a_restart(own: Sandbox, patient: Http) -> None:
    psp = SandboxPsp(own.account(), patient)
    own.set_faults(settleSeconds=0.5)
    request = a_request(channel=Channel.SEPA)
    assert isinstance(psp.charge(request), Pending)
    own.kill()
    own.start()
    assert until(lambda: isinstance(psp.look_up(query_of(request)), Captured))


def test_a_webhook_that_was_not_delivered_is_sent_after_a_restart(own: Sandbox, patient: Http) -> None:
    with receiver() as hooks:
        psp = SandboxPsp(own.account(hooks.url), patient)
        own.set_faults(webhook={"delayMs": 60_000})
        psp.charge(a_request())
        own.kill()
        own.start()
        assert hooks.next().event["type"] == "charge.captured"


def test_a_torn_last_line_is_cut_off_and_a_damaged_one_stops_the_start(own: Sandbox, patient: Http) -> None:
    account = own.account()
    psp = SandboxPsp(account, patient)
    request = a_request()
    captured = psp.charge(request)
    own.kill()
    with own.ledger.open("ab") as file:
        file.write(b'{"charge":{"reference":"sb_half')
    own.start()
    assert psp.charge(request) == captured
    assert isinstance(psp.charge(a_request()), Captured)
    own.kill()
    whole = own.ledger.read_bytes()
    own.ledger.write_bytes(b"{damaged\n" + whole)
    with pytest.raises(SandboxDidNotStart, match="line 1 is damaged"):
        own.start()
    own.ledger.write_bytes(whole)
    own.start()
    assert len(own.charges(account)) == 2


def test_two_sandboxes_never_share_a_ledger(own: Sandbox) -> None:
    second = Sandbox(own.ledger)
    with pytest.raises(SandboxDidNotStart, match="in use by another sandbox"):
        second.start()
    second.close()


def test_sigterm_ends_it_cleanly_even_while_calls_hang(own: Sandbox) -> None:
    own.set_faults(hangSeconds=60, next=[{"kind": "timeoutBefore"}])
    psp = SandboxPsp(own.account(), Http(Patience(read_s=0.2)))
    psp.charge(a_request())
    assert own.stop() == 0


def test_no_card_number_and_no_cvc_is_ever_written(own: Sandbox, patient: Http) -> None:
    cvc, number = "0917", "4000007700000240"  # No number is written with a nought before it.
    refused_cvc = "091x"
    psp = SandboxPsp(own.account(), patient)
    psp.charge(a_request(card=card(number, cvc=cvc), keep_method=True))
    assert isinstance(psp.keep_card(card(number, cvc=cvc), customer_urn="c", psp_key="k"), KeptMethod)
    psp.charge(a_request(card=card(SUCCESS, cvc=refused_cvc), merchant_reference="refused"))
    own.stop()
    for file in (own.ledger, own.ledger.with_suffix(".log")):
        written = file.read_text()
        assert number not in written
        assert SUCCESS not in written
        # Not as a few digits of a time stamp or of a digest.
        assert not re.search(rf"\b({cvc}|{refused_cvc})\b", written)
    assert own.ledger.stat().st_mode & 0o077 == 0


def test_help_tells_what_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.sandbox", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0
    assert "--ledger" in done.stdout


def test_a_disk_that_refuses_ends_the_process_before_an_answer_leaves(own: Sandbox, patient: Http) -> None:
    """RLIMIT_FSIZE stands for a full disk: the next line does not fit."""
    account = own.account()
    psp = SandboxPsp(account, patient)
    assert isinstance(psp.charge(a_request()), Captured)
    resource.prlimit(own.pid, resource.RLIMIT_FSIZE, (own.ledger.stat().st_size + 100, -1))
    request = a_request()
    assert isinstance(psp.charge(request), Unanswered)
    assert own.wait() == 1
    assert "File too large" in own.ledger.with_suffix(".log").read_text()
    own.start()
    assert psp.look_up(query_of(request)) == Absent()
    assert isinstance(psp.charge(request), Captured)
    assert len(own.charges(account)) == 2


def _holds(rows: list[tuple[str, str]], count: int) -> bool:
    return len(rows) >= count
