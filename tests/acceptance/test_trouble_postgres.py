"""PostgreSQL away: 503 with Retry-After within two seconds, and back by itself; what was accepted is not lost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import httpx
import pytest

from tests.support import lateness, outage
from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import DONE, Storefront, code_of, new_correlation, new_customer
from tests.support.wire import Document, a_request, an_order, channel, fresh_card

pytestmark = pytest.mark.usefixtures("well")

REFUSED_WITHIN_S = 2.0
"""The contract's; what one call of five may take beyond it, on a machine that is full, is as much again."""


@pytest.fixture
def request_of_before(shop: Storefront) -> Document:
    """An order that would be accepted, of an offer resolved while all was well."""
    customer = new_customer()
    order = an_order(shop.offer(customer)["offerIdentifier"], customer, correlationId=new_correlation())
    return a_request(order, fresh_card())


def refused(call: Callable[[], httpx.Response]) -> float:
    """Make the *call*, which must be refused as the contract says; the seconds it took, this machine's lateness off."""
    with lateness.watched() as late:
        started = time.monotonic()
        answer = call()
        took = time.monotonic() - started
    assert (answer.status_code, code_of(answer.json())) == (503, "SERVICE_UNAVAILABLE"), answer.text
    assert int(answer.headers["retry-after"]) >= 1
    return took - late.seconds


def accepted(shop: Storefront, document: Document) -> str:
    """Submit until it is accepted: what a client does that obeys Retry-After, only more often."""
    answers: list[httpx.Response] = []

    def is_accepted() -> bool:
        answers.append(shop.submit(document))
        return answers[-1].status_code == 202

    until(is_accepted, seconds=outage.BACK_WITHIN_S)
    return str(answers[-1].json()["trackingNumber"])


@pytest.mark.parametrize("how", ["dead", "silent"])
def test_every_route_says_503_in_time_and_all_is_well_when_it_is_back(
    stack: Stack, shop: Storefront, psp: PspSide, request_of_before: Document, how: str
) -> None:
    """The first call finds connections that were cut or say nothing; those after it must connect, and cannot."""
    running = shop.order(channel("PayPal"))
    away = outage.dead if how == "dead" else outage.silent
    took: list[float] = []

    with away(stack, "postgres"):
        for call in (
            lambda: shop.submit(request_of_before),
            lambda: shop.poll(running),
            lambda: shop.call("POST", "/c2a/offer/bundles", json={"context": {"interactionType": "NewAcquisition"}}),
            lambda: shop.call("GET", "/c2a/customer/payment/methods/list", params={"c": "cu.00.482"}),
            lambda: shop.call("GET", "/readyz", prefix=""),
        ):
            took.append(refused(call))
        assert shop.call("GET", "/healthz", prefix="").status_code == 200

    assert statistics.median(took) < REFUSED_WITHIN_S
    assert max(took) < 2 * REFUSED_WITHIN_S

    number = accepted(shop, request_of_before)
    assert code_of(shop.end(number)) == DONE
    assert psp.money(request_of_before["order"]["correlationId"]) == [(1499, "EUR")]


def test_orders_accepted_before_a_crash_all_end(stack: Stack, shop: Storefront, psp: PspSide, rows: StackRows) -> None:
    """kill -9 with ten orders on their way, some of them before a PSP that takes its time."""
    psp.set_faults(latencyMs=500)
    correlations = [new_correlation() for _ in range(10)]
    numbers = [shop.order(fresh_card(), correlationId=correlation) for correlation in correlations]

    outage.kill(stack, "postgres")
    outage.until_well(stack)

    assert {code_of(shop.end(number)) for number in numbers} == {DONE}
    assert [psp.money(correlation) for correlation in correlations] == [[(1499, "EUR")]] * 10
