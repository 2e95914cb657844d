"""Tells whoever waits for orders that some moved: a NOTIFY of their numbers, after the commit and beside the work.

Not in the statement that moves the order, though that would lose none: whoever notifies takes a lock of the whole
database until its commit is on disk, so that orders would be written one after the other. Measured with 16 clients and
PostgreSQL 15: 290 to 770 moves a second, where they are 6,800 to 9,500 without it and 3,900 to 5,200 with a NOTIFY of
their own behind them. And a queue that a stuck listener filled would refuse the move itself.

So a thread of the process gathers numbers and sends many at once, in a transaction that waits for no disk; while
nobody listens it looks once a second whether somebody does. News may be lost, with its process for one: it is a
doorbell, and who waits looks for himself as well (api/waiting.py). It carries numbers and nothing else.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from typing import Any, Final
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy import Connection, Engine, bindparam, event, func, select
from sqlalchemy.exc import SQLAlchemyError

from shared.store.direct import At, Direct

log = structlog.get_logger(__name__)

CHANNEL: Final = "c2a_moved"
LISTENS: Final = 0x63326177616974
"""The advisory lock that every listener shares: nobody may have it alone while one is there."""
SEPARATOR: Final = ","
CAPACITY: Final = 10_000
"""Numbers that wait to be told; more than move in the two seconds after which whoever waits looks for himself."""
AT_ONCE: Final = 250
"""Numbers of 30 characters a message: PostgreSQL takes 8,000 bytes."""
GAP_S: Final = 0.01
"""Between two messages of a process: a tenth of what a change may take to its poller."""
LOOK_EVERY_S: Final = 1.0
"""How often we look whether somebody listens, while nobody does."""
IDLE_S: Final = 30.0
"""After so long without news the thread ends; the next news starts another."""

_TELL: Final = Direct(
    select(
        # A message that outlives no crash of the server need not wait for its disk.
        func.set_config("synchronous_commit", "off", True),  # noqa: FBT003
        func.pg_notify(CHANNEL, bindparam("numbers")),
    ).where(~func.pg_try_advisory_xact_lock(LISTENS))
)
_MOVED: Final = "c2a_moved"
_BELLS: Final[WeakKeyDictionary[Engine, Bell]] = WeakKeyDictionary()


def tell(at: At, tracking_number: str) -> None:
    """Let it be known that an order moved, once the transaction of *at* is over; returns at once, promises nothing.

    Told as well where that transaction was rolled back: whoever hears of it reads the order.
    """
    if isinstance(at, Connection):
        at.info.setdefault(_MOVED, []).append(tracking_number)
    elif (bell := _BELLS.get(at)) is not None:
        bell.ring([tracking_number])


def attach(engine: Engine) -> None:
    """Let what is told on *engine* be heard."""
    bell = _BELLS[engine] = Bell(engine)

    def put_back(_: Any, record: Any) -> None:
        if moved := record.info.pop(_MOVED, None):
            bell.ring(moved)

    event.listen(engine, "checkin", put_back)
    event.listen(engine, "engine_disposed", lambda _: bell.hush())


class Bell:
    """One engine's; safe to ring from any thread, its thread begins with the first ring."""

    def __init__(self, engine: Engine) -> None:
        self._engine = weakref.ref(engine)
        self._numbers: deque[str] = deque(maxlen=CAPACITY)
        self._rung = threading.Event()
        self._lock = threading.Lock()
        self._works = False
        self._telling = threading.Lock()

    def hush(self) -> None:
        """Tell no more of what was rung so far: whoever used the engine is done with it."""
        with self._telling:
            self._numbers.clear()

    def ring(self, numbers: list[str]) -> None:
        """Tell of the orders of these *numbers*."""
        self._numbers.extend(numbers)
        self._rung.set()
        try:
            with self._lock:
                if not self._works:
                    threading.Thread(target=self._work, name="news", daemon=True).start()
                    self._works = True  # Once it runs; the next news tries again.
        except (RuntimeError, MemoryError):  # The system has no thread to give: that is not the trouble of who moved.
            log.exception("news.not_started", orders=len(numbers))

    def _work(self) -> None:
        while self._rung.wait(IDLE_S):
            self._rung.clear()
            while self._numbers:
                with self._telling:
                    numbers = self._gather()
                    is_heard = bool(numbers) and self._tell(numbers)
                    if not is_heard:
                        self._numbers.clear()
                time.sleep(GAP_S if is_heard else LOOK_EVERY_S)
        with self._lock:
            self._works = False
        if self._numbers:  # Rung in between.
            self.ring([])

    def _gather(self) -> list[str]:
        return [self._numbers.popleft() for _ in range(min(AT_ONCE, len(self._numbers)))]

    def _tell(self, numbers: list[str]) -> bool:
        """Whether somebody listens."""
        engine = self._engine()
        if engine is None:
            return False
        try:
            return _TELL.one_or_none(engine, {"numbers": SEPARATOR.join(dict.fromkeys(numbers))}) is not None
        except SQLAlchemyError as error:
            log.warning("news.untold", error=type(error).__name__, orders=len(numbers))
            return False
        except Exception:  # No descriptor for a connection, say: the thread must not end of it.
            log.exception("news.failed", orders=len(numbers))
            return False
