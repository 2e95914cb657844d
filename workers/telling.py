"""Tells tenants what happened: makes deliveries of it, and sends them from a bounded number of threads.

Two crews send: one to endpoints that take what they are sent, one to those that did not of late. A dead endpoint holds
a thread of the first crew for a call or two and is then left to the second, which it holds rarely: the others do not
wait for it. No connection of the database is held while a receiver thinks.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from standardwebhooks import Webhook

from shared.domain.outcomes import NotSent, Unanswered
from shared.domain.tenant_events import SUSPECT_AFTER
from shared.failpoints import Failpoint, reach
from shared.key_service import KeysAway
from shared.keyring import CannotOpen
from shared.outward import Outward
from shared.psp.http import Answer, Patience
from shared.store import deliveries, endpoints
from shared.store.deliveries import Claimed, Failed
from shared.store.engine import statements
from shared.store.reader import Reader
from workers.loop import STOP_WITHIN_S
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

PERIOD_S: Final = 0.5
"""How long an event waits to be noticed: shoppers look at a page for longer."""
PATIENCE: Final = Patience(connect_s=3.0, read_s=10.0, total_s=10.0, answer_limit=64 << 10)
"""A receiver writes an event down and answers; one that works first should not (Standard Webhooks: 15 s at most)."""
THREADS: Final = 32
EACH: Final = 12
"""Calls at once to one endpoint: at 50 ms a call 240 a second, and two that die at once leave threads for others."""
SUSPECT_THREADS: Final = 8
BACK_EVERY: Final = 4
"""Rounds between two readings of a slice before the place: of all fifteen in half a minute."""
FORGET_EVERY: Final = 120
"""Rounds between two cleanings: about a minute."""
READINGS: Final = 20
"""Readings a round, where there is more: some 10,000 orders; then what is due is sent."""
ROUND_S: Final = 1.0
"""How long a round goes on sending before it reads again."""
CLAIM_EVERY_S: Final = 0.05
"""How soon threads that are free again are given more: 20 statements a second keep them all at work."""
GONE: Final = 410
"""Nobody will be there any more (Standard Webhooks: disable the endpoint)."""
NOT_SIGNED: Final = "its secret does not open: c2a endpoints rotate"
"""In place of a receiver's answer; whoever reads it can do that (its key was retired, or is not in the ring)."""
LONGEST_PATIENCE: Final = timedelta(hours=1)
"""A receiver may ask for so long a pause, not for more."""


class Crew:
    """Some threads that send, with connections of their own."""

    def __init__(self, run: Runtime, threads: int, *, suspect: bool) -> None:
        self._run = run
        self._threads = threads
        self._suspect = suspect
        self._outward = Outward(run.settings.mode, PATIENCE)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="tenant-events")
        self._busy: set[Future[None]] = set()

    def send(self) -> bool:
        """Hand what is due to the threads that are free; whether there may be more."""
        self._busy = {future for future in self._busy if not future.done()}
        free = self._threads - len(self._busy)
        if not free:
            return True
        with statements(self._run.engine) as conn:
            claimed = deliveries.claim(conn, suspect=self._suspect, each=EACH, free=free)
        reach(Failpoint.TELLING_AFTER_CLAIM)
        self._busy |= {self._pool.submit(self._send, one) for one in claimed}
        return bool(claimed)

    def rest(self) -> None:
        """Wait until all is sent, but not for long."""
        wait(self._busy, CLAIM_EVERY_S)

    def close(self) -> None:
        """Send nothing more; what is still being sent after a while is sent again by somebody else."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if not wait(self._busy, STOP_WITHIN_S).not_done:
            self._outward.close()

    def _send(self, one: Claimed) -> None:
        try:
            self._send_signed(one)
        except SQLAlchemyError as error:
            log.warning("event.not_recorded", event_id=one.event_id, error=type(error).__name__)

    def _send_signed(self, one: Claimed) -> None:
        try:
            headers = self._signed(one)
        except KeysAway:
            log.exception("event.not_signed", event_id=one.event_id, endpoint=one.endpoint_id)
            deliveries.not_tried(self._run.engine, one)
        except CannotOpen as error:
            log.warning("event.not_signed", event_id=one.event_id, endpoint=one.endpoint_id, why=str(error))
            _record(self._run, one, NotSent(NOT_SIGNED))
        else:
            _record(self._run, one, self._outward.post(one.url, headers=headers, body=one.body.encode()))

    def _signed(self, one: Claimed) -> dict[str, str]:
        place = endpoints.bound_to(one.tenant_id, one.endpoint_id)
        secrets = [self._run.keyring.open(one.secret, bound_to=place).decode()]
        if one.secret_before is not None:
            with suppress(CannotOpen):  # A rotation is the way out of a lost secret: the new one signs alone.
                secrets.append(self._run.keyring.open(one.secret_before, bound_to=place).decode())
        return headers_of(one.event_id, one.body, secrets=secrets, now=one.now)


def headers_of(event_id: str, body: str, *, secrets: list[str], now: datetime) -> dict[str, str]:
    """The headers of a Standard Webhooks message, signed by each of *secrets*: more than one while one is rotated."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "c2a-events",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(event_id, now, body) for secret in secrets),
    }


