"""Webhooks of Stripe: its header, both secrets of a rotation, and what is news of a charge of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stripe import WebhookSignature

from shared.domain.money import Money
from shared.domain.outcomes import Captured, Declined, DeclineReason, Returned, StillHeld
from shared.psp.http import Http
from shared.psp.port import BadSignature, EventKind, PspEvent
from shared.psp.stripe import StripePsp
from tests.contract.stripe_subject import StripeSubject
from tests.contract.subject import a_request
from tests.support.stripe_fake.clerk import event as worded

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def _signed(subject: StripeSubject, document: Any, *, at: datetime = NOW) -> tuple[dict[str, str], bytes]:
    body = json.dumps(document)
    return dict(subject.sign(body, event_id="", now=at)), body.encode()


def _read(subject: StripeSubject, document: Any) -> PspEvent:
    return subject.psp.read_event(*_signed(subject, document), now=NOW)


def _intent(**fields: Any) -> dict[str, Any]:
    """A PaymentIntent of ours, as an event shows it."""
    names = {"pspKey": "key-1", "merchantReference": "order-1", "channel": "CreditCard"}
    return {
        "id": "pi_1", "object": "payment_intent", "amount": 1499, "amount_received": 1499, "currency": "eur",
        "status": "succeeded", "created": 1_800_000_000, "metadata": names, "latest_charge": "ch_1",
    } | fields  # fmt: skip


SPOILT: dict[str, Callable[[str], str]] = {
    "another time": lambda header: header.replace("t=", "t=1"),
    "time is not a number": lambda header: "t=nan," + header.partition(",")[2],
    "time in other digits": lambda header: "t=١٢٣," + header.partition(",")[2],
    "time without end": lambda header: f"t={'9' * 400}," + header.partition(",")[2],
    "no time": lambda header: header.partition(",")[2],
    "two times": lambda header: "t=1," + header,
    "no signature": lambda header: header.partition(",")[0],
    "signature of nothing": lambda header: header.partition(",")[0] + ",v1=",
    "signature of another version": lambda header: header.replace("v1=", "v0="),
    "signature not hexadecimal": lambda header: header.replace("v1=", "v1=é"),
    "signatures without end": lambda header: header + ",v1=00" * 100,
    "empty": lambda header: "",
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_header_that_is_not_as_stripe_sent_it_is_refused(
    stripe_subject: StripeSubject, spoil: Callable[[str], str]
) -> None:
    headers, body = _signed(stripe_subject, worded("payment_intent.succeeded", _intent()))
    spoilt = {name: spoil(value) for name, value in headers.items()}
    assert spoilt != headers
    with pytest.raises(BadSignature):
        stripe_subject.psp.read_event(spoilt, body, now=NOW)
    assert stripe_subject.psp.read_event(headers, body, now=NOW).kind is EventKind.CHARGE


def test_a_header_is_found_whatever_its_case(stripe_subject: StripeSubject) -> None:
    headers, body = _signed(stripe_subject, worded("payment_intent.succeeded", _intent()))
    lower = {name.lower(): value for name, value in headers.items()}
    assert stripe_subject.psp.read_event(lower, body, now=NOW).psp_key == "key-1"


@pytest.mark.parametrize("seconds", [-301, 301])
def test_the_window_is_five_minutes_to_either_side_of_the_moment_given(
    stripe_subject: StripeSubject, seconds: int
) -> None:
    headers, body = _signed(stripe_subject, worded("payment_intent.succeeded", _intent()))
    with pytest.raises(BadSignature):
        stripe_subject.psp.read_event(headers, body, now=NOW + timedelta(seconds=seconds))
    inside = NOW + timedelta(seconds=seconds - (1 if seconds > 0 else -1))
    assert stripe_subject.psp.read_event(headers, body, now=inside).kind is EventKind.CHARGE


def test_both_secrets_of_a_rotation_verify_and_a_blank_one_opens_nothing(
    stripe_subject: StripeSubject, http: Http
) -> None:
    headers, body = _signed(stripe_subject, worded("payment_intent.succeeded", _intent()))
    account = stripe_subject.account
    before = {"apiKey": "k", "webhookSecret": "whsec_new", "webhookSecretBefore": account.credentials["webhookSecret"]}
    rotated = StripePsp(replace(account, credentials=before), http)
    assert rotated.read_event(headers, body, now=NOW).kind is EventKind.CHARGE
    for credentials in ({"apiKey": "k", "webhookSecret": ""}, {"apiKey": "k"}):
        with pytest.raises(BadSignature):
            StripePsp(replace(account, credentials=credentials), http).read_event(headers, body, now=NOW)


def test_an_event_of_another_account_is_refused(stripe_subject: StripeSubject, http: Http) -> None:
    stripe_subject.psp.charge(a_request())
    hook = stripe_subject.hooks.next()
    stranger = StripePsp(stripe_subject.fake.account(), http)
    with pytest.raises(BadSignature):
        stranger.read_event(hook.headers, hook.body, now=datetime.now(UTC))


def test_the_refusal_of_an_event_quotes_nothing_of_it(stripe_subject: StripeSubject) -> None:
    body = json.dumps(worded("payment_intent.succeeded", _intent()))
    header = WebhookSignature.generate_signature_header(body, "whsec_other", int(NOW.timestamp()))
    with pytest.raises(BadSignature) as refused:
        stripe_subject.psp.read_event({"Stripe-Signature": header}, body.encode(), now=NOW)
    assert "pi_1" not in repr(refused.value)
    assert refused.value.__cause__ is None


NOT_OURS: dict[str, dict[str, Any]] = {
    "another kind": worded("payout.paid", {"id": "po_1", "object": "payout"}),
    "made, not confirmed": worded("payment_intent.created", _intent(status="requires_confirmation")),
    "a charge of somebody else": worded("payment_intent.succeeded", _intent(metadata={})),
    "half of our names": worded("payment_intent.succeeded", _intent(metadata={"pspKey": "key-1"})),
    "a document of another kind": worded("payment_intent.succeeded", _intent(object="charge")),
    "an amount that is none": worded("payment_intent.succeeded", _intent(amount="1499")),
    "a status we do not know": worded("payment_intent.succeeded", _intent(status="settled")),
    "nothing in it": worded("payment_intent.succeeded", {}),
}


@pytest.mark.parametrize("document", NOT_OURS.values(), ids=NOT_OURS)
def test_what_is_no_news_of_a_charge_of_ours_is_kept_as_other(
    stripe_subject: StripeSubject, document: dict[str, Any]
) -> None:
    event = _read(stripe_subject, document)
    assert event == PspEvent(document["id"], EventKind.OTHER, None, None, None)


@pytest.mark.parametrize("document", [{}, [], 5, {"id": 5, "object": "event", "type": "x", "data": {"object": {}}}])
def test_a_signed_body_without_an_event_is_named_by_what_it_is(stripe_subject: StripeSubject, document: Any) -> None:
    event = _read(stripe_subject, document)
    assert event.kind is EventKind.OTHER
    assert event.event_id == _read(stripe_subject, document).event_id
    assert event.event_id != _read(stripe_subject, [document, "another"]).event_id


def test_a_refund_is_news_once_all_of_the_money_went_back(stripe_subject: StripeSubject) -> None:
    names = _intent()["metadata"]
    charge = {"id": "ch_1", "object": "charge", "amount_refunded": 500, "refunded": False, "payment_intent": "pi_1"}
    part = _read(stripe_subject, worded("charge.refunded", charge | {"metadata": names}))
    assert part.kind is EventKind.OTHER
    whole = _read(stripe_subject, worded("charge.refunded", charge | {"metadata": names, "refunded": True}))
    assert (whole.psp_key, whole.outcome) == ("key-1", Returned("pi_1", refunded=True))


REFUND: dict[str, Any] = {
    "id": "re_1", "object": "refund", "amount": 500, "currency": "eur", "charge": "ch_1", "payment_intent": "pi_1",
    "status": "failed", "metadata": {"refundKey": "rf1-1"},
}  # fmt: skip


@pytest.mark.parametrize("kind", ["refund.failed", "refund.updated", "charge.refund.updated"])
@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_was_not_given_is_one_event_that_names_its_charge_and_request(
    stripe_subject: StripeSubject, kind: str, status: str
) -> None:
    event = _read(stripe_subject, worded(kind, REFUND | {"status": status}))
    held = StillHeld("pi_1", Money(500, "EUR"), asked_as="rf1-1")
    assert event == PspEvent("not-given:re_1", EventKind.CHARGE, None, None, held)


@pytest.mark.parametrize("metadata", [{}, None, {"refundKey": ""}, {"order_id": "6735"}])
def test_a_refund_that_somebody_else_asked_for_says_so(stripe_subject: StripeSubject, metadata: object) -> None:
    event = _read(stripe_subject, worded("refund.failed", REFUND | {"metadata": metadata}))
    assert event.outcome == StillHeld("pi_1", Money(500, "EUR"), asked_as="")


@pytest.mark.parametrize(
    "changed",
    [{"status": "succeeded"}, {"status": "pending"}, {"status": "lost"}, {"payment_intent": None}, {"amount": "500"}],
    ids=str,
)
def test_a_refund_that_may_be_given_or_is_not_understood_is_kept_as_other(
    stripe_subject: StripeSubject, changed: dict[str, Any]
) -> None:
    document = worded("refund.updated", REFUND | changed)
    assert _read(stripe_subject, document) == PspEvent(document["id"], EventKind.OTHER, None, None, None)


def test_a_capture_of_another_amount_than_was_asked_for_is_no_capture(stripe_subject: StripeSubject) -> None:
    event = _read(stripe_subject, worded("payment_intent.succeeded", _intent(amount_received=1498)))
    assert not isinstance(event.outcome, Captured)


def test_a_failed_payment_is_told_with_its_reason(stripe_subject: StripeSubject) -> None:
    error = {"type": "card_error", "code": "card_declined", "decline_code": "lost_card", "message": "STRIPE TEXT"}
    failed = _intent(status="requires_payment_method", last_payment_error=error)
    event = _read(stripe_subject, worded("payment_intent.payment_failed", failed))
    assert event.outcome == Declined(DeclineReason.LOST_OR_STOLEN, "pi_1")
    assert "STRIPE TEXT" not in repr(event)
