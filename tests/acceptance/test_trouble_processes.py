"""Our own processes die in the middle of things: every order ends all the same, charged once."""

from __future__ import annotations

import os
import signal
from typing import Final

import httpx
import psutil
import pytest

from tests.support import outage, stopping
from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import DONE, Storefront, code_of, new_correlation, new_customer
from tests.support.wire import a_request, an_order, fresh_card

pytestmark = pytest.mark.usefixtures("well")

ENDS_WITHIN_S = 60.0
"""A lease ends after 4 s, the rescuer looks every second, and the killed worker takes some seconds to be back."""


CHARGE_MS = 6_000
"""Longer than it takes to strike a worker that has a charge in hand; a worker waits 10 s for it."""


ANSWERED_WITHIN_S: Final = 30.0
"""A worker gives its call up 10 s after it began, however long it stood still meanwhile."""


def paying(shop: Storefront, rows: StackRows, correlation: str) -> tuple[str, str, int]:
    """An order whose charge a worker has in hand, the worker and its fence."""
    number = shop.order(fresh_card(), correlationId=correlation)
    query: Final = "SELECT lease_owner, fence FROM orders WHERE tracking_number = %s AND state = 'paying'"
    [(owner, fence)] = until(lambda: rows.ask(query, number), seconds=20)
    return number, owner, fence


def child_of(stack: Stack, owner: str) -> int:
    """The child of the payment worker that has *owner*'s lease, by its number; stack.json may not name it yet."""
    child = int(owner.rpartition(":")[2])
    worker = psutil.Process(stack.pids("worker-payment")[0])
    assert child in {one.pid for one in worker.children(recursive=True)}, "a process of this stack"
    return child


def answered(stack: Stack, number: str) -> int:
    """How often a worker said what came of its charge of the order: after it wrote that down, or found that it may not
    any more."""
    written = stack.logs()["worker-payment.log"].splitlines()
    return sum(number in line and '"payment.answered"' in line for line in written)


@pytest.mark.parametrize("whom", ["the whole worker", "the child that charges"])
def test_a_worker_killed_in_mid_charge_leaves_an_order_that_ends_charged_once(
    stack: Stack, shop: Storefront, psp: PspSide, rows: StackRows, whom: str
) -> None:
    psp.set_faults(latencyMs=CHARGE_MS)
    correlation = new_correlation()
    number, owner, _ = paying(shop, rows, correlation)
    if whom == "the whole worker":
        outage.kill(stack, "worker-payment")
    else:
        os.kill(child_of(stack, owner), signal.SIGKILL)
    psp.heal()

    assert code_of(shop.end(number, within_s=ENDS_WITHIN_S)) == DONE
    assert psp.money(correlation) == [(1499, "EUR")]
    assert len({row["idempotencyKey"] for row in psp.charges(correlation)}) == 1


def test_a_worker_stopped_past_its_lease_wakes_up_to_an_order_that_went_on(
    stack: Stack, shop: Storefront, psp: PspSide, rows: StackRows
) -> None:
    """No webhook is sent meanwhile: only another worker, to whom the PSP answers at once, can end the order."""
    psp.set_faults(latencyMs=CHARGE_MS, webhook={"lossRate": 1.0})
    correlation = new_correlation()
    number, owner, fence = paying(shop, rows, correlation)

    with stopping.stopped(child_of(stack, owner)):
        psp.set_faults(latencyMs=0)
        ended = shop.end(number, within_s=ENDS_WITHIN_S)
        by_others = until(lambda: answered(stack, number), seconds=ANSWERED_WITHIN_S)
    until(lambda: answered(stack, number) > by_others, seconds=ANSWERED_WITHIN_S)

    assert code_of(ended) == DONE
    [(last,)] = rows.ask("SELECT fence FROM orders WHERE tracking_number = %s", number)
    assert last > fence
    assert rows.ask("SELECT outcome FROM payment_attempts WHERE tracking_number = %s", number) == [("captured",)]
    assert code_of(shop.status(number)) == DONE
    assert psp.money(correlation) == [(1499, "EUR")]
    assert rows.events(number).count("payment_captured") == 1


@pytest.mark.parametrize("name", ["worker-offer-lock", "worker-tokenization", "worker-upkeep"])
def test_any_other_worker_may_die_too(stack: Stack, shop: Storefront, psp: PspSide, name: str) -> None:
    outage.kill(stack, name)
    correlation = new_correlation()

    number = shop.order(fresh_card(storeMethodSuccessPayment="always"), correlationId=correlation)

    assert code_of(shop.end(number, within_s=ENDS_WITHIN_S)) == DONE
    assert psp.money(correlation) == [(1499, "EUR")]


def test_a_caller_who_repeats_after_the_api_died_gets_one_order(
    stack: Stack, shop: Storefront, psp: PspSide, rows: StackRows
) -> None:
    customer, correlation = new_customer(), new_correlation()
    order = an_order(shop.offer(customer)["offerIdentifier"], customer, correlationId=correlation)
    first = shop.submit(a_request(order, fresh_card())).json()["trackingNumber"]

    outage.kill(stack, "api")
    answers: list[httpx.Response] = []

    def is_answered() -> bool:
        try:
            answers.append(shop.submit(a_request(order, fresh_card())))
        except httpx.TransportError:
            return False
        return answers[-1].status_code == 202

    until(is_answered, seconds=outage.BACK_WITHIN_S)
    assert answers[-1].json()["trackingNumber"] == first
    assert answers[-1].headers["idempotent-replayed"] == "true"
    assert code_of(shop.end(first)) == DONE
    assert psp.money(correlation) == [(1499, "EUR")]
