"""What a poller is told (contract section 3): the body of each code, the counting, the caching headers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.storefront import CHALLENGED, DONE, FAILED, ORDER_WITHIN_S, PROCESSING, Storefront, code_of
from tests.support.wire import Document, channel, fresh_card

SLOW = "4000007700000125"
SLOW_S = 8
"""Long enough to be polled while it is processed; its worker waits ten."""

WAITED_AT_MOST_S = 10.0
"""The webhook and what follows take a second; whoever was neither woken nor looked at waits for 15."""


def test_a_running_order_tells_when_to_ask_again_and_must_not_be_cached(shop: Storefront, psp: PspSide) -> None:
    psp.set_faults(slowSeconds=SLOW_S)
    number = shop.order(fresh_card(SLOW))

    answer = shop.poll(number)

    follow_up = answer.json()["followUpInstructions"]
    assert code_of(answer.json()) == PROCESSING
    assert follow_up["canFollowUp"] is True
    assert follow_up["followUpUrl"] == f"{shop.base_url}/api/v1/c2a/offer/checkout/{number}/status"
    assert answer.headers["retry-after"] == str(follow_up["retryAfterSeconds"]) == "2"
    assert answer.headers["cache-control"] == "no-store"
    assert "redirectInstructions" not in answer.json()


def test_an_order_that_waits_for_its_shopper_tells_where_to_go(shop: Storefront, psp: PspSide) -> None:
    number = shop.order(channel("PayPal"))

    document = shop.until(number, CHALLENGED)

    told = document["redirectInstructions"]
    assert told["redirectUrl"].startswith(f"{psp.base_url}/challenge/")
    assert (told["isRedirectRequired"], told["hasNextSteps"], told["showHtmlContent"]) == (True, True, False)
    assert told["threeDIdentifier"]
    assert document["followUpInstructions"]["canFollowUp"] is True
    assert shop.poll(number).headers["cache-control"] == "no-store"


def test_a_done_order_says_only_that(shop: Storefront) -> None:
    number = shop.order(fresh_card())
    shop.end(number)

    answer = shop.poll(number)

    assert answer.json() == {
        "trackingNumber": number,
        "status": {"messageCode": DONE},
        "followUpInstructions": {"canFollowUp": False},
    }
    assert "retry-after" not in answer.headers
    assert answer.headers["cache-control"] == "private, max-age=3600"


def test_a_failed_order_says_why(shop: Storefront) -> None:
    number = shop.order(fresh_card("4000000000000002"))

    assert shop.end(number) == {
        "trackingNumber": number,
        "status": {"messageCode": FAILED},
        "followUpInstructions": {"canFollowUp": False},
        "message": "CARD_DECLINED: generic_decline",
    }


@pytest.mark.parametrize("prefix", ["/api/v1", "/api"])
def test_both_prefixes_tell_the_same(shop: Storefront, prefix: str) -> None:
    number = shop.order(fresh_card())
    shop.end(number)

    assert shop.call("GET", f"/c2a/offer/checkout/{number}/status", prefix=prefix).json() == shop.status(number)


@pytest.mark.parametrize("number", ["trk_01ARZ3NDEKTSV4RRFFQ69G5FAV", "trk_none", "nothing", "trk_" + "x" * 500])
def test_an_unknown_number_is_not_found(shop: Storefront, number: str) -> None:
    answer = shop.poll(number)

    assert answer.status_code == 404
    assert answer.json()["status"] == {"messageCode": "ORDERED_ITEM_NOT_FOUND"}


def test_another_tenants_order_is_as_unknown_as_none(shop: Storefront, other_shop: Storefront) -> None:
    theirs, nobodys = shop.order(fresh_card()), "trk_01ARZ3NDEKTSV4RRFFQ69G5FAV"

    known, unknown = other_shop.poll(theirs), other_shop.poll(nobodys)

    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json()) == (404, unknown.json())
    apart = {"date", "x-request-id", "ratelimit"}
    assert {name for name in known.headers if name not in apart} == {
        name for name in unknown.headers if name not in apart
    }


def test_polls_are_counted_and_the_rest_never_falls_below_none(shop: Storefront) -> None:
    number = shop.order(channel("Klarna"))
    shop.until(number, CHALLENGED)
    start = shop.status(number)["followUpInstructions"]["currentRetryAttempt"]

    told = [shop.status(number)["followUpInstructions"] for _ in range(32)]

    assert [one["currentRetryAttempt"] for one in told] == list(range(start + 1, start + 33))
    assert [one["remainingRetryCount"] for one in told] == [max(0, 30 - poll) for poll in range(start + 1, start + 33)]


@pytest.mark.parametrize("way_back", ["webhook", "return"])
def test_the_count_starts_again_after_a_redirect(shop: Storefront, psp: PspSide, way_back: str) -> None:
    """Whichever of the two brings the news."""
    psp.set_faults(settleSeconds=30, webhook={"lossRate": 0.0 if way_back == "webhook" else 1.0})
    number = shop.order(channel("Bank"))
    page = shop.until(number, CHALLENGED)["redirectInstructions"]["redirectUrl"]
    before = [shop.status(number)["followUpInstructions"]["currentRetryAttempt"] for _ in range(5)]

    back = psp.decide(page, "approve")
    if way_back == "return":
        psp.come_back(back)
    after = until(lambda: _begun_again(shop.status(number), before[-1]), seconds=ORDER_WITHIN_S)

    assert before[-1] >= 6
    assert after["remainingRetryCount"] > 30 - before[-1]
    shop.until(number, PROCESSING)


def _begun_again(document: Document, before: int) -> Document:
    """The follow-up of a poll that counted less than *before*: the count rises until it begins again."""
    follow_up: Document = document["followUpInstructions"]
    return follow_up if follow_up["currentRetryAttempt"] < before else {}


def test_an_unchanged_status_is_not_sent_again(shop: Storefront) -> None:
    number = shop.order(channel("PayPal"))
    shop.until(number, CHALLENGED)
    first = shop.poll(number)

    again = shop.poll(number, **{"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


def test_a_changed_status_has_another_etag_and_is_sent(shop: Storefront, psp: PspSide) -> None:
    number = shop.order(channel("PayPal"))
    page = shop.until(number, CHALLENGED)["redirectInstructions"]["redirectUrl"]
    before = shop.poll(number).headers["etag"]
    psp.decide(page, "approve")
    shop.end(number)

    after = shop.poll(number, **{"If-None-Match": before})

    assert after.status_code == 200
    assert after.headers["etag"] != before
    assert shop.poll(number, **{"If-None-Match": after.headers["etag"]}).status_code == 304


def test_a_poller_who_waits_hears_of_the_end_before_the_wait_is_over(shop: Storefront, psp: PspSide) -> None:
    """By a notification, or by the look at every waited order that makes up for a lost one."""
    number = shop.order(channel("PayPal"))
    page = shop.until(number, CHALLENGED)["redirectInstructions"]["redirectUrl"]
    before = shop.poll(number).headers["etag"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(shop.poll, number, **{"Prefer": "wait=15", "If-None-Match": before})
        psp.decide(page, "approve")
        told = waiting.result(20)

    assert told.status_code == 200
    assert code_of(told.json()) in {PROCESSING, DONE}
    assert told.headers["preference-applied"] == "wait=15"
    assert told.elapsed.total_seconds() < WAITED_AT_MOST_S


def test_a_stream_goes_with_the_order_to_its_end(shop: Storefront, psp: PspSide) -> None:
    psp.set_faults(slowSeconds=3)
    number = shop.order(fresh_card(SLOW))

    codes = [code_of(event) for event in shop.events(number)]

    assert codes == [PROCESSING, DONE]
