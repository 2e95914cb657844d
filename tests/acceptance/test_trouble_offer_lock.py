"""What goes wrong between acceptance and the offer's lock, made certain by a worker that stands still meanwhile."""

from __future__ import annotations

import pytest

from tests.support import outage
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import DONE, FAILED, Storefront, code_of, new_correlation, new_customer
from tests.support.wire import a_request, an_order, fresh_card

pytestmark = pytest.mark.usefixtures("well")


def test_of_two_accepted_orders_of_one_offer_one_is_done_and_the_other_told(
    stack: Stack, shop: Storefront, psp: PspSide
) -> None:
    """Both were accepted before either held the offer; the loser is never charged."""
    customer = new_customer()
    offer = shop.offer(customer)["offerIdentifier"]
    correlations = [new_correlation(), new_correlation()]

    with outage.silent(stack, "worker-offer-lock"):
        numbers = []
        for correlation in correlations:
            answer = shop.submit(a_request(an_order(offer, customer, correlationId=correlation), fresh_card()))
            assert answer.status_code == 202, answer.text
            numbers.append(answer.json()["trackingNumber"])

    ended = [shop.end(number) for number in numbers]
    assert sorted(map(code_of, ended)) == [DONE, FAILED]
    [message] = [one["message"] for one in ended if code_of(one) == FAILED]
    assert message == "OFFER_ALREADY_ORDERED"
    money = {code_of(one): psp.charges(correlation) for one, correlation in zip(ended, correlations, strict=True)}
    assert [row["state"] for row in money[DONE]] == ["captured"]
    assert money[FAILED] == []


def test_an_order_that_found_no_worker_for_an_hour_fails_uncharged(
    stack: Stack, shop: Storefront, psp: PspSide, rows: StackRows
) -> None:
    correlation = new_correlation()
    with outage.silent(stack, "worker-offer-lock"):
        number = shop.order(fresh_card(), correlationId=correlation)
        rows.change("UPDATE orders SET deadline_at = now() WHERE tracking_number = %s", number)

    ended = shop.end(number)
    assert (code_of(ended), ended["message"]) == (FAILED, "OFFER_EXPIRED")
    assert psp.charges(correlation) == []
