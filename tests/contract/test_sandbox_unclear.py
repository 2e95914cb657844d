"""Unknown is never failed, at the sandbox: what is paced, refused, down, or said by somebody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import PACED, Captured, Declined, DeclineReason, NotSent, Unanswered
from shared.psp.http import Http
from shared.psp.port import Account, ChargeQuery, Psp
from shared.psp.sandbox import SandboxPsp
from tests.contract.subject import SandboxSubject, a_request, card, query_of
from tests.support import evil


def test_a_paced_charge_was_not_sent(sandbox_subject: SandboxSubject) -> None:
    request = a_request("4000007700000117")
    assert sandbox_subject.psp.charge(request) == NotSent(PACED, timedelta(seconds=1))
    assert isinstance(sandbox_subject.psp.charge(request), Captured)


@pytest.mark.parametrize(
    ("operation", "ask"),
    [
        ("lookUp", lambda psp, reference: psp.look_up(ChargeQuery("", "", reference))),
        ("lookUp", lambda psp, _: psp.look_up(ChargeQuery("key", "order"))),
        ("lookUp", lambda psp, _: psp.charges_since(datetime(2026, 1, 1, tzinfo=UTC))),
        ("void", lambda psp, reference: psp.void(reference, psp_key="v")),
        ("refund", lambda psp, reference: psp.refund(reference, Money(1499, "EUR"), psp_key="r")),
    ],
    ids=["by reference", "by our key", "listing", "void", "refund"],
)
def test_a_paced_question_says_when_to_ask_it(
    sandbox_subject: SandboxSubject, operation: str, ask: Callable[[Psp, str], object]
) -> None:
    captured = sandbox_subject.psp.charge(a_request())
    assert isinstance(captured, Captured)
    sandbox_subject.sandbox.set_faults(next=[{"kind": "http429", "on": operation}])
    assert ask(sandbox_subject.psp, captured.reference) == Unanswered(PACED, timedelta(seconds=1))


@pytest.mark.parametrize("how", ["503", "closed"])
def test_a_psp_that_is_down_leaves_the_charge_unanswered(sandbox_subject: SandboxSubject, how: str) -> None:
    sandbox_subject.sandbox.set_faults(down=how)
    request = a_request()
    assert isinstance(sandbox_subject.psp.charge(request), Unanswered)
    assert isinstance(sandbox_subject.psp.look_up(query_of(request)), Unanswered)


def test_a_first_call_that_still_runs_makes_the_second_unanswered(sandbox_subject: SandboxSubject) -> None:
    sandbox_subject.sandbox.set_faults(latencyMs=6_000)
    request = a_request()
    assert sandbox_subject.psp.charge(request) == Unanswered("timed out")
    assert sandbox_subject.psp.charge(request) == Unanswered("in progress")


def test_wrong_credentials_send_nothing(sandbox_subject: SandboxSubject, http: Http) -> None:
    right = sandbox_subject.account
    wrong = Account(
        right.tenant_id, right.provider, right.account_id, right.adapter, right.base_url, right.channels,
        {"apiKey": "not it", "webhookSecret": right.credentials["webhookSecret"]},
    )  # fmt: skip
    stranger = SandboxPsp(wrong, http)
    assert stranger.charge(a_request()) == NotSent("account refused")
    assert isinstance(stranger.look_up(ChargeQuery("k", "m")), Unanswered)
    assert not stranger.forget_token("tok_1")


def test_a_request_the_psp_refuses_as_invalid_is_a_final_no(sandbox_subject: SandboxSubject) -> None:
    assert sandbox_subject.psp.charge(a_request(return_url="javascript:1")) == Declined(DeclineReason.GENERIC)
    assert sandbox_subject.sandbox.charges(sandbox_subject.account) == []


def test_no_word_of_the_psp_gets_into_an_outcome(sandbox_subject: SandboxSubject) -> None:
    """The sandbox adds issuerText to declines; a real issuer's text may hold anything."""
    declined = sandbox_subject.psp.charge(a_request("4000000000009995"))
    assert "ISSUER TEXT" not in repr(declined)


def test_a_404_of_some_other_server_proves_no_absence(http: Http, sandbox_subject: SandboxSubject) -> None:
    """A wrong base URL, or a proxy's own page, must not read as "this charge was never made"."""
    page = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found"
    with evil.serving(evil.saying(page)) as url:
        psp = SandboxPsp(replace(sandbox_subject.account, base_url=url), http)
        assert isinstance(psp.look_up(ChargeQuery("k", "m", "sb_1")), Unanswered)
        assert isinstance(psp.look_up(ChargeQuery("k", "m")), Unanswered)
        assert not psp.forget_token("tok_1")


@pytest.mark.parametrize("body", [b"<h1>no</h1>", b'{"error": {"code": "blocked"}}'], ids=["page", "document"])
@pytest.mark.parametrize("status", [400, 401, 429])
def test_a_refusal_of_some_other_server_is_no_answer(
    http: Http, sandbox_subject: SandboxSubject, status: int, body: bytes
) -> None:
    """A proxy or a firewall between us and the PSP knows nothing of what an earlier request became."""
    head = b"HTTP/1.1 %d No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    with evil.serving(evil.after_all_of_it(head + body)) as url:
        psp = SandboxPsp(replace(sandbox_subject.account, base_url=url), http)
        assert psp.charge(a_request()) == Unanswered(f"status {status}")
        assert psp.keep_card(card(), customer_urn="cu.00.482", psp_key="k") == Unanswered(f"status {status}")
