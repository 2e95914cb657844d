"""Lays out orders that wait for the engine room: rows, cards in the vault, a message for each.

As if they had been admitted in this moment, but faster than any front door could: so that what is timed afterwards is
the engine room alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any, Final
from uuid import UUID

import redis

from deploy.measure import bar, copies, database
from deploy.measure.bar import Bar
from deploy.measure.crowd import Crowd
from deploy.measure.database import Connection
from deploy.measure.goods import CARD
from deploy.measure.stand import Stand
from deploy.measure.traffic import Invalid
from deploy.stack import product, signals
from shared import keyring, vault
from shared.doorbell import BATCH, Doorbell
from shared.messages import QUEUE_OF, Step, queues
from shared.vault import Vault

PATIENCE_S: Final = 60.0
"""100,000 messages are published in a few seconds."""
FULL: Final = 20 * BATCH
"""Rings that may gather here before we wait for the broker: well below what the bell holds."""
READERS: Final = sum("offer-lock" in (which.queue, *which.also) for which in product.ONE_POOL)
VAULT_TTL_S: Final = 3_600
"""As long as a run that drains 100,000 may take; the product's default is shorter than their wait."""


def lay_out(stand: Stand, conn: Connection, count: int, provider: str) -> None:
    """Let *count* orders wait that are to be paid at *provider*, and no others; the workers must be held back.

    Raises Invalid or StopAsked.
    """
    forget(stand, conn)
    [template] = Crowd(stand.submit_url, stand.headers, stand.offer, provider).submit(1)
    with bar.shown(f"{count:,} orders to wait", 3 * count, stand.show.say) as shown:
        made = 0
        for made_now in copies.copy(conn, template, count - 1, run=token_hex(4)):
            shown.advance(made_now - made)
            made = made_now
            shown.show()
        query = "SELECT tenant_id, tracking_number FROM orders WHERE tracking_number <> %s ORDER BY admitted_at"
        waiting = conn.execute(query, [template]).fetchall()
        _keep_cards(stand, waiting, shown)
        _ring(stand, [number for _, number in waiting], shown)
    _check(stand, count)
    conn.execute("ANALYZE")


def forget(stand: Stand, conn: Connection) -> None:
    """No order waits any more; before workers start, so that they do not work off what was admitted to be timed."""
    database.empty_orders(conn)
    with redis.Redis.from_url(stand.wiring.broker_url) as broker:
        broker.delete(*queues())


def _keep_cards(stand: Stand, waiting: list[tuple[UUID, str]], shown: Bar) -> None:
    with vault.connect(stand.wiring.vault_url) as client:
        cards = Vault(client, keyring.load(stand.wiring.keyring), VAULT_TTL_S)
        for tenant_id, number in waiting:
            signals.check()
            cards.put(tenant_id, number, CARD)
            shown.advance(1)
            shown.show()


def _ring(stand: Stand, numbers: list[str], shown: Bar) -> None:
    bell = Doorbell(stand.wiring.broker_url)
    for number in numbers:
        _until(lambda: bell.waiting < FULL)
        bell.ring(Step.LOCK_OFFER, number)
        shown.advance(1)
        shown.show()
    bell.close(within_s=PATIENCE_S)


def _check(stand: Stand, count: int) -> None:
    """Every order has its message; one may be in the hands of each worker that was about to read."""
    with redis.Redis.from_url(stand.wiring.broker_url) as broker:
        _until(lambda: depth(broker, QUEUE_OF[Step.LOCK_OFFER]) >= count - READERS)


def depth(broker: redis.Redis, *queues: str) -> int:
    """Messages that wait in *queues* together."""
    waiting: list[Any] = [broker.llen(queue) for queue in queues]
    return sum(map(int, waiting))


def _until(holds: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + PATIENCE_S
    while not holds():
        signals.check()
        if time.monotonic() > ends_at:
            raise Invalid(f"the messages were not published within {PATIENCE_S:g} s")
        time.sleep(0.01)
