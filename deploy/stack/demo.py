"""The two published ways to pay, tried on the stack that was just started: a fresh card that is kept, then that card.

Both go over HTTP as a storefront's would. The steps in between are read from the order's events, which a storefront
does not see; the stack may, as the database is its own. So it also knows when to ask for the end: a storefront would
learn of it at its next poll, two seconds later.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any, Final

from sqlalchemy import Engine, Row, select

from deploy.stack import signals
from deploy.stack.shop import Placed, Shop
from deploy.stack.show import Show
from deploy.stack.startup import Stack
from shared.config import Settings
from shared.domain.states import TERMINAL
from shared.store.engine import create_engine, statements
from shared.store.tables import order_events

FRESH_CARD: Final = {
    "paymentChannel": "CreditCard",
    "useStoredMethod": False,
    "creditCard": {
        "cardHolderName": "Jane Doe",
        "cardNumber": "4111111111111111",
        "expireYear": "2029",
        "expireMonth": "12",
        "cvc": "123",
        "cardAlias": "Personal Visa",
    },
    "storeMethodSuccessPayment": "always",
}
ORDER_WITHIN_S: Final = 60.0
"""An order takes a second; one that must be rescued on a cold machine some twenty."""
LOOK_EVERY_S: Final = 0.05


class DemoFailed(RuntimeError):
    """A demo order did not end as it must; says how it ended."""


def run_demo(stack: Stack, show: Show) -> None:
    """Place both orders and show their steps; raises DemoFailed or Refused."""
    engine = create_engine(Settings.model_validate(stack.wiring.settings()))
    try:
        with Shop(stack.wiring.base_url, tenant=stack.facts["tenant"], api_key=stack.facts["apiKey"]) as shop:
            before = set(shop.methods())
            _pay(shop, FRESH_CARD, "fresh card", engine, show)
            kept = [urn for urn in shop.methods() if urn not in before]
            if not kept:
                raise DemoFailed("the fresh card was paid with, but no stored method came of it")
            _pay(shop, _stored(kept[0]), f"stored card {kept[0]}", engine, show)
    finally:
        engine.dispose()


def _stored(method_urn: str) -> dict[str, Any]:
    card = {"useStoredMethod": True, "storedMethodUrn": method_urn}
    return {"paymentChannel": "CreditCard", "useStoredMethod": True, "creditCard": card}


def _pay(shop: Shop, payment_method: Mapping[str, Any], how: str, engine: Engine, show: Show) -> None:
    """Order with *payment_method* and show the order's way until it is DONE."""
    offer = shop.offer()
    with show.working(f"order by {how}", then=": DONE"):
        placed = shop.submit(offer, payment_method, f"demo-{uuid.uuid4()}")
        show.say(f"  {placed.tracking_number} accepted")
        sooner = Event()
        with ThreadPoolExecutor(max_workers=1) as pool:
            following = pool.submit(shop.follow, placed, sooner=sooner, within_s=ORDER_WITHIN_S)
            try:
                _show_steps(engine, placed, following, sooner, show.say)
            finally:
                sooner.set()  # Whatever ended this, the other thread need not wait on.
            code = following.result()["status"]["messageCode"]
            if code != "CHECK_OUT_DONE":
                raise DemoFailed(f"the order by {how} ended with {code}, see the workers' logs")


def _show_steps(
    engine: Engine, placed: Placed, following: Future[Any], sooner: Event, say: Callable[[str], None]
) -> None:
    """Tell each event of the order as it happens, until *following* has its last answer."""
    shown: list[Row[Any]] = []
    ended = False
    while not ended:
        signals.check()
        # Asked first: the events read after the last answer are all there will be.
        ended = bool(wait([following], timeout=LOOK_EVERY_S).done)
        for event in _events(engine, placed.tracking_number)[len(shown) :]:
            shown.append(event)
            elapsed = (event.at - shown[0].at).total_seconds()
            say(f"  {elapsed:6.2f} s  {event.state:<13} {event.event} ({event.actor})")
            if event.state in TERMINAL:
                sooner.set()


def _events(engine: Engine, tracking_number: str) -> list[Row[Any]]:
    mine = select(order_events).where(order_events.c.tracking_number == tracking_number)
    with statements(engine) as conn:
        return list(conn.execute(mine.order_by(order_events.c.version)))
