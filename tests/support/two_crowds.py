"""Two tenants at one front door, of which one sends a crowd of orders before the other sends its one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, text

from shared.config import Settings
from shared.depth import Depths
from shared.store.engine import statements
from tests.support import crash_case, crash_jobs, process_environment, worker_process
from tests.support.psp import Sandbox, until
from tests.support.selling import Seller, a_seller

NEVER_S: Final = 3_600
"""Nobody is rung for again while a test looks."""


@dataclass(slots=True)
class Waiting:
    """A crowd's orders and another tenant's one, all admitted and rung for, and nobody at work yet."""

    settings: Settings
    rows: Engine
    folder: Path
    crowd: list[str]
    other: str

    @contextmanager
    def at_work(self, *queues: str) -> Iterator[None]:
        """A worker of *queues*, of every one where none is named."""
        read = queues or worker_process.EVERY_QUEUE
        with worker_process.running(self.settings, self.folder, process_environment.of(self.settings), queues=read):
            yield

    def served_before_the_other(self) -> int:
        """How many of the crowd's orders were taken up before the other tenant's was; once it was."""
        until(lambda: self._happened([self.other], "offer_held"), seconds=60)
        [other] = self._happened([self.other], "offer_held")
        return sum(at < other for at in self._happened(self.crowd, "offer_held"))

    def until_all_hold_their_offers(self) -> None:
        """Wait until the offer lock is through."""
        everybody = [*self.crowd, self.other]
        until(lambda: len(self._happened(everybody, "offer_held")) == len(everybody), seconds=60)

    def took_s(self) -> float:
        """How long the crowd's orders took, from the first that was taken up to the end of the last, by the database's
        clock."""
        until(lambda: len(self._happened(self.crowd, "payment_captured")) == len(self.crowd), seconds=120)
        return max(self._happened(self.crowd, "payment_captured")) - min(self._happened(self.crowd, "offer_held"))

    def depth_of(self, *queues: str) -> list[int]:
        """How many messages wait in each of *queues*."""
        depths = Depths(self.settings.broker_url.get_secret_value())
        try:
            return [depths.of(queue) for queue in queues]
        finally:
            depths.close()

    def _happened(self, numbers: list[str], event: str) -> list[float]:
        with statements(self.rows) as conn:
            found = conn.execute(
                text(
                    "SELECT extract(epoch FROM at)::float FROM order_events"
                    " WHERE tracking_number = ANY (:numbers) AND event = :event"
                ),
                {"numbers": numbers, "event": event},
            )
            return list(found.scalars())


def waiting(settings: Settings, rows: Engine, psp: Sandbox, folder: Path, *, crowd: int, crowd_orders: int) -> Waiting:
    """*crowd* orders of one tenant and then one of another, *crowd_orders* as the setting says."""
    own = crash_case.settings_in(folder, settings).model_copy(
        update={"first_patience_s": NEVER_S, "crowd_orders": crowd_orders}
    )
    parts = crash_jobs.front_door(own)
    many, one = (a_seller(parts, psp.account(), rows=rows) for _ in range(2))
    try:
        numbers = _orders(many, crowd)
        return Waiting(own, rows, folder, numbers, one.accepted())
    finally:
        parts.doorbell.close(within_s=10)
        parts.engine.dispose()
        parts.redis.close()


def _orders(seller: Seller, count: int) -> list[str]:
    offer = seller.offer(single_use=False)
    return [seller.accepted(offer=offer) for _ in range(count)]
