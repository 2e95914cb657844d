"""An engine room at work in this process: threads that take messages off the real broker, and a rescuer that looks.

Time passes as it does outside; a test that wants it faster asks for shorter settings. Queues are read in turn, as the
product's workers read theirs.
"""

from __future__ import annotations

import json
import random
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis

from shared.messages import CROWD_OF, FRONT_OF, QUEUE_OF, Step
from tests.support.engine_room import EngineRoom
from tests.support.psp import until
from workers import rescuer
from workers.loop import Loop
from workers.runtime import Runtime
from workers.walk import STEPS

QUEUES: Final = sorted({*QUEUE_OF.values(), *FRONT_OF.values(), *CROWD_OF.values()})
STOP_WITHIN_S: Final = 30.0
"""A step may wait for its PSP (15 s)."""


@dataclass(slots=True)
class _Hands:
    run: Runtime
    broker: Redis
    over: threading.Event = field(default_factory=threading.Event)
    errors: list[BaseException] = field(default_factory=list)

    def work(self) -> None:
        """Take message after message until it is over; an error is the test's."""
        queues = list(QUEUES)
        try:
            while not self.over.is_set():
                random.shuffle(queues)
                if popped := self.broker.brpop(queues, timeout=0.1):
                    self._walk(json.loads(popped[1]))
        except BaseException as error:  # Told to the test that waits for it.
            self.errors.append(error)

    def _walk(self, envelope: dict[str, Any]) -> None:
        [number], _, embed = json.loads(b64decode(envelope["body"]))
        step, later = Step(envelope["headers"]["task"]), embed["chain"] or []
        while STEPS[step](self.run, number) and later:
            step = Step(later.pop()["task"])


@contextmanager
def at_work(room: EngineRoom, *, threads: int) -> Iterator[None]:
    """*threads* workers of every queue, and a rescuer, run within; what any of them raised is raised at the end."""
    run = room.run
    with Redis.from_url(run.settings.broker_url.get_secret_value(), socket_timeout=5) as broker:
        hands = _Hands(run, broker)
        workers = [threading.Thread(target=hands.work, name=f"worker-{n}", daemon=True) for n in range(threads)]
        loop = Loop("rescuer", run.settings.rescue_period_s, lambda number: rescuer.look(run, number))
        for worker in workers:
            worker.start()
        loop.start()
        try:
            yield
        finally:
            loop.stop()
            hands.over.set()
            for worker in workers:
                worker.join(STOP_WITHIN_S)
    if hands.errors:
        raise hands.errors[0]


def until_all_ended(room: EngineRoom, *, within_s: float) -> None:
    """Wait until every order of the room's tenant has ended."""
    left = "SELECT count(*) FROM orders WHERE tenant_id = :tenant AND finished_at IS NULL"
    until(lambda: room.sql(left, tenant=room.seller.shop.tenant_id) == [(0,)], seconds=within_s)
