"""What the client reads and writes is what the API answers and takes, name by name; and it shows no card."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel
from standardwebhooks import Webhook

from api.schemas import checkout_answers, methods, offers
from api.schemas.checkout import CheckoutRequest
from api.validation import read
from shared.client import answers, talks
from shared.client.asks import Line, Order, Payment, order_document
from shared.client.errors import NotGenuine, NotUnderstood
from shared.client.turns import Heard
from shared.client.webhooks import verify
from shared.domain.cards import Card
from shared.psp.port import Channel
from tests.support.client_script import Played
from tests.support.wire import GOOD_CARD

CARD = Card("Jane Doe", GOOD_CARD, "2029", "12", "123", "Mine")
SECRET = "whsec_" + "c2VjcmV0" * 4
BODY = json.dumps({"type": "checkout.done", "timestamp": "t", "data": {"trackingNumber": "trk_1"}}).encode()


@pytest.mark.parametrize(("ours", "theirs"), [
    (answers.CheckoutResult, checkout_answers.CheckoutResult),
    (answers.FollowUp, checkout_answers.FollowUpInstructions),
    (answers.Redirect, checkout_answers.RedirectInstructions),
    (answers.Offer, offers.OfferDocument),
    (answers.Item, offers.OfferItem),
    (answers.ArtifactGroup, offers.ArtifactGroup),
    (answers.Installment, offers.Installment),
    (answers.Campaign, offers.Campaign),
    (answers.Price, offers.Price),
    (answers.Method, methods.StoredMethod),
])  # fmt: skip
def test_every_field_of_an_answer_is_read(ours: type[BaseModel], theirs: type[BaseModel]) -> None:
    not_of_the_body = {"etag", "isReplayed", "isOfSubmit"}
    names = {field.alias for field in ours.model_fields.values()} - not_of_the_body

    assert names == {field.alias for field in theirs.model_fields.values()}


@pytest.mark.parametrize("payment", [
    Payment(CARD),
    Payment(CARD, keep=True, provider_identifier="sandbox"),
    Payment(stored_method_urn="pm.1.2"),
    Payment(channel=Channel.PAYPAL),
])  # fmt: skip
def test_every_field_of_an_order_is_taken_as_it_is_written(payment: Payment) -> None:
    order = Order(
        "of_1",
        "cu.1",
        [Line("it.1", 2), Line("it.2", parent_item_identifier="it.1")],
        correlation_id="co-1",
        ip_address="203.0.113.9",
        installment_identifier="in.1",
        reseller_id=7,
    )

    taken = read(CheckoutRequest, order_document(order, payment))

    assert taken.card() == payment.card
    assert taken.stored_method_urn == payment.stored_method_urn
    assert taken.payment_method.keeps_method is payment.keep
    assert taken.payment_method.provider_identifier == payment.provider_identifier
    cart = taken.order
    assert (cart.offer_identifier, cart.correlation_id, cart.reseller_id) == ("of_1", "co-1", 7)
    assert (cart.installment_identifier, cart.customer.ip_address) == ("in.1", "203.0.113.9")
    assert [(one.item_identifier, one.quantity, one.parent_item_identifier) for one in cart.items] == [
        ("it.1", 2, None),
        ("it.2", 1, "it.1"),
    ]


def test_an_order_has_its_key_before_it_is_sent() -> None:
    assert Order("of_1", "cu.1", []).correlation_id != Order("of_1", "cu.1", []).correlation_id


def test_no_card_is_shown_by_what_is_said_or_by_what_is_raised() -> None:
    script = Played([Heard(200)])
    payment = Payment(CARD)
    with pytest.raises(NotUnderstood) as raised:
        script.play(talks.submitted(Order("of_1", "cu.1", []), payment, script.terms))

    with_locals = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    shown = f"{payment}{payment!r}{script.calls!r}{''.join(with_locals.format())}"
    sent = script.calls[0].content
    assert sent is not None
    assert GOOD_CARD in sent.raw.decode()
    assert GOOD_CARD not in shown
    assert raised.value.__context__ is None


def signed(secret: str = SECRET, at: datetime | None = None, body: bytes = BODY) -> dict[str, str]:
    when = at or datetime.now(UTC)
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(when.timestamp())),
        "Webhook-Signature": Webhook(secret).sign("evt_1", when, body.decode()),
    }


def test_a_signed_webhook_is_read() -> None:
    event = verify(signed(), BODY, SECRET)

    assert (event.event_id, event.type, event.data["trackingNumber"]) == ("evt_1", "checkout.done", "trk_1")


@pytest.mark.parametrize(("headers", "body"), [
    ({}, BODY),
    (signed(), BODY + b" "),
    (signed("whsec_" + "b3RoZXIh" * 4), BODY),
    (signed(at=datetime.now(UTC) - timedelta(hours=1)), BODY),
    (signed(at=datetime.now(UTC) + timedelta(hours=1)), BODY),
    (signed() | {"Webhook-Signature": "v1"}, BODY),
    (signed() | {"Webhook-Signature": "v1,%"}, BODY),
    (signed() | {"Webhook-Timestamp": "now"}, BODY),
    (signed(), b"\xff"),
    (signed(body=b"[]"), b"[]"),
    (signed(body=b"{}"), b"{}"),
])  # fmt: skip
def test_any_other_webhook_is_not_genuine(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(NotGenuine):
        verify(headers, body, SECRET)
