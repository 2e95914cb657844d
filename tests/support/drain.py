"""An engine room in this process: takes the rung messages off the real broker and runs their steps until all is over.

Time that an order only waits (a back-off, a look-up's pause) is let pass by moving the row's own times back; a lease
is never moved, it has to end.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from redis import Redis
from sqlalchemy import text

from shared.messages import Step, queues
from shared.store.engine import statements
from workers.rescuer import look
from workers.runtime import Runtime
from workers.walk import STEPS

PAUSE: Final = timedelta(seconds=65)
"""Longer than any back-off of the rescuer, and than the time after which absence at the PSP is proof (60 s)."""
RING_S: Final = 0.1
"""How long a ring may be on its way from the doorbell's thread to the broker."""

_ORDERS: Final = text("""
    WITH waiting AS (
        UPDATE orders SET due_at = due_at - :pause, deadline_at = deadline_at - :pause
        WHERE tenant_id = :tenant AND finished_at IS NULL AND (lease_until IS NULL OR lease_until <= now())
        RETURNING tenant_id, tracking_number)
    UPDATE payment_attempts AS attempt SET asked_at = asked_at - :pause
    FROM waiting
    WHERE attempt.tenant_id = waiting.tenant_id AND attempt.tracking_number = waiting.tracking_number
""")
_RETURNS: Final = text("UPDATE payment_attempts SET due_at = due_at - :pause WHERE tenant_id = :tenant")
_REFUNDS: Final = text("UPDATE refunds SET due_at = due_at - :pause WHERE tenant_id = :tenant")
_LEFT: Final = text("""
    SELECT (SELECT count(*) FROM orders WHERE tenant_id = :tenant AND finished_at IS NULL)
         + (SELECT count(*) FROM payment_attempts WHERE tenant_id = :tenant AND outcome = 'returning')
         + (SELECT count(*) FROM refunds WHERE tenant_id = :tenant AND state = 'asked')
""")


@dataclass(frozen=True, slots=True)
class Drain:
    """The engine room of one tenant; messages of others are run as well."""

    run: Runtime
    broker: Redis
    tenant: UUID

    def until_over(self, *, within_s: float = 20.0, rescuing: bool = True) -> None:
        """Work until every order has ended and no money is to be returned, at most *within_s*; the checker judges."""
        ends_at = time.monotonic() + within_s
        while self.left() and time.monotonic() < ends_at:
            if rescuing:
                look(self.run, 0)
            self.work_off()
            self.let_pass()
        if rescuing:
            look(self.run, 0)  # What the upkeep does by the minute, it does once more after the last order.

    def left(self) -> int:
        """Orders that have not ended, charges that are to be returned, and refunds under way."""
        with statements(self.run.engine) as conn:
            return int(conn.execute(_LEFT, {"tenant": self.tenant}).scalar_one())

    def let_pass(self, pause: timedelta = PAUSE) -> None:
        """Make *pause* of waiting pass for every order nobody works on."""
        with statements(self.run.engine) as conn:
            for statement in (_ORDERS, _RETURNS, _REFUNDS):
                conn.execute(statement, {"tenant": self.tenant, "pause": pause})

    def work_off(self) -> None:
        """Run what has been rung for until nothing is rung for any more."""
        while popped := self.broker.brpop(queues(), timeout=RING_S):
            self._walk(json.loads(popped[1]))

    def _walk(self, envelope: dict[str, Any]) -> None:
        [number], _, embed = json.loads(b64decode(envelope["body"]))
        step, later = Step(envelope["headers"]["task"]), embed["chain"] or []
        while STEPS[step](self.run, number) and later:
            step = Step(later.pop()["task"])
