"""What every adapter promises of a PSP's books: every charge of the account, once, whoever made it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.outcomes import Captured, Declined, Returned, Unanswered
from shared.psp.http import Http
from shared.psp.port import ChargePage, ChargeRecord, Psp
from shared.psp.sandbox import SandboxPsp
from tests.contract.subject import SandboxSubject, Subject, a_request, give_back


@pytest.fixture
def subject(asked_subject: Subject) -> Subject:
    """PSPs that list what they hold."""
    return asked_subject


def listed(psp: Psp, since: datetime) -> list[ChargeRecord]:
    """Every page since *since*."""
    charges: list[ChargeRecord] = []
    after: str | None = None
    while True:
        page = psp.charges_since(since, after=after)
        assert isinstance(page, ChargePage)
        charges += page.charges
        if (after := page.next) is None:
            return charges


def test_the_books_show_each_charge_as_it_stands_now(subject: Subject) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    kept, declined, given_back = a_request(), a_request("4000000000000002"), a_request()
    for request in (kept, declined):
        subject.psp.charge(request)
    captured = subject.psp.charge(given_back)
    assert isinstance(captured, Captured)
    give_back(subject.psp, captured.reference, captured.money, psp_key="v")

    found = {one.psp_key: one for one in listed(subject.psp, began)}
    assert set(found) == {kept.psp_key, declined.psp_key, given_back.psp_key}
    assert [type(found[one.psp_key].outcome) for one in (kept, declined, given_back)] == [Captured, Declined, Returned]
    assert found[kept.psp_key].money == kept.money
    assert found[kept.psp_key].merchant_reference == kept.merchant_reference
    assert began <= found[kept.psp_key].created_at <= datetime.now(UTC) + timedelta(seconds=1)


def test_what_was_made_before_the_moment_is_left_out(subject: Subject) -> None:
    subject.psp.charge(a_request())
    assert listed(subject.psp, datetime.now(UTC) + timedelta(minutes=1)) == []


def test_many_charges_come_page_by_page_each_once(sandbox_subject: SandboxSubject) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    asked = [a_request() for _ in range(260)]
    for request in asked:
        sandbox_subject.psp.charge(request)
    first = sandbox_subject.psp.charges_since(began)
    assert isinstance(first, ChargePage)
    assert first.next is not None
    assert [one.psp_key for one in listed(sandbox_subject.psp, began)] == [one.psp_key for one in asked]


def test_another_accounts_charges_are_not_shown(sandbox_subject: SandboxSubject, http: Http) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    sandbox_subject.psp.charge(a_request())
    assert listed(SandboxPsp(sandbox_subject.sandbox.account(), http), began) == []


def test_books_that_cannot_be_read_are_unanswered_never_empty(sandbox_subject: SandboxSubject) -> None:
    sandbox_subject.psp.charge(a_request())
    for kind in ("http500", "http429", "drop", "timeoutBefore", "malformed", "huge"):
        sandbox_subject.sandbox.set_faults(next=[{"kind": kind, "on": "lookUp"}])
        assert isinstance(sandbox_subject.psp.charges_since(datetime.now(UTC) - timedelta(hours=1)), Unanswered), kind
