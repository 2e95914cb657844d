"""The client comes back by the deadline its caller named, also from an API that takes everything and says nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import pytest

from shared.client import AsyncCheckout, Checkout, NoAnswer, Terms
from tests.support import evil, lateness

WITHIN_S: Final = 2.5
GRACE_S: Final = 1.0
"""What a busy machine may add to a deadline."""
TENANT: Final = "e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f"


def waits(url: str) -> None:
    with Checkout(url, tenant=TENANT, key="k") as checkout:
        checkout.wait("trk_1", within_s=WITHIN_S)


def waits_on_asyncio(url: str) -> None:
    async def wait() -> None:
        async with AsyncCheckout(url, tenant=TENANT, key="k") as checkout:
            await checkout.wait("trk_1", within_s=WITHIN_S)

    asyncio.run(wait())


def asks_once(url: str) -> None:
    with Checkout(url, tenant=TENANT, key="k", terms=Terms(patience_s=WITHIN_S)) as checkout:
        checkout.status("trk_1")


@pytest.mark.parametrize("ask", [waits, waits_on_asyncio, asks_once])
def test_a_silent_api_holds_nobody_beyond_their_deadline(ask: Callable[[str], None]) -> None:
    with evil.serving(evil.silent) as url, lateness.watched() as late:
        began = time.monotonic()
        with pytest.raises(NoAnswer) as raised:
            ask(url)
        took = time.monotonic() - began

    assert took - late.seconds < WITHIN_S + GRACE_S
    assert raised.value.why == "ReadTimeout"
