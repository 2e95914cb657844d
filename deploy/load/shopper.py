"""One shopper and the storefront that serves them: look at an offer, think, order, follow the order, press a button.

The storefront behaves as the published API tells it to: it polls when retryAfterSeconds is over, thirty times at most,
and begins to count again after a redirect. Some let their answers be held instead (`Prefer: wait=N`).
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from deploy.load.mix import CARD_OF, KEPT, Way
from shared.client import AsyncCheckout, Card, CheckoutResult, Line, Order, Payment, StillRunning

MOST_POLLS: Final = 30
PAUSE_S: Final = 2.0
"""Both published (contract section 2): remainingRetryCount and retryAfterSeconds."""
LONGEST_THOUGHT: Final = 4
"""Times the average: an exponential wait has no end of its own."""
CONTEXT: Final = {"interactionType": "NewAcquisition", "storefrontUrn": "st.00.001"}
BUNDLE: Final = "it.00.42"
"""The demo catalogue's."""


class LeftUnfinished(Exception):
    """Thirty polls are over and the order is not."""


Press = Callable[[str], Awaitable[bool]]
"""Follows a redirect and approves; whether there was a page to press on."""


@dataclass(frozen=True, slots=True)
class Shop:
    """What all shoppers have in common."""

    checkout: AsyncCheckout
    dice: random.Random
    press: Press
    think_s: float
    held: float
    """Share of the storefronts that let their answers be held."""
    kept: list[tuple[str, str]]
    """Customers with a stored card: (customer, method)."""


async def buy(shop: Shop, way: Way, accepted: Callable[[], None]) -> tuple[CheckoutResult, int]:
    """One order from its offer to its end, and how often it was polled. Raises Refused, NoAnswer, LeftUnfinished."""
    customer, payment = _payment(shop, way)
    offer = await shop.checkout.resolve(customer, **CONTEXT)
    await _think(shop)
    now = await shop.checkout.submit(Order(offer.offer_identifier, customer, [Line(BUNDLE)]), payment)
    accepted()
    follow = _held if shop.dice.random() < shop.held else _polled
    polls = 0
    while True:
        now, asked = await follow(shop, now)
        polls += asked
        if now.is_final:
            return now, polls
        page = now.redirect_instructions.redirect_url if now.redirect_instructions else None
        await _think(shop)
        if page is None or not await shop.press(page):
            raise LeftUnfinished


async def _polled(shop: Shop, now: CheckoutResult) -> tuple[CheckoutResult, int]:
    """Poll as published until the order ends or the shopper is sent somewhere new."""
    seen = None if now.is_of_submit else now.redirect_instructions
    for polls in range(1, MOST_POLLS + 1):
        await asyncio.sleep(now.follow_up_instructions.retry_after_seconds or PAUSE_S)
        now = await shop.checkout.status(now.tracking_number)
        if now.is_final or (now.needs_shopper and now.redirect_instructions != seen):
            return now, polls
    raise LeftUnfinished


async def _held(shop: Shop, now: CheckoutResult) -> tuple[CheckoutResult, int]:
    """Let the answers be held; how often was asked is the client's own matter."""
    try:
        return await shop.checkout.wait(now, within_s=MOST_POLLS * PAUSE_S), 0
    except StillRunning:
        raise LeftUnfinished from None


async def _think(shop: Shop) -> None:
    if shop.think_s:
        thought = shop.dice.expovariate(1 / shop.think_s)
        await asyncio.sleep(min(thought, LONGEST_THOUGHT * shop.think_s))


def _payment(shop: Shop, way: Way) -> tuple[str, Payment]:
    if way is Way.STORED:
        customer, method = shop.dice.choice(shop.kept)
        return customer, Payment(stored_method_urn=method)
    return new_customer(), Payment(a_card(CARD_OF[way]), keep=shop.dice.random() < KEPT)


def new_customer() -> str:
    """A customer nobody met before."""
    return f"cu.load.{secrets.randbelow(10**12):012}"


def a_card(number: str) -> Card:
    """A test card of the sandbox PSP."""
    return Card("Jane Doe", number, "2029", "12", "123")
