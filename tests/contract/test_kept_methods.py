"""What every adapter promises of kept methods: the charge can keep one, it can be charged, and it can be forgotten."""

from __future__ import annotations

from shared.domain.outcomes import Captured, Challenged, Declined, DeclineReason, KeptMethod, NotSent, Unanswered
from shared.psp.port import Channel
from tests.contract.subject import SandboxSubject, Subject, a_request, came_back, card


def _kept(subject: Subject, number: str = "5555555555554444") -> KeptMethod:
    kept = subject.psp.keep_card(card(number), customer_urn="cu.00.482", psp_key=f"keep-{number}")
    assert isinstance(kept, KeptMethod)
    return kept


def test_a_charge_that_keeps_its_card_brings_a_token_and_the_mask(subject: Subject) -> None:
    outcome = subject.psp.charge(a_request(keep_method=True))
    assert isinstance(outcome, Captured)
    assert outcome.kept is not None
    kept = outcome.kept
    assert (kept.masked_number, kept.card_type) == ("411111******1111", "VISA")
    assert (kept.expire_year, kept.expire_month) == ("2029", "12")
    charged = subject.psp.charge(a_request(token=kept.token))
    assert isinstance(charged, Captured)
    assert charged.kept is None


def test_a_challenged_charge_keeps_its_card_once_it_is_captured(subject: Subject) -> None:
    request = a_request("4000002760003184", keep_method=True)
    challenged = subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    came_to = subject.shopper(challenged.challenge, "approve")
    told = subject.psp.look_up(came_back(subject, request, came_to))
    assert isinstance(told, Captured)
    assert told.kept is not None


def test_a_card_is_kept_without_a_charge(subject: Subject) -> None:
    kept = _kept(subject)
    assert (kept.masked_number, kept.card_type) == ("555555******4444", "MASTERCARD")
    assert subject.live_captures() == []
    assert isinstance(subject.psp.charge(a_request(token=kept.token)), Captured)


def test_keeping_twice_under_one_key_makes_one_token_and_under_two_keys_two(subject: Subject) -> None:
    def keep(key: str) -> object:
        return subject.psp.keep_card(card(), customer_urn="cu.00.482", psp_key=key)

    assert keep("k1") == keep("k1")
    assert keep("k1") != keep("k2")


def test_a_card_the_issuer_refuses_is_not_kept(subject: Subject) -> None:
    refused = subject.psp.keep_card(card("4000000000009995"), customer_urn="cu.00.482", psp_key="k")
    assert refused == Declined(DeclineReason.INSUFFICIENT_FUNDS)


def test_a_kept_card_can_still_be_declined_when_charged(subject: Subject) -> None:
    kept = _kept(subject, "4000000000000341")
    assert isinstance(subject.psp.charge(a_request(token=kept.token)), Declined)


def test_a_forgotten_token_is_gone_and_forgetting_it_again_is_still_true(subject: Subject) -> None:
    kept = _kept(subject)
    assert subject.psp.forget_token(kept.token)
    assert subject.psp.forget_token(kept.token)
    outcome = subject.psp.charge(a_request(token=kept.token))
    assert isinstance(outcome, Declined)
    assert outcome.reason is DeclineReason.METHOD_GONE


def test_a_kept_wallet_is_charged_without_the_page(subject: Subject) -> None:
    request = a_request(channel=Channel.PAYPAL, keep_method=True)
    challenged = subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    came_to = subject.shopper(challenged.challenge, "approve")
    told = subject.psp.look_up(came_back(subject, request, came_to))
    assert isinstance(told, Captured)
    assert told.kept is not None
    assert told.kept.masked_number is None
    again = subject.psp.charge(a_request(channel=Channel.PAYPAL, token=told.kept.token))
    assert isinstance(again, Captured)


def test_trouble_while_keeping_or_forgetting_is_told_apart_from_a_verdict(sandbox_subject: SandboxSubject) -> None:
    kept = _kept(sandbox_subject)
    sandbox_subject.sandbox.set_faults(
        next=[
            {"kind": "http500", "on": "forget"},
            {"kind": "timeoutAfter", "on": "token"},
            {"kind": "http429", "on": "token"},
        ]
    )
    psp = sandbox_subject.psp
    assert not psp.forget_token(kept.token)
    assert isinstance(psp.keep_card(card(), customer_urn="cu.00.482", psp_key="lost"), Unanswered)
    assert isinstance(psp.keep_card(card(), customer_urn="cu.00.482", psp_key="paced"), NotSent)
    assert isinstance(psp.keep_card(card(), customer_urn="cu.00.482", psp_key="lost"), KeptMethod)
