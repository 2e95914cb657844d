"""What every adapter promises of a look-up: it means one attempt, and absence is said only when it is proven."""

from __future__ import annotations

import pytest

from shared.domain.outcomes import Absent, Captured, Challenged, Declined, DeclineReason, Unanswered
from shared.psp.http import Http
from shared.psp.port import ChargeQuery
from shared.psp.sandbox import SandboxPsp
from tests.contract.subject import SandboxSubject, Subject, a_request, query_of


@pytest.fixture
def subject(asked_subject: Subject) -> Subject:
    """PSPs that can be asked."""
    return asked_subject


def test_a_charge_is_found_by_its_key_and_by_its_reference(subject: Subject) -> None:
    request = a_request()
    captured = subject.psp.charge(request)
    assert isinstance(captured, Captured)
    assert subject.psp.look_up(query_of(request)) == captured
    assert subject.psp.look_up(query_of(request, captured.reference)) == captured


def test_a_charge_that_was_never_made_is_absent(subject: Subject) -> None:
    assert subject.psp.look_up(query_of(a_request())) == Absent()
    assert subject.psp.look_up(ChargeQuery("key", "order", "sb_unknown")) == Absent()


def test_of_two_attempts_of_one_order_each_look_up_finds_its_own(subject: Subject) -> None:
    first = a_request("4000000000009995")
    second = a_request(merchant_reference=first.merchant_reference)
    subject.psp.charge(first)
    subject.psp.charge(second)
    told = subject.psp.look_up(query_of(first))
    assert isinstance(told, Declined)
    assert told.reason is DeclineReason.INSUFFICIENT_FUNDS
    assert isinstance(subject.psp.look_up(query_of(second)), Captured)
    other_key = ChargeQuery("another key", first.merchant_reference)
    assert subject.psp.look_up(other_key) == Absent()


def test_another_accounts_charges_are_absent(sandbox_subject: SandboxSubject, http: Http) -> None:
    request = a_request()
    captured = sandbox_subject.psp.charge(request)
    assert isinstance(captured, Captured)
    stranger = SandboxPsp(sandbox_subject.sandbox.account(), http)
    assert stranger.look_up(query_of(request)) == Absent()
    assert stranger.look_up(query_of(request, captured.reference)) == Absent()
    assert isinstance(stranger.void(captured.reference, psp_key="v"), Unanswered)


def test_a_reference_that_belongs_to_another_order_does_not_count(subject: Subject) -> None:
    captured = subject.psp.charge(a_request())
    assert isinstance(captured, Captured)
    told = subject.psp.look_up(ChargeQuery("key", "another order", captured.reference))
    assert told == Unanswered("answer does not match")


def test_an_open_challenge_is_found_with_its_page(subject: Subject) -> None:
    request = a_request("4000002760003184")
    assert isinstance(challenged := subject.psp.charge(request), Challenged)
    assert subject.psp.look_up(query_of(request)) == challenged


def test_a_look_up_that_fails_is_unanswered_never_absent(sandbox_subject: SandboxSubject) -> None:
    request = a_request()
    for kind in ("http500", "http429", "drop", "timeoutBefore", "malformed", "huge", "otherReference"):
        sandbox_subject.sandbox.set_faults(next=[{"kind": kind, "on": "lookUp"}])
        told = sandbox_subject.psp.look_up(query_of(request))
        if kind == "otherReference":
            continue  # A list has no reference of its own to lie about; see the look-up by reference below.
        assert isinstance(told, Unanswered), kind
    captured = sandbox_subject.psp.charge(request)
    assert isinstance(captured, Captured)
    sandbox_subject.sandbox.set_faults(next=[{"kind": "otherReference", "on": "lookUp"}])
    assert isinstance(sandbox_subject.psp.look_up(query_of(request, captured.reference)), Unanswered)
