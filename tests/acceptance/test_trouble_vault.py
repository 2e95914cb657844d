"""The vault away: a fresh card is told to come back, everything else is accepted as usual."""

from __future__ import annotations

import time

import pytest

from tests.support import lateness, outage
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.storefront import CHALLENGED, DONE, Storefront, code_of, new_correlation, new_customer
from tests.support.wire import Document, a_request, an_order, channel, fresh_card, stored_card

pytestmark = pytest.mark.usefixtures("well")

REFUSED_WITHIN_S = 3.0
"""A silent Redis is noticed after a second (rate limit), and again after another (card)."""


def request_for(shop: Storefront, customer: str, payment: Document) -> Document:
    order = an_order(shop.offer(customer)["offerIdentifier"], customer, correlationId=new_correlation())
    return a_request(order, payment)


def test_fresh_cards_are_503_and_the_rest_is_202(stack: Stack, shop: Storefront, psp: PspSide) -> None:
    customer = new_customer()
    stored = request_for(shop, customer, stored_card(shop.keep_card(customer)))
    sepa, paypal = (request_for(shop, customer, channel(name)) for name in ("SEPA", "PayPal"))
    fresh = request_for(shop, customer, fresh_card())

    with outage.silent(stack, "redis-vault"):
        with lateness.watched() as late:
            started = time.monotonic()
            refused = shop.submit(fresh)
            took = time.monotonic() - started
        numbers = [shop.submit(document).json()["trackingNumber"] for document in (stored, sepa)]
        waiting = shop.submit(paypal).json()["trackingNumber"]
        assert code_of(shop.status(waiting)) in ("CHECK_OUT_PROCESSING", CHALLENGED)

    assert (refused.status_code, code_of(refused.json())) == (503, "SERVICE_UNAVAILABLE")
    assert int(refused.headers["retry-after"]) >= 1
    assert took - late.seconds < REFUSED_WITHIN_S
    shop.until(waiting, CHALLENGED)  # Before the others have ended: it is so for 20 s and no longer.
    assert {code_of(shop.end(number)) for number in numbers} == {DONE}
    again = shop.submit(fresh)
    assert "idempotent-replayed" not in again.headers
    assert code_of(shop.end(again.json()["trackingNumber"])) == DONE


@pytest.mark.parametrize("payment", [channel("SEPA"), channel("PayPal")])
def test_without_a_vault_no_order_of_another_channel_is_refused(
    stack: Stack, shop: Storefront, psp: PspSide, payment: Document
) -> None:
    request = request_for(shop, new_customer(), payment)

    with outage.dead(stack, "redis-vault"):
        assert shop.submit(request).status_code == 202
