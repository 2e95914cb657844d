"""What pollers of a crowd of orders were told to wait, and how long it really was until each order ended."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Engine, text

from shared.store.engine import statements
from tests.support.psp import until
from tests.support.selling import Seller

AT_ONCE: Final = 4
"""Storefronts that submit side by side."""


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: at what time of the database's clock whose poller was told to wait so long."""

    number: str
    at: float
    seconds: int


@dataclass(slots=True)
class Crowd:
    """The orders of one seller, admitted at once."""

    seller: Seller
    rows: Engine
    numbers: list[str] = field(default_factory=list)
    heard: list[Told] = field(default_factory=list)

    def comes(self, count: int) -> None:
        """Submit so many orders."""
        offer = self.seller.offer(single_use=False)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            self.numbers = list(pool.map(lambda _: self.seller.accepted(offer=offer), range(count)))

    def one_more(self) -> None:
        """Submit another order, and keep what its storefront was told with the 202."""
        at, answer = self._now(), self.seller.post(self.seller.request())
        self.heard.append(Told(answer.get_json()["trackingNumber"], at, int(answer.headers["Retry-After"])))

    def asks(self, count: int) -> int:
        """Poll *count* of the orders that have not ended, whichever; how many had not."""
        live = self._live()
        for number in random.sample(live, min(count, len(live))):
            self.heard.append(Told(number, self._now(), self.told(number)))
        return len(live)

    def told(self, number: str) -> int:
        """What a poller of the order is told now."""
        with self.seller.app.test_client() as client:
            path = f"/api/v1/c2a/offer/checkout/{number}/status"
            answer = client.get(path, headers=self.seller.shop.headers)
        return int(answer.headers.get("Retry-After", "0"))

    def until_all_ended(self, within_s: float) -> None:
        """Wait for the last of them."""
        until(lambda: not self._live(), seconds=within_s)

    def waits(self) -> list[tuple[int, float]]:
        """What was told, and what was true, in seconds."""
        ended = "SELECT tracking_number, extract(epoch FROM finished_at)::float AS at FROM orders"
        with statements(self.rows) as conn:
            at = {row.tracking_number: row.at for row in conn.execute(text(ended)) if row.at}
        return [(one.seconds, at[one.number] - one.at) for one in self.heard if one.seconds]

    def _live(self) -> list[str]:
        query = "SELECT tracking_number FROM orders WHERE finished_at IS NULL AND tenant_id = :tenant"
        with statements(self.rows) as conn:
            return list(conn.execute(text(query), {"tenant": self.seller.shop.tenant_id}).scalars())

    def _now(self) -> float:
        with statements(self.rows) as conn:
            return float(conn.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
