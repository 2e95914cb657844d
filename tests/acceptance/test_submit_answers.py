"""What an accepted order is answered with (contract section 2), field by field and header by header."""

from __future__ import annotations

import re

from tests.support.storefront import PROCESSING, Storefront, new_customer
from tests.support.wire import Document, a_request, an_order, fresh_card

ULID = r"trk_[0-7][0-9A-HJKMNP-TV-Z]{25}"


def a_good_request(shop: Storefront) -> Document:
    customer = new_customer()
    return a_request(an_order(shop.offer(customer)["offerIdentifier"], customer), fresh_card())


def test_an_accepted_order_is_told_its_number_and_how_to_follow_it(shop: Storefront) -> None:
    answer = shop.submit(a_good_request(shop))

    number = answer.json()["trackingNumber"]
    url = f"{shop.base_url}/api/v1/c2a/offer/checkout/{number}/status"
    assert answer.status_code == 202
    assert re.fullmatch(ULID, number)
    assert answer.json() == {
        "trackingNumber": number,
        "status": {"messageCode": PROCESSING},
        "followUpInstructions": {
            "retryAfterSeconds": 2,
            "remainingRetryCount": 30,
            "currentRetryAttempt": 0,
            "followUpUrl": url,
            "canFollowUp": True,
        },
    }
    assert answer.headers["location"] == url
    assert answer.headers["link"] == f'<{url}>; rel="status"'
    assert answer.headers["retry-after"] == "2"
    assert "idempotent-replayed" not in answer.headers


def test_the_follow_up_url_leads_to_the_order(shop: Storefront) -> None:
    answer = shop.submit(a_good_request(shop))

    followed = shop.call("GET", answer.json()["followUpInstructions"]["followUpUrl"], prefix="")

    assert followed.status_code == 200
    assert followed.json()["trackingNumber"] == answer.json()["trackingNumber"]
