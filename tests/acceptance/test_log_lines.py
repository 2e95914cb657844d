"""One JSON line a fact, and whoever has one id finds the others: request, tenant, order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.psp import until
from tests.support.stack import Stack
from tests.support.storefront import DONE, Storefront, code_of, new_correlation, new_customer
from tests.support.wire import a_request, an_order, fresh_card

OURS = ("api.log", "worker-offer-lock.log", "worker-payment.log", "worker-tokenization.log", "worker-upkeep.log")


@pytest.fixture(scope="module")
def number(shop: Storefront) -> str:
    """An order that was paid and whose card was kept."""
    made = shop.order(fresh_card(storeMethodSuccessPayment="always"))
    assert code_of(shop.end(made)) == DONE
    return made


def lines(stack: Stack, *logs: str) -> list[dict[str, Any]]:
    """What those processes wrote, as documents."""
    written = stack.logs()
    return [json.loads(line) for log in logs for line in written[log].splitlines() if line.startswith("{")]


def test_a_line_of_the_front_door_joins_the_request_the_tenant_and_the_order(stack: Stack, shop: Storefront) -> None:
    customer, key = new_customer(), new_correlation()
    request = a_request(an_order(shop.offer(customer)["offerIdentifier"], customer, correlationId=key), fresh_card())
    answers = [shop.submit(request) for _ in range(2)]

    number = answers[0].json()["trackingNumber"]
    told = [
        one for one in lines(stack, "api.log") if one.get("tracking_number") == number and one["event"] == "request"
    ]
    assert [(one["status"], one["tenant"], one["replayed"]) for one in told] == [
        (202, stack.tenant, False),
        (202, stack.tenant, True),
    ]
    assert [one["request_id"] for one in told] == [answer.headers["x-request-id"] for answer in answers]
    assert {one["correlation_id"] for one in told} == {key}


def test_every_line_of_a_step_names_the_order_its_tenant_and_the_step(stack: Stack, number: str) -> None:
    def told() -> list[dict[str, Any]]:
        return [one for one in lines(stack, *OURS[1:]) if one.get("tracking_number") == number]

    # A worker writes its line after the commit that shows what it did.
    until(lambda: {"payment.answered", "order.done"} <= {one["event"] for one in told()}, seconds=20)
    for one in told():
        assert one["tenant"] == stack.tenant, one
        assert one["step"].startswith("order."), one


def test_every_line_of_the_front_door_is_one_document(stack: Stack, number: str) -> None:
    for line in stack.logs()["api.log"].splitlines():
        assert {"event", "level", "timestamp"} <= json.loads(line).keys()
