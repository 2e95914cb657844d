"""A thousand orders with stored cards at once, at a PSP that bans above 25 calls a second: no 429, all done in 50 s.

They gather before the payment step, whose worker is stopped meanwhile, so that all of them are there in the same
moment. From then on their shoppers ask as the API advises: the row's places are told as Retry-After, so that a shopper
who waits for half a minute asks a handful of times.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import pytest

from tests.support import outage
from tests.support import stack as stacks
from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import PREFIX, TERMINAL, Storefront, code_of, new_correlation
from tests.support.wire import Document, a_request, an_order, stored_card

ORDERS: Final = 1_000
LIMIT: Final = 25
LEAST_S, MOST_S = 39.0, 50.0
"""What the limit itself takes, and what is promised."""
AT_ONCE: Final = 24
"""Connections of all shoppers together: half as many again as the API has to its database."""
MOST_POLLS: Final = 100
"""At two seconds a poll more than three minutes."""
CUSTOMER: Final = "cu.99.1"


@pytest.fixture
def limited() -> Iterator[Stack]:
    """A stack of this test's own, whose tenant agreed with its PSP on 25 calls a second."""
    with stacks.folder() as home, stacks.running(home) as stack:
        rows = StackRows.of(stack.postgres_dsn, stack.tenant)
        rows.change("UPDATE psp_accounts SET terms = %s", json.dumps({"calls_per_s": LIMIT}))
        yield stack


@pytest.mark.timeout(400)
def test_a_thousand_orders_at_once_are_paid_as_fast_as_their_psp_allows(
    limited: Stack, say: Callable[[str], None]
) -> None:
    rows, psp = StackRows.of(limited.postgres_dsn, limited.tenant), PspSide(limited.psp_url)
    shop = Storefront(limited.base_url, limited.tenant, limited.api_key)
    method_urn, offer = shop.keep_card(CUSTOMER), rows.import_offer(single_use=False).offer_identifier
    documents = [
        a_request(an_order(offer, CUSTOMER, correlationId=new_correlation()), stored_card(method_urn))
        for _ in range(ORDERS)
    ]
    psp.set_faults(callsPerSecond=LIMIT)
    with outage.silent(limited, "worker-payment"):
        numbers = asyncio.run(submitted(limited, documents))
        locked = "SELECT count(*) FROM orders WHERE state = 'offer_locked'"
        until(lambda: rows.ask(locked) == [(ORDERS,)], seconds=120)
        [(began,)] = rows.ask("SELECT clock_timestamp()")

    polls = asyncio.run(followed(limited, numbers))

    [(took, states)] = rows.ask(
        "SELECT extract(epoch FROM max(finished_at) - %s)::float, array_agg(DISTINCT state) FROM orders", began
    )
    [(account,)] = rows.ask("SELECT account_id FROM psp_accounts WHERE tenant_id = %s", rows.tenant)
    told = psp.traffic(account)
    say(
        f"{ORDERS} orders at once at {LIMIT} calls a second: {took:.1f} s, {told['refused']} times 429, "
        f"{told['busiestSecond']} calls in the busiest second, {polls / ORDERS:.1f} polls an order"
    )
    assert states == ["done"]
    assert told["refused"] == 0
    assert len(psp.charges()) == ORDERS
    assert LEAST_S <= took <= MOST_S
    shop.close()
    psp.close()


@asynccontextmanager
async def shoppers(stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    """The connections of all shoppers."""
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(headers=stack.headers, connector=connector) as http:
        yield http


async def heard(http: aiohttp.ClientSession, method: str, url: str, **more: Any) -> tuple[Document, int]:
    """The document of an answer and when to ask again; a busy API is asked again when it says."""
    while True:
        async with http.request(method, url, **more) as answer:
            retry_after_s = int(answer.headers.get("Retry-After", 0))
            if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                assert answer.ok, await answer.text()
                return await answer.json(), retry_after_s
        await asyncio.sleep(retry_after_s)


async def submitted(stack: Stack, documents: list[Document]) -> list[str]:
    """The tracking numbers of *documents*, sent as fast as the API takes them."""
    async with shoppers(stack) as http:
        url = f"{stack.base_url}{PREFIX}/c2a/offer/checkout"
        answers = await asyncio.gather(*(heard(http, "POST", url, json=document) for document in documents))
    return [str(answer["trackingNumber"]) for answer, _ in answers]


async def followed(stack: Stack, numbers: list[str]) -> int:
    """Ask for each of *numbers* until it has ended, as often as the API advises; how often that was in all."""
    async with shoppers(stack) as http:

        async def follow(number: str) -> int:
            for polls in range(1, MOST_POLLS):
                url = f"{stack.base_url}{PREFIX}/c2a/offer/checkout/{number}/status"
                now, retry_after_s = await heard(http, "GET", url)
                if code_of(now) in TERMINAL:
                    return polls
                await asyncio.sleep(retry_after_s)
            raise AssertionError(f"{number} does not end")

        return sum(await asyncio.gather(*map(follow, numbers)))
