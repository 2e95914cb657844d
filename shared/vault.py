"""Where a card waits for its payment: sealed, in a Redis that persists nothing, for minutes at most.

The card is bound to its tenant and order by the seal, so a value moved to another order does not open. CVC and
PAN never meet a disk: the vault's Redis runs with `save ""` and `appendonly no` (PCI DSS 3.3.1: no CVC after
authorization; it leaves when no further attempt can need it, and the time to live takes what was forgotten).
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Final, cast
from uuid import UUID

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from shared.domain.cards import Card
from shared.domain.refusals import Unavailable
from shared.keyring import Keyring
from shared.redis_wire import Command, Wire
from shared.together import Together

log = structlog.get_logger(__name__)

SOCKET_TIMEOUT_S: Final = 1.0
"""The vault is one hop away and answers in under a millisecond; after a second it is away (503 within 2 s)."""

CONNECTIONS: Final = 1_100
"""One for each connection a front door's process serves (1,000, api/server.py) or a worker's threads, and some: past
its limit the client refuses, and a card would be turned away for no reason. It opens what is used."""

SCANNED: Final = 500
"""Keys a round trip of a scan: about a tenth of a millisecond of the vault's only thread."""


MOST_AT_ONCE: Final = 64
"""Cards a round trip: 25 KB of a pipeline that Redis serves in less than a millisecond."""


class VaultAway(Unavailable):
    """The vault does not answer; a fresh card can be neither taken nor used now."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A sealed card, where it goes, and the sets whose sizes are asked beside it."""

    place: str
    sealed: bytes = field(repr=False)
    sizes_of: Sequence[str]


def closing(client: Redis) -> Redis:
    """*client*, whose connections are closed once nobody has it any more.

    Left to the garbage collector, which meets a client, its pool and their sockets in any order, some sockets would be
    found still open.
    """
    weakref.finalize(client, client.connection_pool.disconnect)
    return client


def connect(url: str) -> Redis:
    """The client of one process; connects on first use."""
    client = Redis.from_url(
        url,
        max_connections=CONNECTIONS,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        # Once more for a connection that died while idle, never for a server that is silent: 503 within 2 s.
        retry=Retry(NoBackoff(), retries=1, supported_errors=(RedisConnectionError,)),
        health_check_interval=15,
    )
    return closing(client)


@dataclass(frozen=True)
class Vault:
    """Sealed cards by order."""

    redis: Redis
    keyring: Keyring
    ttl_s: int

    @cached_property
    def _wire(self) -> Wire:
        return Wire(self.redis.connection_pool)

    @cached_property
    def _counter(self) -> Together[None, _Kept, list[int]]:
        """Where cards that come at the same moment are kept in one round trip."""
        return Together(lambda _, cards: self._keep(cards), at_most=MOST_AT_ONCE)

    def put(self, tenant_id: UUID, tracking_number: str, card: Card, *, sizes_of: Sequence[str] = ()) -> list[int]:
        """Keep *card* for its order, and say how large the sets *sizes_of* are, in one round trip.

        Raises VaultAway, or KeysAway: it is never kept unsealed.
        """
        fields = (card.holder_name, card.number, card.expire_year, card.expire_month, card.cvc, card.alias)
        place = _place(tenant_id, tracking_number)
        sealed = self.keyring.seal(json.dumps(fields).encode(), bound_to=place)
        return self._counter.ask(None, _Kept(place, sealed, sizes_of))

    def _keep(self, cards: Sequence[_Kept]) -> list[list[int]]:
        """Keep them all, or raise VaultAway: one that is full or away takes none."""
        asked: list[Command] = []
        for card in cards:
            asked.append(("SET", card.place, card.sealed, "EX", self.ttl_s))
            asked += [("SCARD", name) for name in card.sizes_of]
        try:
            told = iter(self._wire.ask(*asked))
        except RedisError as error:
            raise VaultAway("cards cannot be taken right now; try again") from error
        return [_sizes(next(told), list(islice(told, len(card.sizes_of)))) for card in cards]

    def look(self, tenant_id: UUID, tracking_number: str, *, sizes_of: Sequence[str]) -> tuple[Card | None, list[int]]:
        """The card of an order, None if it is gone, and how large the sets *sizes_of* are, in one round trip.

        Raises VaultAway or KeysAway, or CannotOpen if the card was tampered with or its key was retired.
        """
        place = _place(tenant_id, tracking_number)
        try:
            with self.redis.pipeline(transaction=False) as trip:
                trip.get(place)
                for name in sizes_of:
                    trip.scard(name)
                sealed, *sizes = trip.execute()
        except RedisError as error:
            raise VaultAway("cards cannot be read right now") from error
        return self._opened(place, sealed), sizes

    def forget(self, tenant_id: UUID, tracking_number: str) -> None:
        """Let go of an order's card; where the vault is away its time to live does it."""
        try:
            self.redis.unlink(_place(tenant_id, tracking_number))
        except RedisError as error:
            log.warning("vault.not_forgotten", tracking_number=tracking_number, error=type(error).__name__)

    def _opened(self, place: str, sealed: bytes | None) -> Card | None:
        return None if sealed is None else Card(*json.loads(self.keyring.open(sealed, bound_to=place)))

    def waiting(self) -> Iterator[tuple[UUID, str]]:
        """The tenant and tracking number of every card that waits here; raises VaultAway."""
        try:
            for place in self.redis.scan_iter(match="card:*", count=SCANNED):
                _, tenant_id, tracking_number = cast("bytes", place).decode().split(":")
                yield UUID(tenant_id), tracking_number
        except RedisError as error:
            raise VaultAway("cards cannot be counted right now") from error


def _sizes(kept: object, sizes: Sequence[object]) -> list[int]:
    if isinstance(kept, RedisError):
        raise VaultAway("cards cannot be taken right now; try again") from kept
    return [size if isinstance(size, int) else 0 for size in sizes]


def _place(tenant_id: UUID, tracking_number: str) -> str:
    return f"card:{tenant_id}:{tracking_number}"
