"""Which cards we take, which we refuse, and that none is ever shown (contract section 2; F2, F10)."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from datetime import date
from typing import Any, Final

import pytest
from pydantic import BaseModel

from api import card_expiry
from api.openapi import examples
from api.schemas.checkout import CheckoutRequest
from api.validation import read
from shared.domain.cards import Card
from shared.domain.refusals import InvalidCard, InvalidRequest
from shared.psp.port import Channel
from tests.support.requests import FULL, changed, holder, plain, refusal_of


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("cardNumber", bad) for bad in ("4111111111111112", "4111 1111 1111 1111", "4111-1111-1111-1111", "")),
        *(("cardNumber", bad) for bad in ("0" * 11, "0" * 20, "٤١١١١١١١١١١١١١١١", "4111111111111111\n", "x" * 16)),
        *(("cvc", bad) for bad in ("12", "12345", "12a", "", "١٢٣", "123\n")),
        *(("expireYear", bad) for bad in ("29", "20290", "y029", "٢٠٢٩")),
        *(("expireMonth", bad) for bad in ("1", "00", "13", "dec", "١٢")),
    ],
)
def test_a_card_that_cannot_be_right_is_an_invalid_card(field: str, value: str) -> None:
    refusal = refusal_of(changed(f"paymentMethod.creditCard.{field}", value))

    assert isinstance(refusal, InvalidCard)
    assert f"paymentMethod.creditCard.{field}: cannot be right" in refusal.message


@pytest.mark.parametrize(
    ("month", "is_good"), [("10", False), ("11", True), ("12", True)], ids=["past", "this month", "next month"]
)
def test_a_card_is_good_through_the_last_day_of_its_month(month: str, *, is_good: bool) -> None:
    card = Card("Jane Doe", "4111111111111111", "2026", month, "123", None)

    refusal = card_expiry.refusal_of(card, today=date(2026, 11, 30))

    assert (refusal is None) is is_good
    if refusal is not None:
        names = [f"paymentMethod.creditCard.{name}: is past" for name in ("expireYear", "expireMonth")]
        assert refusal.message == "; ".join(names)


@pytest.mark.parametrize("length", [12, 19])
def test_a_number_of_twelve_to_nineteen_digits_may_be_a_card(length: int) -> None:
    sent = changed("paymentMethod.creditCard.cardNumber", "0" * length)  # All zeros pass the Luhn check.

    assert read(CheckoutRequest, sent).card() is not None


def test_a_wrong_field_beside_a_wrong_card_is_an_invalid_request() -> None:
    sent = changed("paymentMethod.creditCard.cvc", "1")
    sent["order"]["items"][0]["quantity"] = 0

    refusal = refusal_of(sent)

    assert isinstance(refusal, InvalidRequest)
    assert "order.items[0].quantity: is out of range" in refusal.message


@pytest.mark.parametrize("flag", ["paymentMethod.useStoredMethod", "paymentMethod.creditCard.useStoredMethod"])
def test_either_flag_asks_for_the_stored_method(flag: str) -> None:
    sent = changed("paymentMethod.creditCard", {"storedMethodUrn": "pm.00.482.7", "cardNumber": ""})
    part, name = holder(sent, flag)
    part[name] = True

    request = read(CheckoutRequest, sent)

    assert request.stored_method_urn == "pm.00.482.7"
    assert request.card() is None


@pytest.mark.parametrize("flag", ["paymentMethod.useStoredMethod", "paymentMethod.creditCard.useStoredMethod"])
def test_a_stored_method_with_a_card_number_is_refused(flag: str) -> None:
    refusal = refusal_of(changed(flag, value=True))

    assert isinstance(refusal, InvalidRequest)
    assert refusal.message == "paymentMethod.creditCard.cardNumber: must not be sent here"


def test_a_stored_method_must_be_named() -> None:
    sent = changed("paymentMethod.creditCard", {"useStoredMethod": True})

    assert refusal_of(sent).message == "paymentMethod.creditCard.storedMethodUrn: is required"


def test_a_fresh_card_does_not_read_the_urn_beside_it() -> None:
    assert read(CheckoutRequest, FULL).stored_method_urn is None


@pytest.mark.parametrize("channel", [channel for channel in Channel if channel is not Channel.CREDIT_CARD])
def test_card_data_beside_another_channel_is_refused_and_a_stored_method_is_not(channel: Channel) -> None:
    fresh = changed("paymentMethod.paymentChannel", channel.value)
    stored = changed("paymentMethod.creditCard", {"storedMethodUrn": "pm.00.482.7", "useStoredMethod": True}, fresh)
    bare = changed("paymentMethod.creditCard", None, fresh)

    assert refusal_of(fresh).message == "paymentMethod.creditCard: must not be sent here"
    assert read(CheckoutRequest, stored).stored_method_urn == "pm.00.482.7"
    assert read(CheckoutRequest, bare).card() is None


@pytest.mark.parametrize("token", ["tok_secret", 5, {"a": 1}])
@pytest.mark.parametrize("name", ["storedMethodToken", "SMT"])
def test_a_token_is_accepted_and_gone(name: str, token: Any) -> None:
    request = read(CheckoutRequest, changed(f"paymentMethod.creditCard.{name}", token))

    assert "tok_secret" not in json.dumps(plain(request))


def _digest(text: str) -> str:
    return f"#{len(text)}"


def test_the_comparable_order_has_every_field_but_the_key_and_the_cvc_and_card_fields_as_digests() -> None:
    compared = read(CheckoutRequest, FULL).comparable(_digest)

    expected = copy.deepcopy(FULL)
    expected["order"]["items"][0]["parentItemIdentifier"] = None
    del expected["order"]["correlationId"]
    card = expected["paymentMethod"]["creditCard"]
    del card["cvc"]
    card |= {"cardHolderName": "#8", "cardNumber": "#16", "expireYear": "#4", "expireMonth": "#2"}
    assert json.loads(json.dumps(compared)) == expected


def test_the_comparable_order_is_one_for_all_spellings() -> None:
    longhand = {
        "order": {
            "offerIdentifier": examples.ALIASES["ORD"]["OID"],
            "correlationId": "cart-2026-000482-3",
            "installmentIdentifier": None,
            "items": [{"itemIdentifier": "bn.00.42"}],
            "customer": {"customerUrn": "cu.00.482"},
        },
        "paymentMethod": {
            "paymentChannel": "CreditCard",
            "useStoredMethod": False,
            "creditCard": {name: value for name, value in examples.CARD.items() if name != "cardAlias"}
            | {"cvc": "999", "storedMethodToken": "x"},
        },
    }
    one, other = (read(CheckoutRequest, sent) for sent in (examples.ALIASES, longhand))

    assert one.comparable(_digest) == other.comparable(_digest)


CANARIES: Final = ("4111111111111111", "Jane Doe", "2029", "123")


@pytest.mark.parametrize(
    "render",
    [
        repr,
        str,
        format,
        lambda request: f"{request}",
        lambda request: str(request.model_dump()),
        lambda request: request.model_dump_json(),
        lambda request: str(vars(request)),
        lambda request: str(dict(request)),
    ],
)
def test_no_rendering_of_a_request_shows_a_card(render: Callable[[BaseModel], str]) -> None:
    shown = render(read(CheckoutRequest, FULL))

    assert "Secret" in shown or "**" in shown
    assert not [canary for canary in CANARIES if canary in shown]


@pytest.mark.parametrize("copied", [pickle.dumps, copy.deepcopy])
def test_a_request_with_a_card_is_neither_pickled_nor_copied(copied: Callable[[BaseModel], object]) -> None:
    with pytest.raises(TypeError, match="never pickled or copied"):
        copied(read(CheckoutRequest, FULL))


def test_a_refused_card_leaves_no_cause_that_shows_it() -> None:
    refusal = refusal_of(changed("paymentMethod.creditCard.cvc", "1"))

    assert refusal.__cause__ is None
    assert refusal.__suppress_context__
