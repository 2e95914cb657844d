"""Keeps the leases of this process alive while its calls to PSPs run.

One thread a process, one statement a beat for all its leases. A process that is killed or stopped beats no more,
its leases end, and the rescuer gives its orders to somebody else. Whatever else goes wrong with one beat is logged, and
the next is tried: without its thread every call longer than a lease would be taken over, and counted as a crash.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.failpoints import Failpoint, reach
from shared.store import leases
from shared.store.engine import statements
from shared.store.leases import LeaseTerms
from shared.store.orders import Order

log = structlog.get_logger(__name__)

CLOSE_WITHIN_S: Final = 5.0
"""A beat is one statement; one that takes longer is left to end with its process."""


class Heartbeat:
    """The leases of one process."""

    def __init__(self, engine: Engine, terms: LeaseTerms) -> None:
        self.terms = terms
        self._engine = engine
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def keeping(self, order: Order, *, claimed_at: float) -> Iterator[float]:
        """Keep the lease of *order* alive; gives the monotonic time it ends at the latest.

        *claimed_at* is the monotonic time before the claim was sent: a process may be stopped right after it. Raises
        RuntimeError if the system gives no thread to keep it with.
        """
        ends_at = claimed_at + self.terms.limit.total_seconds()
        with self._lock:
            self._start()  # First: if there is no thread to be had, nothing is held for a step that never began.
            self._held[order.tracking_number] = order.fence
        try:
            yield ends_at
        finally:
            with self._lock:
                self._held.pop(order.tracking_number, None)

    def close(self) -> None:
        """Beat no more, once the present beat is over; a step that still runs loses its lease."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(CLOSE_WITHIN_S)

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
            thread.start()
            self._thread = thread  # Once it runs; who comes next tries again.

    def _beat(self) -> None:
        while not self._stopping.wait(self.terms.length.total_seconds() / 3):  # Two beats may be missed, not three.
            with self._lock:
                held = list(self._held.items())
            if held:
                self._renew(held)

    def _renew(self, held: list[tuple[str, int]]) -> None:
        try:
            reach(Failpoint.HEARTBEAT_BEFORE_RENEWAL)
            with statements(self._engine) as conn:
                leases.renew(conn, held, terms=self.terms)
            reach(Failpoint.HEARTBEAT_AFTER_RENEWAL)
        except SQLAlchemyError as error:  # The lease may end: then a look-up settles what this call did.
            log.warning("lease.not_renewed", error=type(error).__name__, orders=len(held))
        except Exception:  # No descriptor for a connection, say: the driver raises it as it is.
            log.exception("heartbeat.failed", orders=len(held))
