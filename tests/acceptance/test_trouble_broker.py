"""The broker away: orders are accepted as usual and go on when it is back; nothing was only in its memory."""

from __future__ import annotations

import time
from statistics import median

import pytest

from tests.support import brokers, lateness, outage
from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import DONE, Storefront, code_of, new_correlation, new_customer
from tests.support.wire import a_request, an_order, fresh_card

pytestmark = pytest.mark.usefixtures("well")

AS_USUAL_S = 2.0
"""An acceptance takes some 20 ms; if they waited for the broker, each would take its socket timeout (2 s) or more."""
MANY = 32
"""Orders at once: twice what the payment worker takes at a time."""
ON_AGAIN_S = 60.0
"""Workers reconnect, and an order that was rung for in vain is rung for again after 10, then 20 s."""


@pytest.mark.parametrize("how", ["dead", "silent"])
def test_orders_are_accepted_as_usual_and_end_when_it_is_back(
    stack: Stack, shop: Storefront, psp: PspSide, rows: StackRows, how: str
) -> None:
    away = outage.dead if how == "dead" else outage.silent
    correlations, numbers, took = [new_correlation() for _ in range(5)], [], []

    with away(stack, stack.broker), lateness.watched() as late:
        for correlation in correlations:
            customer = new_customer()
            order = an_order(shop.offer(customer)["offerIdentifier"], customer, correlationId=correlation)
            started = time.monotonic()
            answer = shop.submit(a_request(order, fresh_card()))
            assert answer.status_code == 202, answer.text
            took.append(time.monotonic() - started)
            numbers.append(answer.json()["trackingNumber"])
        assert {rows.state(number) for number in numbers} == {"admitted"}
    assert median(took) < AS_USUAL_S
    assert max(took) - late.seconds < 2 * AS_USUAL_S

    assert {code_of(shop.end(number, within_s=ON_AGAIN_S)) for number in numbers} == {DONE}
    assert [psp.money(correlation) for correlation in correlations] == [[(1499, "EUR")]] * 5


def test_a_broker_that_forgot_everything_costs_nothing(
    stack: Stack, shop: Storefront, psp: PspSide, rows: StackRows
) -> None:
    """While orders wait in its queues: the rows know what is still to be done."""
    psp.set_faults(latencyMs=1_000)  # Sixteen payments at a time, so the others wait in the queue.
    correlations = [new_correlation() for _ in range(MANY)]
    numbers = [shop.order(fresh_card(), correlationId=correlation) for correlation in correlations]

    brokers.forget(stack.broker_url)
    until(lambda: shop.call("GET", "/readyz", prefix="").status_code == 200)
    psp.heal()

    assert {code_of(shop.end(number, within_s=ON_AGAIN_S)) for number in numbers} == {DONE}
    assert [psp.money(correlation) for correlation in correlations] == [[(1499, "EUR")]] * MANY
