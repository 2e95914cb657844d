"""How an order fails, in the public words of contract section 3, and that no money stays anywhere."""

from __future__ import annotations

import pytest

from tests.support.psp import until
from tests.support.psp_side import OPEN, PspSide
from tests.support.stack_rows import StackRows
from tests.support.storefront import (
    CHALLENGED,
    FAILED,
    Storefront,
    code_of,
    new_correlation,
    new_customer,
)
from tests.support.wire import Document, channel, fresh_card, stored_card

DECLINED = {
    "4000000000000002": "generic_decline",
    "4000000000009995": "insufficient_funds",
    "4000000000000069": "expired_card",
    "4000000000000127": "incorrect_cvc",
    "4000000000009987": "lost_or_stolen",
    "4100000000000019": "suspected_fraud",
    "4000000000006975": "limit_exceeded",
    "4000007700000018": "do_not_honor",
    "4000007700000026": "issuer_unavailable",
}
"""deploy/sandbox/README.md."""


def failed(shop: Storefront, psp: PspSide, payment: Document, message: str, **more: str) -> str:
    """Order, let it end, and hold it against *message*; its tracking number."""
    correlation = new_correlation()
    number = shop.order(payment, correlationId=correlation, **more)
    nothing_left(shop, psp, number, correlation, message)
    return number


def nothing_left(shop: Storefront, psp: PspSide, number: str, correlation: str, message: str) -> None:
    ended = shop.end(number)
    assert (code_of(ended), ended["message"]) == (FAILED, message)
    assert [row for row in psp.charges(correlation) if row["state"] in OPEN] == []


@pytest.mark.parametrize(("number", "reason"), DECLINED.items(), ids=DECLINED.values())
def test_a_declined_card_is_told_with_its_reason(shop: Storefront, psp: PspSide, number: str, reason: str) -> None:
    failed(shop, psp, fresh_card(number), f"CARD_DECLINED: {reason}")


def test_a_stored_card_that_declines_is_told_so(shop: Storefront, psp: PspSide) -> None:
    customer, correlation = new_customer(), new_correlation()
    method_urn = shop.keep_card(customer, "4000000000000341")

    number = shop.order(stored_card(method_urn), customer=customer, correlationId=correlation)

    nothing_left(shop, psp, number, correlation, "CARD_DECLINED: generic_decline")


@pytest.mark.parametrize("name", ["PayPal", "Klarna", "Bank", "SEPA"])
def test_another_channel_that_declines_is_a_refused_payment(shop: Storefront, psp: PspSide, name: str) -> None:
    psp.set_faults(next=[{"kind": "decline"}])

    failed(shop, psp, channel(name), "PAYMENT_REFUSED: generic_decline")


def test_a_payment_that_is_declined_later_is_told_with_its_reason(shop: Storefront, psp: PspSide) -> None:
    failed(shop, psp, fresh_card("4000007700000075"), "CARD_DECLINED: insufficient_funds")


def test_a_challenge_that_fails_by_itself_is_told(shop: Storefront, psp: PspSide) -> None:
    failed(shop, psp, fresh_card("4000007700000059"), "CHALLENGE_FAILED")


def test_an_abandoned_challenge_is_cancelled_at_the_psp_before_the_order_fails(shop: Storefront, psp: PspSide) -> None:
    """The stack's challenges live 20 s."""
    correlation = new_correlation()
    number = shop.order(fresh_card("4000007700000034"), correlationId=correlation)
    shop.until(number, CHALLENGED)
    assert [row["state"] for row in psp.charges(correlation)] == ["challenge"]

    nothing_left(shop, psp, number, correlation, "CHALLENGE_EXPIRED")

    assert [row["state"] for row in psp.charges(correlation)] == ["voided"]


def test_a_stored_method_that_was_deleted_after_the_order_is_told(
    shop: Storefront, psp: PspSide, rows: StackRows
) -> None:
    """Deleted between admission and charge, while the PSP was busy."""
    customer, correlation = new_customer(), new_correlation()
    method_urn = shop.keep_card(customer)
    psp.set_faults(next=[{"kind": "http429", "times": 1_000}])  # Holds the charge back until it is healed.
    number = shop.order(stored_card(method_urn), customer=customer, correlationId=correlation)
    until(lambda: rows.events(number)[-1] == "payment_not_made", seconds=20)
    assert shop.call("DELETE", "/c2a/customer/payment/methods/delete", params={"p": method_urn}).status_code == 200
    psp.heal()

    nothing_left(shop, psp, number, correlation, "CARD_DECLINED: method_gone")


def test_an_order_whose_psp_took_no_request_for_a_day_is_told_that_it_was_cancelled(
    shop: Storefront, psp: PspSide, rows: StackRows
) -> None:
    """The day is let pass between two requests that are not taken (C2A_PAYMENT_PATIENCE_S)."""
    correlation = new_correlation()
    psp.set_faults(next=[{"kind": "http429", "times": 1_000}])
    number = shop.order(fresh_card(), correlationId=correlation)
    until(lambda: rows.events(number)[-1] == "payment_not_made", seconds=20)
    rows.change(
        "UPDATE orders SET admitted_at = admitted_at - interval '1 day', due_at = now() WHERE tracking_number = %s",
        number,
    )

    nothing_left(shop, psp, number, correlation, "CANCELLED")