def _record(run: Runtime, one: Claimed, told: Answer | NotSent | Unanswered) -> None:
    reach(Failpoint.TELLING_AFTER_CALL)
    failed = _failed(run, one, told)
    reach(Failpoint.TELLING_AFTER_RECORD)
    if failed is not None:
        _tell_operator(one, failed)


def _failed(run: Runtime, one: Claimed, told: Answer | NotSent | Unanswered) -> Failed | None:
    """Note what came of it; what a try in vain led to."""
    if not isinstance(told, Answer):
        return deliveries.took_not(run.engine, one, told.why)
    if 200 <= told.status < 300:
        deliveries.took(run.engine, one, str(told.status))
        return None
    patience = min(told.retry_after or timedelta(), LONGEST_PATIENCE)
    return deliveries.took_not(run.engine, one, str(told.status), patience=patience, gone=told.status == GONE)


def _tell_operator(one: Claimed, failed: Failed) -> None:
    named = {"tenant": str(one.tenant_id), "endpoint": one.endpoint_id, "event_id": one.event_id}
    named["answer"] = failed.answer
    if failed.endpoint_state == "paused":
        log.error("endpoint.paused", **named)
    elif failed.event_state == "parked":
        log.error("event.parked", **named)
    elif failed.failures == SUSPECT_AFTER:
        log.error("endpoint.failing", **named)
    else:
        log.info("event.not_taken", tries=one.tries, **named)


class Teller:
    """What the upkeep process does for the tenants' events."""

    def __init__(self, run: Runtime) -> None:
        self._run = run
        self._reader = Reader(run.engine)
        self._crews = (Crew(run, THREADS, suspect=False), Crew(run, SUSPECT_THREADS, suspect=True))

    def round(self, number: int) -> None:
        """One round of the loop."""
        self.read(back=number % BACK_EVERY == 0)
        self.send()
        if number % FORGET_EVERY == 0:
            self._forget()

    def _forget(self) -> None:
        """Let go of the log of what is past keeping."""
        kept = self._run.settings
        with statements(self._run.engine) as conn:
            deliveries.forget_old(conn, days=kept.deliveries_kept_days, delivered_days=kept.delivered_kept_days)

    def read(self, *, back: bool = False) -> None:
        """Make deliveries of what happened; *back*: of a slice before the place, too."""
        reach(Failpoint.TELLING_BEFORE_READING)
        for _ in range(READINGS):
            if not self._reader.read(back=back).has_more:
                break
        reach(Failpoint.TELLING_AFTER_READING)

    def send(self) -> None:
        """Send what is due, as long as there is more of it, for ROUND_S at most."""
        well, suspects = self._crews
        suspects.send()
        ends_at = time.monotonic() + ROUND_S
        while well.send() and time.monotonic() < ends_at:
            well.rest()

    def close(self) -> None:
        """End; call it after the last round."""
        for crew in self._crews:
            crew.close()
