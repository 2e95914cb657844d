"""How the sandbox's keys behave in its two memories: what a worker that asks twice may meet."""

from __future__ import annotations

from shared.domain.outcomes import Captured, Challenged, Declined, DeclineReason, Unanswered
from tests.contract.subject import SandboxSubject, a_request, query_of


def test_a_psp_that_remembers_everything_repeats_a_decline(sandbox_subject: SandboxSubject) -> None:
    sandbox_subject.sandbox.set_faults(next=[{"kind": "decline"}])
    request = a_request()
    declined = sandbox_subject.psp.charge(request)
    assert isinstance(declined, Declined)
    assert sandbox_subject.psp.charge(request) == declined
    assert sandbox_subject.live_captures() == []


def test_a_psp_that_remembers_only_successes_may_capture_after_a_decline(sandbox_subject: SandboxSubject) -> None:
    """Fault C4: one worker holds a decline, the other captured. The look-up must see the money."""
    sandbox_subject.sandbox.set_faults(memory="successes", next=[{"kind": "decline"}])
    request = a_request()
    assert isinstance(sandbox_subject.psp.charge(request), Declined)
    captured = sandbox_subject.psp.charge(request)
    assert isinstance(captured, Captured)
    assert sandbox_subject.psp.charge(request) == captured
    assert sandbox_subject.psp.look_up(query_of(request)) == captured
    assert len(sandbox_subject.live_captures()) == 1


def test_both_memories_keep_a_challenge(sandbox_subject: SandboxSubject) -> None:
    for memory in ("everything", "successes"):
        sandbox_subject.sandbox.set_faults(memory=memory)
        request = a_request("4000002760003184")
        first = sandbox_subject.psp.charge(request)
        assert isinstance(first, Challenged)
        assert sandbox_subject.psp.charge(request) == first


def test_a_key_past_its_lifetime_charges_again(sandbox_subject: SandboxSubject) -> None:
    """Fault C3: after the lifetime only a query is safe."""
    request = a_request()
    sandbox_subject.psp.charge(request)
    sandbox_subject.sandbox.set_faults(keyLifetimeSeconds=0)
    assert isinstance(sandbox_subject.psp.charge(request), Captured)
    assert len(sandbox_subject.live_captures()) == 2


def test_a_repeat_with_a_retyped_cvc_is_the_same_request(sandbox_subject: SandboxSubject) -> None:
    """No digest of a CVC may exist, so it cannot take part."""
    request = a_request()
    first = sandbox_subject.psp.charge(request)
    assert request.card is not None
    object.__setattr__(request.card, "cvc", "999")
    assert sandbox_subject.psp.charge(request) == first


def test_a_repeat_with_another_card_is_refused(sandbox_subject: SandboxSubject) -> None:
    request = a_request()
    sandbox_subject.psp.charge(request)
    other = a_request("5555555555554444", psp_key=request.psp_key, merchant_reference=request.merchant_reference)
    assert sandbox_subject.psp.charge(other) == Unanswered("key used with other parameters")


def test_a_gone_method_is_told_as_such(sandbox_subject: SandboxSubject) -> None:
    declined = sandbox_subject.psp.charge(a_request(token="tok_never_was"))
    assert isinstance(declined, Declined)
    assert declined.reason is DeclineReason.METHOD_GONE
