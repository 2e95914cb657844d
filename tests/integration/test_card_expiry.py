"""A card whose month is over pays no new order, and hides none that was accepted while it was good."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import pytest
from redis import Redis
from sqlalchemy import Engine

from api.parts import Parts
from tests.support.front_door import opened
from tests.support.selling import Seller, a_seller
from tests.support.wire import fresh_card

LAST_SECOND: Final = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
NEXT_MONTH: Final = datetime(2026, 12, 1, tzinfo=UTC)
CARD: Final = fresh_card()
CARD["creditCard"] |= {"expireYear": "2026", "expireMonth": "11"}
PAST: Final = "paymentMethod.creditCard.expireYear: is past; paymentMethod.creditCard.expireMonth: is past"


@pytest.fixture(scope="module")
def in_november(parts: Parts, engine: Engine) -> Seller:
    return a_seller(replace(parts, clock=lambda: LAST_SECOND), rows=engine)


@pytest.fixture(scope="module")
def in_december(in_november: Seller) -> Seller:
    """The same shop, two seconds later."""
    return replace(in_november, parts=replace(in_november.parts, clock=lambda: NEXT_MONTH))


def test_a_repeat_after_the_cards_month_gets_the_order_that_was_accepted_in_it(
    in_november: Seller, in_december: Seller
) -> None:
    request = in_november.request(CARD, correlationId=uuid.uuid4().hex)
    first = in_november.post(request)

    again = in_december.post(request)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json()["trackingNumber"] == first.get_json()["trackingNumber"]


def test_another_order_under_its_key_is_a_conflict_also_then(in_november: Seller, in_december: Seller) -> None:
    request = in_november.request(CARD, correlationId=uuid.uuid4().hex)
    in_november.post(request)
    request["order"]["resellerID"] = 7

    answer = in_december.post(request)

    assert (answer.status_code, answer.get_json()["status"]["messageCode"]) == (409, "IDEMPOTENCY_CONFLICT")


@pytest.mark.parametrize("key", [None, "a key"])
def test_a_new_order_is_refused_and_leaves_neither_card_nor_key(
    in_december: Seller, redis: Redis, key: str | None
) -> None:
    keys, cards = in_december.count("idempotency_keys"), redis.keys("card:*")
    request = in_december.request(CARD, correlationId=key)

    answer = in_december.post(request)

    assert (answer.status_code, answer.get_json()) == (
        400,
        {"message": PAST, "status": {"messageCode": "INVALID_CARD"}},
    )
    assert in_december.count("idempotency_keys") == keys
    assert redis.keys("card:*") == cards


def test_a_card_that_is_to_be_kept_is_refused_as_well(in_december: Seller) -> None:
    body = {"customerUrn": "cu.00.482", "paymentMethod": CARD}

    with opened(in_december.parts) as client:
        answer = client.post("/api/v1/c2a/customer/payment/methods/add", json=body, headers=in_december.shop.headers)

    assert (answer.status_code, answer.get_json()["status"]["messageCode"]) == (400, "INVALID_CARD")
    assert answer.get_json()["message"] == PAST
