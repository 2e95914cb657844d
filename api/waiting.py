"""Who waits for which order, and how they learn that it moved.

News of an order comes as its number (shared/store/listening.py). Then it is read once, as its tenant, for all of this
process who wait for it; who waits asks the database nothing. News may be lost, so each order that is waited for is
looked at every LOOK_EVERY_S, MOST_AT_ONCE in one statement, which answers only those that moved: a lost one costs no
more than that. Never all at the same moment: whatever else the process is asked for then would wait for ten thousand
of them. It begins with the first who waits and then goes on; no route pays for it that nobody uses.

A statement is of one tenant, though orders of many may have moved at the same moment: PostgreSQL shows the front door
the rows of the tenant that is set and of no other (shared/store/row_security.py). To read for several at once it would
need a way around that, a function of the owner's that answers for whatever orders it is named; and then a mistake here
could tell one tenant of another's orders, which is what the database is to make impossible. It would not be worth it. A
change costs its tenant a third of a millisecond, as the poll does that is saved by it; orders of one tenant that move
together share it. A look costs as much for each tenant somebody waits for: of a thousand tenants a third of a second,
once in LOOK_EVERY_S, of one thread and one connection.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import islice, takewhile
from typing import Final, Protocol
from uuid import UUID

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.places import Places
from shared.domain.states import CheckoutCode
from shared.store import status
from shared.store.listening import Listener
from shared.store.status import Status
from shared.store.tenancy import acting_for

log = structlog.get_logger(__name__)

MOST: Final = 15_000
"""Who may wait in one process, if three quarters of its descriptors are as many: each holds one and some 7 KiB. One
tenant may have three quarters of them (places.py); whoever comes then is answered at once."""
LOOK_EVERY_S: Final = 1.5
"""What a lost notification costs; promised are two seconds."""
MOST_AT_ONCE: Final = 250
"""Orders one statement looks at: half a millisecond of PostgreSQL and of us, so that no other answer waits for it; with
500 the latest of a thousand of them came 1.5 ms later."""
LOOK_S: Final = 0.025
"""Between two such statements: MOST are looked at in LOOK_EVERY_S."""
READERS: Final = 2
"""Reads side by side: with the look three of the connections for polls (Settings.poll_pool_size), the rest is left to
those who ask; the orders of a tenant that moved meanwhile share the next."""
AGAIN_AFTER_S: Final = 0.5
"""How long a database that is away is left alone; whoever was to be told still waits."""


class Waiter(Protocol):
    """Somebody who waits for one order."""

    @property
    def tenant_id(self) -> UUID:
        """Whose order it is."""

    @property
    def tracking_number(self) -> str:
        """Which order it is."""

    @property
    def code(self) -> CheckoutCode:
        """Where it stood as far as the waiter knows."""

    def hear(self, now: Status) -> None:
        """Where it stands now, which may be known; must not wait, and must not raise."""


class Waiting:
    """All who wait in one process; made and used after a fork, never before."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiters: dict[str, set[Waiter]] = {}
        self._looked_at: dict[str, float] = {}
        """When each order was looked at last, by the monotonic clock, the longest ago first."""
        self._to_read: dict[UUID, set[str]] = {}
        """What moved, by tenant, and nobody has read yet."""
        self._lock = threading.Lock()
        self._something = threading.Semaphore(0)
        """One for each tenant that has something to read."""
        self._has_begun = False
        self._places = Places(min(MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 3 // 4))

    def has_room_for(self, waiter: Waiter) -> bool:
        """Whether *waiter*, who has entered, may wait."""
        with self._lock:
            return self._places.suffice_for(waiter.tenant_id)

    def enter(self, waiter: Waiter) -> None:
        """From here on *waiter* hears of its order; enter before reading it, so that nothing falls in between."""
        with self._lock:
            self._waiters.setdefault(waiter.tracking_number, set()).add(waiter)
            self._looked_at.setdefault(waiter.tracking_number, time.monotonic())
            self._places.take(waiter.tenant_id)
            begins, self._has_begun = not self._has_begun, True
        if begins:
            self._begin()

    def leave(self, waiter: Waiter) -> None:
        """*waiter* waits no more; as often as one likes."""
        with self._lock:
            there = self._waiters.get(waiter.tracking_number)
            if there is None or waiter not in there:
                return
            self._places.give_back(waiter.tenant_id)
            there.discard(waiter)
            if not there:
                del self._waiters[waiter.tracking_number], self._looked_at[waiter.tracking_number]

    def _begin(self) -> None:
        Listener(self._engine, self.hear, self.look).start()
        for work in (self._keep_looking, *[self._keep_reading] * READERS):
            threading.Thread(target=work, name="waiting", daemon=True).start()

    def hear(self, numbers: Iterable[str]) -> None:
        """The orders of *numbers* moved: those somebody waits for are read."""
        with self._lock:
            for number in numbers:
                for waiter in self._waiters.get(number, ()):
                    if waiter.tenant_id not in self._to_read:
                        self._to_read[waiter.tenant_id] = set()
                        self._something.release()
                    self._to_read[waiter.tenant_id].add(number)

    def look(self) -> None:
        """Have every order read that moved and is waited for; raises nothing: who waits goes on waiting."""
        with self._lock:
            numbers = list(self._waiters)
        self._look_through(numbers)

    def _look_through(self, numbers: list[str]) -> None:
        try:
            for some in _parts(numbers):
                self._look_at(some)
        except SQLAlchemyError as error:
            log.warning("waiting.unseen", error=type(error).__name__)

    def _look_at(self, some: list[str]) -> None:
        known: dict[tuple[UUID, CheckoutCode], list[str]] = {}
        with self._lock:
            for number in some:
                for one in {(waiter.tenant_id, waiter.code) for waiter in self._waiters.get(number, ())}:
                    known.setdefault(one, []).append(number)
        for (tenant_id, code), numbers in known.items():
            with acting_for(tenant_id):
                self.hear(status.moved(self._engine, tenant_id, numbers, code))

    def _keep_looking(self) -> None:
        while True:
            time.sleep(LOOK_S)
            self._look_through(self._to_look_at())

    def _to_look_at(self) -> list[str]:
        """The orders whose turn it is, as many as go into one statement; they are the last ones now."""
        now = time.monotonic()
        with self._lock:
            waited = takewhile(lambda entry: entry[1] <= now - LOOK_EVERY_S, self._looked_at.items())
            numbers = [number for number, _ in islice(waited, MOST_AT_ONCE)]
            for number in numbers:
                del self._looked_at[number]
                self._looked_at[number] = now
        return numbers

    def _keep_reading(self) -> None:
        while self._something.acquire():
            with self._lock:
                tenant_id = next(iter(self._to_read))
                numbers = self._to_read.pop(tenant_id)
            for some in _parts(numbers):
                self._read(tenant_id, some)

    def _read(self, tenant_id: UUID, numbers: list[str]) -> None:
        try:
            with acting_for(tenant_id):
                found = status.read(self._engine, tenant_id, numbers)
        except SQLAlchemyError as error:  # The next look finds them again.
            log.warning("waiting.unread", error=type(error).__name__, orders=len(numbers))
            time.sleep(AGAIN_AFTER_S)
            return
        for now in filter(None, found):
            self._tell(tenant_id, now)

    def _tell(self, tenant_id: UUID, now: Status) -> None:
        with self._lock:
            waiters = [one for one in self._waiters.get(now.tracking_number, ()) if one.tenant_id == tenant_id]
        for waiter in waiters:
            waiter.hear(now)


def _parts(numbers: Iterable[str]) -> Iterator[list[str]]:
    """*numbers*, so many at a time as one statement takes."""
    left = iter(numbers)
    while some := list(islice(left, MOST_AT_ONCE)):
        yield some
