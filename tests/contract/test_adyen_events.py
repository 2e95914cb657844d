"""Adyen's notifications: only what it signed is believed, and of that only what is under the signature."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import Captured, Declined, DeclineReason, Returned, StillHeld
from shared.psp.adyen import AdyenPsp
from shared.psp.http import Http
from shared.psp.port import BadSignature, EventKind, PspEvent
from tests.contract.adyen_subject import AdyenSubject
from tests.contract.subject import a_request

PAID: dict[str, Any] = {
    "eventCode": "AUTHORISATION",
    "pspReference": "993617895204576J",
    "merchantReference": "order-1",
    "amount": {"currency": "EUR", "value": 1499},
}
BACK = PAID | {
    "pspReference": "MODIFICATION0001",
    "originalReference": "993617895204576J",
    "merchantReference": "refund-1",
}
FAILED = ("993617895204576J", Money(1499, "EUR"), "refund-1")


def read(subject: AdyenSubject, body: bytes) -> PspEvent:
    """*body* as the adapter reads it."""
    return subject.psp.read_event({}, body, now=datetime.now(UTC))


def test_an_authorisation_tells_what_the_answer_told(adyen_subject: AdyenSubject) -> None:
    request = a_request()
    captured = adyen_subject.psp.charge(request)
    event = adyen_subject.told()
    assert event.outcome == captured
    assert (event.merchant_reference, event.psp_key) == (request.merchant_reference, request.psp_key)


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (PAID, Captured("993617895204576J", Money(1499, "EUR"))),
        (PAID | {"success": "false"}, Declined(DeclineReason.GENERIC, "993617895204576J")),
        (PAID | {"eventCode": "OFFER_CLOSED"}, Declined(DeclineReason.SHOPPER_CANCELLED, "993617895204576J")),
        *(
            (BACK | {"eventCode": code}, Returned("993617895204576J", Money(1499, "EUR"), asked_as="refund-1"))
            for code in ("CANCELLATION", "CANCEL_OR_REFUND", "REFUND", "TECHNICAL_CANCEL")
        ),
        *(
            (BACK | {"eventCode": code, "success": "false"}, StillHeld(*FAILED, was_done=False))
            for code in ("CANCELLATION", "CANCEL_OR_REFUND", "REFUND")
        ),
        (BACK | {"eventCode": "REFUND_FAILED"}, StillHeld(*FAILED, was_done=True)),
        (BACK | {"eventCode": "REFUNDED_REVERSED"}, StillHeld(*FAILED, was_done=True)),
    ],
)
def test_what_an_event_says_of_its_charge(adyen_subject: AdyenSubject, event: dict[str, Any], outcome: object) -> None:
    told = read(adyen_subject, adyen_subject.fake.body(adyen_subject.account, event))
    assert (told.kind, told.outcome) == (EventKind.CHARGE, outcome)


@pytest.mark.parametrize(
    "event",
    [
        PAID | {"amount": {"currency": "EUR", "value": 0}},  # A card was stored, or looked at.
        BACK | {"eventCode": "CAPTURE"},
        BACK | {"eventCode": "CHARGEBACK_REVERSED"},
        {"eventCode": "REPORT_AVAILABLE", "pspReference": "settlement_detail_report_batch_1.csv"},
    ],
    ids=lambda event: str(event["eventCode"]),
)  # fmt: skip
def test_what_we_do_not_act_on_is_kept_as_other(adyen_subject: AdyenSubject, event: dict[str, Any]) -> None:
    told = read(adyen_subject, adyen_subject.fake.body(adyen_subject.account, event))
    assert (told.kind, told.outcome) == (EventKind.OTHER, None)


@pytest.mark.parametrize(
    ("code", "success"), [("CAPTURE", "false"), ("CAPTURE_FAILED", "true"), ("CHARGEBACK", "true")]
)
def test_money_that_is_taken_from_us_is_told_to_people(adyen_subject: AdyenSubject, code: str, success: str) -> None:
    event = BACK | {"eventCode": code, "success": success, "merchantReference": "order-1"}
    told = read(adyen_subject, adyen_subject.fake.body(adyen_subject.account, event))
    assert (told.kind, told.outcome, told.merchant_reference) == (EventKind.DISPUTED, None, "order-1")


def test_one_event_has_one_name_however_often_it_is_sent(adyen_subject: AdyenSubject) -> None:
    names = {
        read(adyen_subject, adyen_subject.fake.body(adyen_subject.account, event)).event_id
        for event in (PAID, PAID, PAID | {"success": "false"}, BACK | {"eventCode": "REFUND"})
    }
    assert len(names) == 3


def test_neither_token_nor_reason_nor_amount_outside_the_signature_is_believed(adyen_subject: AdyenSubject) -> None:
    unsigned = {"tokenization.storedPaymentMethodId": "STOLEN", "tokenization.shopperReference": "x", "value": "1"}
    told = read(adyen_subject, adyen_subject.fake.body(adyen_subject.account, PAID, unsigned))
    assert told.outcome == Captured("993617895204576J", Money(1499, "EUR"), kept=None)


def _changed(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["notificationItems"][0]["NotificationRequestItem"].update(changes)


def _signature(text: object) -> Callable[[dict[str, Any]], None]:
    return _changed(additionalData={"hmacSignature": text})


TAMPERED: dict[str, Callable[[dict[str, Any]], object]] = {
    "another amount": _changed(amount={"currency": "EUR", "value": 9999}),
    "another currency": _changed(amount={"currency": "USD", "value": 1499}),
    "another order": _changed(merchantReference="order-2"),
    "another charge": _changed(pspReference="993617895204577K"),
    "an original": _changed(originalReference="993617895204577K"),
    "success": _changed(success="false"),
    "another event": _changed(eventCode="CAPTURE_FAILED"),
    "another account": _changed(merchantAccountCode="SomebodyElse"),
    "no signature": _changed(additionalData={}),
    "no additional data": _changed(additionalData=None),
    "signature of nothing": _signature(""),
    "signature not base64": _signature("\u00e4==="),
    "signature is a number": _signature(1),
    "two items": lambda document: document["notificationItems"].append(document["notificationItems"][0]),
    "no item": lambda document: document.update(notificationItems=[]),
    "fields run into each other": _changed(pspReference="993617895204576J:", originalReference=""),
    "amount as text": _changed(amount={"currency": "EUR", "value": "1499"}),
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
def test_an_event_that_was_tampered_with_is_refused(
    adyen_subject: AdyenSubject, tamper: Callable[[dict[str, Any]], object]
) -> None:
    document = json.loads(adyen_subject.fake.body(adyen_subject.account, PAID))
    tamper(document)
    with pytest.raises(BadSignature):
        read(adyen_subject, json.dumps(document).encode())


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b"{}", b'{"notificationItems": 1}', b"\xff", b"[" * 5_000])
def test_what_is_no_notification_is_refused(adyen_subject: AdyenSubject, body: bytes) -> None:
    with pytest.raises(BadSignature):
        read(adyen_subject, body)


def test_an_order_named_with_colons_cannot_be_read_as_other_fields(adyen_subject: AdyenSubject) -> None:
    """The signed fields are joined by colons; what a caller named its order must not move into the amount."""
    signed = PAID | {"merchantReference": "order:9999:EUR:AUTHORISATION"}
    body = adyen_subject.fake.body(adyen_subject.account, signed)
    assert read(adyen_subject, body).merchant_reference == "order:9999:EUR:AUTHORISATION"
    document = json.loads(body)
    _changed(merchantReference="order", amount={"currency": "EUR", "value": 9999},
             eventCode="AUTHORISATION:1499:EUR:AUTHORISATION")(document)  # fmt: skip
    with pytest.raises(BadSignature):
        read(adyen_subject, json.dumps(document).encode())


def test_both_keys_of_a_rotation_verify_and_no_third(adyen_subject: AdyenSubject, http: Http) -> None:
    body = adyen_subject.fake.body(adyen_subject.account, PAID)
    credentials = dict(adyen_subject.account.credentials)
    rotated = credentials | {"hmacKey": "AB" * 32, "hmacKeyBefore": credentials["hmacKey"]}
    psp = AdyenPsp(replace(adyen_subject.account, credentials=rotated), http)
    assert psp.read_event({}, body, now=datetime.now(UTC)).kind is EventKind.CHARGE
    over = AdyenPsp(replace(adyen_subject.account, credentials=credentials | {"hmacKey": "AB" * 32}), http)
    with pytest.raises(BadSignature):
        over.read_event({}, body, now=datetime.now(UTC))


@pytest.mark.parametrize("shares_the_key", [False, True])
def test_an_event_of_another_account_is_refused(adyen_subject: AdyenSubject, shares_the_key: bool) -> None:
    """One key may be set for all the accounts of a company."""
    other = adyen_subject.fake.account()
    if shares_the_key:
        merchant = adyen_subject.fake.books.merchants[other.credentials["merchantAccount"]]
        merchant.hmac_key = adyen_subject.account.credentials["hmacKey"]
    with pytest.raises(BadSignature):
        read(adyen_subject, adyen_subject.fake.body(other, PAID))
