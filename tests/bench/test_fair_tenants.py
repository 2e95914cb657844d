"""One tenant at fifty times the others' share: by how much it moves the others' 95th percentile, from POST to DONE.

Everything is as deploy/up starts it, and the PSP answers in 60 ms. Eight tenants order evenly; in every other phase
one more sends fifty times as much as each of them, all of it within its limits, so that the engine room has to bear it.
Machine and neighbours add noise: phases with and without are measured in turn, and all orders of either kind are one
sample, as the 95th percentile of a single phase would be its slowest order.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import aiohttp
import pytest

from shared import keyring
from shared.store import accounts, offers
from shared.store.keys import KeyRole
from tests.support import stack as stacks
from tests.support.catalogue import an_offer
from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import PREFIX, new_correlation, new_customer
from tests.support.wire import Document, a_request, an_order, fresh_card

OTHERS: Final = 8
EACH_PER_S: Final = 0.25
TIMES: Final = 50
PHASE_S: Final = 9.0
WARM_S: Final = 4.0
AGAIN_S: Final = 0.5
"""After which a client asks again, under the same key, that was put off or cut off: its order takes so much longer."""
ACCEPTED_WITHIN_S: Final = 30.0
PSP_MS: Final = 60
MOST: Final = 1.10
ROUNDS: Final = 8
"""Of both kinds of phase: 144 orders of the others each, of which seven are slower than the 95th percentile."""
PROVIDER: Final = "sandbox"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant of the stack that can sell."""

    headers: dict[str, str]
    offer: str


@dataclass(frozen=True, slots=True)
class Floor:
    """A stack, its tenants, and how long their orders take."""

    stack: Stack
    rows: StackRows
    others: list[Tenant]
    crowd: Tenant

    async def phase(self, seconds: float, *, crowded: bool) -> list[float]:
        """Orders of the others for so long, with or without the crowd; how long each of the others' took."""
        connector = aiohttp.TCPConnector(limit=200, force_close=True)  # Storefronts share no connection.
        async with aiohttp.ClientSession(connector=connector) as http:
            crowd = self._evenly(http, self.crowd, TIMES * EACH_PER_S, seconds) if crowded else _nobody()
            selling = [
                self._evenly(http, one, EACH_PER_S, seconds, after_s=place / OTHERS / EACH_PER_S)
                for place, one in enumerate(self.others)
            ]
            [_, *sent] = await asyncio.gather(crowd, *selling)
        return await asyncio.to_thread(self._took, {number: at for one in sent for number, at in one.items()})

    async def _evenly(
        self, http: aiohttp.ClientSession, who: Tenant, per_s: float, seconds: float, *, after_s: float = 0.0
    ) -> dict[str, float]:
        """Orders of one tenant, so many a second; when each was sent."""
        began, asked = time.monotonic() + after_s, []
        for n in range(round(seconds * per_s)):
            await asyncio.sleep(max(0.0, began + n / per_s - time.monotonic()))
            asked.append(asyncio.create_task(self._order(http, who)))
        return dict(await asyncio.gather(*asked))

    async def _order(self, http: aiohttp.ClientSession, who: Tenant) -> tuple[str, float]:
        order = an_order(who.offer, new_customer(), correlationId=new_correlation())
        document, sent_at = a_request(order, fresh_card()), time.time()
        async with asyncio.timeout(ACCEPTED_WITHIN_S):
            while (number := await self._accepted(http, who, document)) is None:
                await asyncio.sleep(AGAIN_S)
        return number, sent_at

    async def _accepted(self, http: aiohttp.ClientSession, who: Tenant, document: Document) -> str | None:
        """The tracking number; None: ask again."""
        url = f"{self.stack.base_url}{PREFIX}/c2a/offer/checkout"
        try:
            async with http.post(url, json=document, headers=who.headers) as answer:
                if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
                    return None
                assert answer.status == HTTPStatus.ACCEPTED, await answer.text()
                return str((await answer.json())["trackingNumber"])
        except aiohttp.ServerDisconnectedError:
            return None

    def _took(self, sent: dict[str, float]) -> list[float]:
        """How long each order took in milliseconds, by the one clock of this machine; once nothing is open any more."""
        until(lambda: self.rows.ask("SELECT count(*) FROM orders WHERE finished_at IS NULL") == [(0,)], seconds=60)
        ended = self.rows.ask(
            "SELECT tracking_number, extract(epoch FROM finished_at)::float FROM orders"
            " WHERE state = 'done' AND tracking_number = ANY (%s)",
            list(sent),
        )
        assert len(ended) == len(sent)
        return [1_000 * (at - sent[number]) for number, at in ended]


async def _nobody() -> dict[str, float]:
    return {}


@pytest.fixture
def floor() -> Iterator[Floor]:
    """A stack of this test's own with five tenants that can sell, each through an account of its own."""
    with stacks.folder() as home, stacks.running(home) as stack:
        rows, psp = StackRows.of(stack.postgres_dsn, stack.tenant), PspSide(stack.psp_url)
        psp.set_faults(latencyMs=PSP_MS)
        tenants = [a_tenant(stack, rows) for _ in range(OTHERS + 1)]
        yield Floor(stack, rows, tenants[1:], tenants[0])
        psp.close()


def a_tenant(stack: Stack, rows: StackRows) -> Tenant:
    """A new tenant with limits it does not meet, whose account opens with the demo tenant's credentials."""
    tenant: UUID = rows.new_tenant()
    key = rows.new_key(KeyRole.STOREFRONT, tenant)
    offer = an_offer(offer_identifier=f"of_{tenant.hex}", single_use=False)
    ring: Any = keyring.load(stack.home / "keyring.json")
    with rows.engine.begin() as conn:
        demo = accounts.get(conn, ring, rows.tenant, PROVIDER)
        assert demo is not None
        accounts.save(conn, ring, replace(demo, tenant_id=str(tenant), account_id=f"acc_{tenant.hex}"))
        offers.keep_imported(conn, tenant, [offer])
    return Tenant({"x-api-key": key, "x-tn": str(tenant)}, offer.offer_identifier)


def p95(took: list[float]) -> float:
    """The 95th percentile, between the two it falls between."""
    return statistics.quantiles(took, n=20, method="inclusive")[18]


@pytest.mark.timeout(480)
def test_a_tenant_at_fifty_times_its_share_moves_the_others_p95_by_less_than_a_tenth(
    floor: Floor, say: Callable[[str], None]
) -> None:
    asyncio.run(floor.phase(WARM_S, crowded=True))  # Warm.
    alone, crowded = [], []
    for turn in range(ROUNDS):
        alone += asyncio.run(floor.phase(PHASE_S, crowded=False))
        crowded += asyncio.run(floor.phase(PHASE_S, crowded=True))
        say(f"{turn + 1} of {ROUNDS}: {told(alone, crowded)}")
    assert p95(crowded) / p95(alone) < MOST, told(alone, crowded)


def told(alone: list[float], crowded: list[float]) -> str:
    """All orders so far, in words."""
    return (
        f"p95 of {len(alone)} orders {p95(alone):.0f} ms alone, of {len(crowded)} {p95(crowded):.0f} ms beside "
        f"{TIMES * EACH_PER_S:.0f} orders/s of one tenant (x {p95(crowded) / p95(alone):.2f}); "
        f"medians {statistics.median(alone):.0f} and {statistics.median(crowded):.0f} ms"
    )
