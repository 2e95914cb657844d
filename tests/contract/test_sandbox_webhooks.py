"""The sandbox's webhooks as the faults set them: late, doubled, out of order, lost, and asked for again."""

from __future__ import annotations

import queue
import time
from typing import Any

import httpx
import pytest

from shared.domain.outcomes import Unanswered
from shared.psp.http import Http
from shared.psp.port import Account
from shared.psp.sandbox import SandboxPsp
from tests.contract.subject import SandboxSubject, a_request
from tests.support.psp import until


def _row(subject: SandboxSubject, account: Account | None = None) -> dict[str, Any]:
    rows: list[dict[str, Any]] = subject.sandbox.get("/webhooks")["webhooks"]
    account_id = (account or subject.account).account_id
    return next(row for row in rows if row["accountId"] == account_id)


def test_a_delayed_webhook_comes_after_its_delay(sandbox_subject: SandboxSubject) -> None:
    sandbox_subject.sandbox.set_faults(webhook={"delayMs": 1_000})
    began = time.monotonic()
    sandbox_subject.psp.charge(a_request())
    sandbox_subject.hooks.next()
    assert time.monotonic() - began >= 1.0


def test_a_webhook_overtakes_an_answer_that_is_held_back(sandbox_subject: SandboxSubject) -> None:
    sandbox_subject.sandbox.set_faults(answerDelayMs=60_000)
    request = a_request()
    assert sandbox_subject.psp.charge(request) == Unanswered("timed out")
    hook = sandbox_subject.hooks.next(20)  # Long before the answer would leave.
    assert hook.event["charge"]["merchantReference"] == request.merchant_reference


def test_a_doubled_webhook_comes_twice_under_one_id(sandbox_subject: SandboxSubject) -> None:
    sandbox_subject.sandbox.set_faults(webhook={"duplicate": 1})
    sandbox_subject.psp.charge(a_request())
    first, second = sandbox_subject.hooks.next(), sandbox_subject.hooks.next()
    assert first.event["id"] == second.event["id"]
    assert first.body == second.body


def test_a_reordered_webhook_comes_after_the_next_one(sandbox_subject: SandboxSubject) -> None:
    early, late = a_request(), a_request()
    sandbox_subject.sandbox.set_faults(webhook={"reorder": 1})
    sandbox_subject.psp.charge(early)
    sandbox_subject.sandbox.set_faults(webhook={"reorder": 0})
    sandbox_subject.psp.charge(late)
    order = [sandbox_subject.hooks.next().event["charge"]["merchantReference"] for _ in range(2)]
    assert order == [late.merchant_reference, early.merchant_reference]


def test_a_lost_webhook_never_comes_until_an_operator_sends_it(sandbox_subject: SandboxSubject) -> None:
    sandbox_subject.sandbox.set_faults(webhook={"lossRate": 1})
    sandbox_subject.psp.charge(a_request())
    row = _row(sandbox_subject)
    assert (row["state"], row["tries"]) == ("lost", 0)
    with pytest.raises(queue.Empty):
        sandbox_subject.hooks.next(timeout_s=0.3)
    sandbox_subject.sandbox.post(f"/webhooks/{row['id']}/send", {})
    assert sandbox_subject.hooks.next().event["id"] == row["id"]


def test_a_receiver_that_fails_is_asked_again_until_it_acknowledges(sandbox_subject: SandboxSubject) -> None:
    sandbox_subject.hooks.statuses += [503, 302]
    sandbox_subject.psp.charge(a_request())
    ids = {sandbox_subject.hooks.next().event["id"] for _ in range(3)}
    assert len(ids) == 1
    row = until(lambda: (row := _row(sandbox_subject))["state"] == "delivered" and row)
    assert row
    assert (row["tries"], row["lastStatus"]) == (3, 204)


def test_an_account_without_an_address_gets_no_webhook(sandbox_subject: SandboxSubject, http: Http) -> None:
    account = sandbox_subject.sandbox.account()
    SandboxPsp(account, http).charge(a_request())
    row = until(lambda: (row := _row(sandbox_subject, account))["state"] != "waiting" and row)
    assert row
    assert row["state"] == "no_address"


def test_an_unknown_webhook_cannot_be_sent(sandbox_subject: SandboxSubject) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        sandbox_subject.sandbox.post("/webhooks/evt_nobody/send", {})
