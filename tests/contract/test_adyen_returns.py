"""A void or a refund at Adyen is taken in hand at once and told of later, under the name of its request; it happens
once, however often it is asked for."""

from __future__ import annotations

from shared.domain.money import Money
from shared.domain.outcomes import Captured, Declined, Pending, Returned, StillHeld, Unanswered
from tests.contract.adyen_subject import AdyenSubject
from tests.contract.subject import a_request


def _captured(subject: AdyenSubject) -> Captured:
    outcome = subject.psp.charge(a_request())
    assert isinstance(outcome, Captured)
    subject.told()
    return outcome


def test_a_void_is_taken_in_hand_and_its_notification_says_that_the_money_went_back(
    adyen_subject: AdyenSubject,
) -> None:
    captured = _captured(adyen_subject)
    taken = adyen_subject.psp.void(captured.reference, psp_key="void-1")
    assert isinstance(taken, Pending)
    assert taken.reference == captured.reference
    assert adyen_subject.told().outcome == Returned(captured.reference, captured.money, asked_as="void-1")
    assert adyen_subject.live_captures() == []


def test_a_void_asked_for_twice_under_one_key_happens_once(adyen_subject: AdyenSubject) -> None:
    captured = _captured(adyen_subject)
    adyen_subject.fake.holds_back = True
    assert adyen_subject.psp.void(captured.reference, psp_key="v") == adyen_subject.psp.void(
        captured.reference, psp_key="v"
    )
    adyen_subject.fake.work()
    assert adyen_subject.told().outcome == Returned(captured.reference, captured.money, asked_as="v")
    assert adyen_subject.told_no_more()


def test_a_void_of_what_holds_nothing_is_told_as_not_done(adyen_subject: AdyenSubject) -> None:
    declined = adyen_subject.psp.charge(a_request("4000000000000002"))
    assert isinstance(declined, Declined)
    assert declined.reference is not None
    adyen_subject.told()
    assert isinstance(adyen_subject.psp.void(declined.reference, psp_key="void"), Pending)
    failed = StillHeld(declined.reference, Money(1499, "EUR"), "void", was_done=False)
    assert adyen_subject.told().outcome == failed


def test_a_void_that_adyen_refuses_later_is_told_as_not_done_and_another_key_asks_anew(
    adyen_subject: AdyenSubject,
) -> None:
    captured = _captured(adyen_subject)
    adyen_subject.fake.till.refuses_returns = 1
    adyen_subject.psp.void(captured.reference, psp_key="void")
    assert adyen_subject.told().outcome == StillHeld(captured.reference, captured.money, "void", was_done=False)
    assert len(adyen_subject.live_captures()) == 1
    adyen_subject.psp.refund(captured.reference, captured.money, psp_key="refund-1")
    assert adyen_subject.told().outcome == Returned(captured.reference, captured.money, asked_as="refund-1")
    assert adyen_subject.live_captures() == []


def test_parts_are_refunded_each_once_a_key(adyen_subject: AdyenSubject) -> None:
    captured = _captured(adyen_subject)
    part = Money(500, "EUR")
    for _ in range(2):
        assert isinstance(adyen_subject.psp.refund(captured.reference, part, psp_key="part"), Pending)
    assert adyen_subject.told().outcome == Returned(captured.reference, part, asked_as="part")
    adyen_subject.psp.refund(captured.reference, Money(999, "EUR"), psp_key="rest")
    assert adyen_subject.told().outcome == Returned(captured.reference, Money(999, "EUR"), asked_as="rest")
    assert adyen_subject.live_captures() == []


def test_more_than_was_captured_is_told_as_not_done(adyen_subject: AdyenSubject) -> None:
    captured = _captured(adyen_subject)
    adyen_subject.psp.refund(captured.reference, Money(1_500, "EUR"), psp_key="too much")
    failed = StillHeld(captured.reference, Money(1_500, "EUR"), "too much", was_done=False)
    assert adyen_subject.told().outcome == failed
    assert len(adyen_subject.live_captures()) == 1


def test_a_charge_adyen_does_not_know_is_not_given_back(adyen_subject: AdyenSubject) -> None:
    assert isinstance(adyen_subject.psp.void("NOBODYSCHARGE", psp_key="v"), Unanswered)


def test_a_key_longer_than_adyen_takes_still_makes_it_happen_once(adyen_subject: AdyenSubject) -> None:
    captured = _captured(adyen_subject)
    adyen_subject.fake.holds_back = True
    for _ in range(2):
        assert isinstance(adyen_subject.psp.void(captured.reference, psp_key="k" * 90), Pending)
    adyen_subject.fake.work()
    assert adyen_subject.told().outcome == Returned(captured.reference, captured.money, asked_as="k" * 80)
    assert adyen_subject.told_no_more()
