"""Upkeep's look at what stands where: every 15 s, a handful of bounded questions, for gauges alone.

What is away is told as away and hides nothing else. Nothing is decided by what is found here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from time import time
from typing import Final

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from shared.depth import BrokerAway, Depths
from shared.key_service import CannotOpen, KeysAway
from shared.messages import queues
from shared.psp.traffic.lane import PspLane
from shared.psp.traffic.records import Records
from shared.psp.traffic.terms import terms_of
from shared.store import gauges
from shared.store.engine import statements
from workers.runtime import Runtime
from workers.snapshot import Snapshot

log = structlog.get_logger(__name__)

PERIOD_S: Final = 15.0
"""As often as Prometheus asks (deploy/observability/prometheus.yml): more would be seen by nobody."""
AWAY: Final = (SQLAlchemyError, BrokerAway, RedisError, KeysAway, CannotOpen)

Values = dict[tuple[str, ...], float]
Found = dict[str, Values]


class Look:
    """Looks again and again, for one thread."""

    def __init__(self, run: Runtime, told: Snapshot) -> None:
        self._run, self._told = run, told
        self._depths = Depths(run.settings.broker_url.get_secret_value())  # The rescuer's are its thread's.
        self._records = Records(run.vault.redis, terms_of(run.settings))
        self._since: datetime | None = None
        self._accounts: list[tuple[str, str, str]] = []

    def look(self) -> None:
        """Look once and tell what was found."""
        found: Found = {"c2a_part_up": {}}
        moved: dict[tuple[str, str], int] = {}
        parts: dict[str, Callable[[], Found]] = {
            "postgres": lambda: self._database(moved),
            "broker": self._broker,
            "vault": self._vault,
            "keys": self._keys,
        }
        for part, ask in parts.items():
            try:
                found |= ask()
            except AWAY as error:
                log.warning("gauges.away", part=part, error=type(error).__name__)
                found["c2a_part_up"][part,] = 0
            else:
                found["c2a_part_up"][part,] = 1
        found["c2a_looked_timestamp_seconds"] = {(): time()}
        self._told.looked(found, moved)

    def _database(self, moved: dict[tuple[str, str], int]) -> Found:
        with statements(self._run.engine) as conn:
            orders, money = gauges.waiting(conn), gauges.open_money(conn)
            events, oldest_s = gauges.parked_news(conn)
            moves = gauges.moves(conn, self._since)
            self._accounts = gauges.enabled_accounts(conn)
        self._since = moves.upto
        moved |= moves.counted
        kinds: Values = {(kind,): 0.0 for kind in gauges.KINDS}  # One that empties falls to 0 and does not vanish.
        return {
            "c2a_orders": {**kinds, **{(one.kind,): one.orders for one in orders}},
            "c2a_orders_oldest_seconds": {**kinds, **{(one.kind,): one.oldest_s for one in orders}},
            "c2a_orders_parked": {(): sum(one.parked for one in orders)},
            "c2a_open_money_attempts": {(one.outcome, one.currency): one.attempts for one in money},
            "c2a_open_money_minor": {(one.outcome, one.currency): one.minor for one in money},
            "c2a_open_money_oldest_seconds": {(one.outcome, one.currency): one.oldest_s for one in money},
            "c2a_psp_news_parked": {(): events},
            "c2a_psp_news_oldest_seconds": {(): oldest_s},
        }

    def _broker(self) -> Found:
        return {"c2a_queue_depth": {(queue,): self._depths.of(queue) for queue in queues()}}

    def _vault(self) -> Found:
        redis = self._run.vault.redis
        size: Values = {(): redis.dbsize()}
        memory: Values = {(): float(redis.info("memory")["used_memory"])}
        return {"c2a_vault_keys": size, "c2a_vault_memory_bytes": memory, **self._breakers()}

    def _breakers(self) -> Found:
        accounts = self._accounts
        away = self._records.are_away([PspLane(tenant, provider) for tenant, provider, _ in accounts])
        have = Counter(adapter for _, _, adapter in accounts)
        opened = Counter(adapter for (_, _, adapter), is_away in zip(accounts, away, strict=True) if is_away)
        return {
            "c2a_psp_accounts": {(adapter,): count for adapter, count in have.items()},
            "c2a_psp_breakers_open": {(adapter,): opened[adapter] for adapter in have},
        }

    def _keys(self) -> Found:
        """Seal something and open it again, as a card would be."""
        ring = self._run.keyring
        ring.open(ring.seal(b"", bound_to="gauges"), bound_to="gauges")
        return {}
