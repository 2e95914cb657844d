"""Card testing: how often cards were declined for one customer, and at one address (OWASP OAT-001, carding).

Whoever tries stolen cards meets many declines; a shopper meets a few. So each card that an issuer declined is
remembered for its customer and its address, in the vault's Redis, until the window that its first one opened is over;
past the limit no further card is taken, whatever card it is. A decline is a member of a set under the name of its
order, so it counts once, whoever tells of it: worker, webhook and look-up may all do. So it does however many PSPs were
asked: their shopper tried one card, and one that another PSP took was a good one. Who tests cards gains nothing by it,
as each reaches three PSPs at most (shared/routing.py). It is counted after the commit that settled it: a process that
dies between the two forgets one decline, and no order waits for a count.

It is judged twice: where a card is taken (429 RATE_LIMITED), and before it is sent to its PSP, so that a thousand
orders accepted in one second reach the PSP no more often than a thousand in an hour. What of them was not sent ends
as any other generic decline does. Redis away: cards pass, as in api/buckets.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final
from uuid import UUID

import structlog
from redis import Redis
from redis.exceptions import RedisError

from shared.config import Settings
from shared.domain.outcomes import DeclineReason
from shared.domain.states import OrderState
from shared.public_words import word_of
from shared.store.orders import Order

log = structlog.get_logger(__name__)

NOT_THE_CARDS_FAULT: Final = frozenset(
    {DeclineReason.ISSUER_UNAVAILABLE, DeclineReason.METHOD_GONE, DeclineReason.NO_PROVIDER}
)
"""Declines that say nothing of the card that was tried."""
_HOST_BITS: Final = 64
"""One customer's line has a whole /64 of IPv6 addresses to call from (RFC 6177)."""

_COUNT: Final = """
for n = 1, #KEYS do
  if redis.call('SADD', KEYS[n], ARGV[1]) == 1 and redis.call('SCARD', KEYS[n]) == 1 then
    redis.call('EXPIRE', KEYS[n], ARGV[2])
  end
end
"""


@dataclass(frozen=True, slots=True)
class Shopper:
    """Whose declines are counted together; *ip_address* as the storefront told it, if it did."""

    tenant_id: UUID
    customer_urn: str
    ip_address: str | None = None

    @classmethod
    def of(cls, order: Order) -> Shopper:
        """Who ordered *order*."""
        return cls(order.tenant_id, order.customer_urn, order.request["order"]["customer"].get("ipAddress"))

    @property
    def sets(self) -> list[str]:
        """Where the declines of the customer, and of the address if it is known, are kept."""
        return [
            self._named("customer", self.customer_urn),
            *([self._named("address", line_of(self.ip_address))] if self.ip_address else []),
        ]

    def _named(self, kind: str, text: str) -> str:
        # A digest bounds the name, whatever the caller wrote.
        return f"declines:{self.tenant_id}:{kind}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Limit:
    """How many declines, of a customer and at an address, within how many seconds of the first."""

    per_customer: int
    per_address: int
    window_s: int


def limit_of(settings: Settings) -> Limit:
    """What this installation allows; the numbers' reasons are in shared/config.py."""
    return Limit(settings.declines_per_customer, settings.declines_per_address, settings.declines_window_s)


@dataclass(frozen=True, slots=True)
class Velocity:
    """The declines of everybody."""

    redis: Redis
    limit: Limit

    def is_over(self, counts: Sequence[int]) -> bool:
        """Whether *counts*, the sizes of a shopper's sets, are too many declines for another card."""
        most = (self.limit.per_customer, self.limit.per_address)
        return any(count >= limit for count, limit in zip(counts, most, strict=False))

    def blocks(self, shopper: Shopper) -> bool:
        """Whether *shopper* may try no further card now; one round trip."""
        try:
            with self.redis.pipeline(transaction=False) as trip:
                for name in shopper.sets:
                    trip.scard(name)
                return self.is_over(trip.execute())
        except RedisError as error:
            log.error("velocity.open", error=type(error).__name__)  # noqa: TRY400  # The alarm.
            return False

    def wait_s(self, shopper: Shopper) -> int:
        """How many seconds until all the declines of a blocked *shopper* are forgotten, at least one."""
        try:
            return max(1, *(self.redis.ttl(name) for name in shopper.sets))
        except RedisError:
            return self.limit.window_s

    def note(self, order: Order) -> None:
        """Count *order* if it ended because the card that came with it was declined; told twice it counts once."""
        if order.carries_card and order.state is OrderState.FAILED and order.failure in _COUNTED:
            self.count(Shopper.of(order), order.tracking_number)

    def count(self, shopper: Shopper, what: str) -> None:
        """Count a declined card of *shopper*; *what* names the try and never the card."""
        try:
            self.redis.eval(_COUNT, len(shopper.sets), *shopper.sets, what, str(self.limit.window_s))
        except RedisError as error:
            log.error("velocity.not_counted", error=type(error).__name__)  # noqa: TRY400  # The alarm.


_COUNTED: Final = frozenset(
    word_of("CARD_DECLINED", reason) for reason in DeclineReason if reason not in NOT_THE_CARDS_FAULT
)


def line_of(text: str) -> str:
    """The address *text* names, however it was spelled; of IPv6, the network of its line. Raises ValueError."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ip_network((address, _HOST_BITS), strict=False))
    return str(address)
