"""Two thousand orders of mixed cards: every one ends as its card says, and the PSP's ledger agrees to the cent.

The shoppers behave as real ones: they poll when they are told to, some press a button of the challenge page and
come back, some press it and close the browser, some never look at it, some press "order" twice.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from tests.support import mix
from tests.support.crowd import Crowd, Ended
from tests.support.psp_side import OPEN, PspSide
from tests.support.stack import Stack
from tests.support.storefront import DONE, Storefront, code_of, new_customer
from tests.support.wire import Document

ORDERS = 2_000
WITHIN_S = 900.0
"""On two free cores it takes two minutes, half of it the 60 s after which a lost request is proven lost."""


def wrong_end(order: Ended) -> str | None:
    """How *order* ended otherwise than its way to pay says, if it did."""
    got, message = code_of(order.last), order.last.get("message")
    if (got, message) == (order.kind.ends, order.kind.message):
        return None
    return f"{order.kind.name}: {got} {message} ({order.tracking_number})"


def wrong_money(order: Ended, charges: list[Document]) -> str | None:
    """How the PSP's money of *order* contradicts its end, if it does."""
    held = [(row["state"], row["amountMinor"] - row["refundedMinor"]) for row in charges if row["state"] in OPEN]
    right = [("captured", order.owed)] if code_of(order.last) == DONE else []
    return None if held == right else f"{order.kind.name}: PSP has {held}, not {right} ({order.tracking_number})"


@pytest.mark.timeout(WITHIN_S + 60)
def test_two_thousand_orders_of_mixed_cards_all_end_and_match_the_ledger(
    stack: Stack, shop: Storefront, psp: PspSide, say: Callable[[str], None]
) -> None:
    kinds = mix.of(ORDERS)
    kept = {card: (customer, shop.keep_card(customer, card)) for card, customer in _storers(kinds).items()}
    crowd = Crowd(stack.base_url, stack.headers, say, kept)
    started = time.monotonic()

    ended = asyncio.run(crowd.shop(kinds, within_s=WITHIN_S))

    took = time.monotonic() - started
    say(_report(ended, took, crowd.put_off))
    charges: defaultdict[str, list[Document]] = defaultdict(list)
    for row in psp.charges():
        charges[row["merchantReference"]].append(row)
    assert len(ended) == ORDERS
    assert [wrong for order in ended if (wrong := wrong_end(order))] == []
    assert [wrong for order in ended if (wrong := wrong_money(order, charges[order.correlation]))] == []


def _storers(kinds: list[mix.Kind]) -> dict[str, str]:
    return {kind.stored: new_customer() for kind in kinds if kind.stored is not None}


def _report(ended: list[Ended], took: float, put_off: int) -> str:
    slowest = sorted(ended, key=lambda order: order.seconds)
    plain = [order.seconds for order in slowest if order.kind.name == "good card"]
    codes = Counter(code_of(order.last) for order in ended)
    polls = sum(order.polls for order in ended)
    return (
        f"{len(ended)} orders in {took:.0f} s, {len(ended) / took:.1f} a second: {dict(codes)}\n"
        f"    {polls} polls; {put_off} calls put off by a 503\n"
        f"    a good card took {plain[len(plain) // 2]:.1f} s (median), {plain[-1]:.1f} s (longest); "
        f"the last to end was {slowest[-1].kind.name} after {slowest[-1].seconds:.0f} s\n"
    )
