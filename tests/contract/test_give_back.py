"""What every adapter promises of a void and a refund: once, provably, and honest when it came too late."""

from __future__ import annotations

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import Captured, Challenged, Declined, Pending, Returned, Unanswered
from shared.psp.port import Channel
from tests.contract.subject import SandboxSubject, Subject, a_request, query_of


@pytest.fixture
def subject(asked_subject: Subject) -> Subject:
    """PSPs that say at once what became of a return; one that tells later is tried in test_adyen_returns.py."""
    return asked_subject


def _captured(subject: Subject) -> tuple[Captured, Money]:
    request = a_request()
    outcome = subject.psp.charge(request)
    assert isinstance(outcome, Captured)
    return outcome, request.money


def _refunded(charge: Captured) -> Returned:
    return Returned(charge.reference, refunded=True)


def _voided(charge: Captured | Challenged | Pending | Declined) -> Returned:
    assert charge.reference is not None
    return Returned(charge.reference, refunded=False)


def test_a_void_returns_a_capture_and_a_second_void_changes_nothing(subject: Subject) -> None:
    request = a_request()
    captured = subject.psp.charge(request)
    assert isinstance(captured, Captured)
    if not subject.psp.capabilities.voids:
        for _ in range(2):  # It says so, changes nothing, and a refund helps.
            assert subject.psp.void(captured.reference, psp_key="void-1") == captured
        assert len(subject.live_captures()) == 1
        assert subject.psp.refund(captured.reference, request.money, psp_key="r") == _refunded(captured)
    back = _voided(captured) if subject.psp.capabilities.voids else _refunded(captured)
    for key in ("void-1", "void-1", "void-2"):
        assert subject.psp.void(captured.reference, psp_key=key) == back
    assert subject.psp.look_up(query_of(request)) == back
    assert subject.live_captures() == []


def test_a_void_ends_an_open_challenge_and_the_page_captures_nothing_after_it(subject: Subject) -> None:
    request = a_request("4000002760003184")
    challenged = subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    assert challenged.reference is not None
    assert subject.psp.void(challenged.reference, psp_key="void") == _voided(challenged)
    subject.shopper(challenged.challenge, "approve")
    assert subject.psp.look_up(query_of(request)) == _voided(challenged)
    assert subject.live_captures() == []


def test_a_void_stops_a_pending_payment(sandbox_subject: SandboxSubject) -> None:
    sandbox_subject.sandbox.set_faults(settleSeconds=60)
    request = a_request(channel=Channel.SEPA)
    pending = sandbox_subject.psp.charge(request)
    assert isinstance(pending, Pending)
    assert sandbox_subject.psp.void(pending.reference, psp_key="void") == _voided(pending)


def test_a_void_of_a_declined_charge_says_that_nothing_is_held(subject: Subject) -> None:
    declined = subject.psp.charge(a_request("4000000000000002"))
    assert isinstance(declined, Declined)
    assert declined.reference is not None
    assert subject.psp.void(declined.reference, psp_key="void") == _voided(declined)


def test_a_void_that_comes_too_late_says_captured_and_a_refund_still_helps(sandbox_subject: SandboxSubject) -> None:
    captured, money = _captured(sandbox_subject)
    sandbox_subject.sandbox.set_faults(voidWindowSeconds=0)
    too_late = sandbox_subject.psp.void(captured.reference, psp_key="void")
    assert too_late == Captured(captured.reference, money)
    assert sandbox_subject.psp.refund(captured.reference, money, psp_key="refund") == _refunded(captured)
    assert sandbox_subject.psp.void(captured.reference, psp_key="void") == _refunded(captured)


def test_a_refund_happens_once_a_key(subject: Subject) -> None:
    captured, _ = _captured(subject)
    part = Money(500, "EUR")
    assert subject.psp.refund(captured.reference, part, psp_key="part") == _refunded(captured)
    assert subject.psp.refund(captured.reference, part, psp_key="part") == _refunded(captured)
    assert subject.returned_minor() == 500
    assert subject.psp.refund(captured.reference, Money(999, "EUR"), psp_key="rest") == _refunded(captured)
    assert subject.live_captures() == []


def test_where_a_part_went_back_already_the_rest_is_refunded(subject: Subject) -> None:
    """The merchant gave a part back at the PSP: there is not the whole amount to give any more, and no void."""
    captured, money = _captured(subject)
    assert subject.psp.refund(captured.reference, Money(500, "EUR"), psp_key="merchant") == _refunded(captured)
    for _ in range(2):
        assert subject.psp.refund(captured.reference, money, psp_key="ours") == _refunded(captured)
    assert subject.live_captures() == []


def test_a_refund_of_the_rest_whose_answer_is_lost_is_unanswered_and_asked_for_again(
    sandbox_subject: SandboxSubject,
) -> None:
    captured, money = _captured(sandbox_subject)
    sandbox_subject.psp.refund(captured.reference, Money(500, "EUR"), psp_key="merchant")
    # The first of the two meets the refusal of the whole amount, which is said in any case.
    sandbox_subject.sandbox.set_faults(next=[{"kind": "http500After", "on": "refund", "times": 2}])
    assert isinstance(sandbox_subject.psp.refund(captured.reference, money, psp_key="ours"), Unanswered)
    assert sandbox_subject.psp.refund(captured.reference, money, psp_key="ours") == _refunded(captured)
    (row,) = sandbox_subject.sandbox.charges(sandbox_subject.account)
    assert (row["state"], row["refundedMinor"]) == ("refunded", 1499)


def test_more_than_was_captured_cannot_be_refunded(subject: Subject) -> None:
    captured, money = _captured(subject)
    outcome = subject.psp.refund(captured.reference, Money(1_500, "EUR"), psp_key="refund")
    assert outcome == Captured(captured.reference, money)
    assert len(subject.live_captures()) == 1


def test_a_refund_whose_answer_is_lost_is_unanswered_and_the_same_key_proves_it(
    sandbox_subject: SandboxSubject,
) -> None:
    captured, _ = _captured(sandbox_subject)
    for kind in ("timeoutAfter", "http500After", "dropAfter"):
        sandbox_subject.sandbox.set_faults(next=[{"kind": kind, "on": "refund"}])
        lost = sandbox_subject.psp.refund(captured.reference, Money(100, "EUR"), psp_key=kind)
        assert isinstance(lost, Unanswered)
        again = sandbox_subject.psp.refund(captured.reference, Money(100, "EUR"), psp_key=kind)
        assert again == _refunded(captured)
    (row,) = sandbox_subject.sandbox.charges(sandbox_subject.account)
    assert row["refundedMinor"] == 300


def test_a_void_that_never_reached_the_psp_is_unanswered_and_can_be_said_again(
    sandbox_subject: SandboxSubject,
) -> None:
    captured, _ = _captured(sandbox_subject)
    sandbox_subject.sandbox.set_faults(next=[{"kind": "timeoutBefore", "on": "void"}])
    assert isinstance(sandbox_subject.psp.void(captured.reference, psp_key="void"), Unanswered)
    assert len(sandbox_subject.live_captures()) == 1
    assert sandbox_subject.psp.void(captured.reference, psp_key="void") == _voided(captured)
