"""The PSP away: orders wait as long as their card lives, stored-card orders wait on, and nobody is charged twice."""

from __future__ import annotations

import pytest
import redis

from tests.support import outage
from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import DONE, FAILED, PROCESSING, Storefront, code_of, new_correlation, new_customer
from tests.support.wire import Document, channel, fresh_card, stored_card

pytestmark = pytest.mark.usefixtures("well")

REFUSES = [{"kind": "http429", "times": 1_000}]
"""A PSP that starts nothing, and says so: no attempt is open."""


def waits(rows: StackRows, number: str) -> None:
    """The PSP was asked and took nothing; the order stands where it may be paid again."""
    until(lambda: "payment_not_made" in rows.events(number), seconds=20)


def test_orders_wait_for_a_dead_psp_and_are_done_when_it_is_back(
    stack: Stack, shop: Storefront, psp: PspSide, rows: StackRows
) -> None:
    customer = new_customer()
    ways: list[Document] = [stored_card(shop.keep_card(customer)), fresh_card(), channel("SEPA")]
    correlations = [new_correlation() for _ in ways]

    with outage.dead(stack, "psp"):
        numbers = [
            shop.order(way, customer=customer, correlationId=correlation)
            for way, correlation in zip(ways, correlations, strict=True)
        ]
        for number in numbers:
            waits(rows, number)
            assert code_of(shop.status(number)) == PROCESSING

    assert {code_of(shop.end(number)) for number in numbers} == {DONE}
    assert [psp.money(correlation) for correlation in correlations] == [[(1499, "EUR")]] * 3


def test_a_psp_that_dies_with_our_charge_in_hand_charged_once(stack: Stack, shop: Storefront, psp: PspSide) -> None:
    """The ledger has it, the answer never came: the look-up finds it."""
    psp.set_faults(answerDelayMs=20_000, webhook={"lossRate": 1.0})
    correlation = new_correlation()
    number = shop.order(fresh_card(), correlationId=correlation)
    until(lambda: psp.money(correlation), seconds=20)

    outage.kill(stack, "psp")

    assert code_of(shop.end(number)) == DONE
    assert psp.money(correlation) == [(1499, "EUR")]
    assert len(psp.charges(correlation)) == 1


def test_a_fresh_card_that_was_lost_meanwhile_ends_its_order(
    stack: Stack, shop: Storefront, psp: PspSide, rows: StackRows
) -> None:
    """Its time to live ran out, or its vault restarted: with no attempt open, FAILED, and never charged."""
    customer = new_customer()
    stored = stored_card(shop.keep_card(customer))  # Before the PSP refuses: it must not take a charge in between.
    psp.set_faults(next=REFUSES)
    correlations = [new_correlation(), new_correlation()]
    numbers = [shop.order(fresh_card(), correlationId=correlation) for correlation in correlations]
    waiting = shop.order(stored, customer=customer)
    for number in (*numbers, waiting):
        waits(rows, number)

    with redis.Redis.from_url(stack.document()["vaultUrl"]) as vault:
        assert vault.delete(f"card:{stack.tenant}:{numbers[0]}") == 1
    outage.kill(stack, "redis-vault")  # It keeps nothing: the second card is gone with it.
    until(lambda: shop.call("GET", "/readyz", prefix="").status_code == 200, seconds=outage.BACK_WITHIN_S)

    for number, correlation in zip(numbers, correlations, strict=True):  # Before it heals: a card may be in hand still.
        ended = shop.end(number)
        assert (code_of(ended), ended["message"]) == (FAILED, "CARD_DATA_UNAVAILABLE")
        assert psp.money(correlation) == []
    psp.heal()
    assert code_of(shop.end(waiting)) == DONE
