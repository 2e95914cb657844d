"""How often a key may call: token buckets in Redis, one round trip a call (contract section 1).

A bucket is one number, the moment at which it would be full again (GCRA, the generic cell rate algorithm): equal
to a token bucket of *burst* tokens that gains *per_minute* tokens a minute, by the clock of Redis, so that every
process of the API counts in the same bucket. A poll's count rides in the same script.

Redis away: calls pass. A limit protects us from a client, and to refuse all clients for its sake would do the
harm itself. The alarm is logged, and Redis is left alone for a moment so that not every request waits for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast
from uuid import UUID

import structlog
from flask import Flask, Response, g, request
from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from api import auth
from shared.domain.refusals import RateLimited
from shared.store.keys import Caller

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 0.2
"""How long a call waits for its bucket: a hundred times what a healthy Redis takes."""
PAUSE_S: Final = 1.0
"""How long Redis is left alone after a failure: one slow request a second and process, not each."""
COUNT_LIFE_S: Final = 1_200
"""A count of polls outlives the longest challenge (15 min) since the last poll; then it begins again."""
LIVE: Final = (1_000, 50)
DEV: Final = (100, 10)
STATUS_TIMES: Final = 30
"""Contract section 1: what a key may change (a minute, at once), and how much more often it may poll."""
_MINUTE_US: Final = 60_000_000

_SCRIPT: Final = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local room = burst * interval - (full_at - now)
if room < interval then return {0, 0, interval - room, full_at - now, 0} end
full_at = full_at + interval
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
local count = 0
if KEYS[2] then
  count = redis.call('INCR', KEYS[2])
  redis.call('EXPIRE', KEYS[2], ARGV[3])
end
return {1, math.floor(room / interval) - 1, 0, full_at - now, count}
"""


class Kind(StrEnum):
    """What a call takes a token for."""

    CHANGES = "changes"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Quota:
    """The size of one bucket."""

    kind: Kind
    per_minute: int
    burst: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a bucket said. *count* is what also_count stands at, None when Redis is away or the call was refused."""

    quota: Quota
    allowed: bool
    remaining: int
    retry_after_s: int
    reset_s: int
    count: int | None

    def headers(self) -> dict[str, str]:
        """RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10, structured fields).

        r: calls that would pass right now; t: seconds until the bucket is full; q and w: the sustained rate.
        """
        return {
            "RateLimit-Policy": f'"{self.quota.kind}";q={self.quota.per_minute};w=60',
            "RateLimit": f'"{self.quota.kind}";r={self.remaining};t={self.reset_s}',
        }


def quota_of(caller: Caller, kind: Kind) -> Quota:
    """How much *caller* may do: the tenant's own setting, else the contract's default for the kind of key."""
    per_minute, burst = LIVE if caller.live else DEV
    own = caller.settings
    if kind is Kind.CHANGES:
        return Quota(kind, own.changes_per_minute or per_minute, own.changes_burst or burst)
    return Quota(
        kind,
        own.status_per_minute or (own.changes_per_minute or per_minute) * STATUS_TIMES,
        own.status_burst or (own.changes_burst or burst) * STATUS_TIMES,
    )


class Limits:
    """The buckets of all keys."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._script = _impatient(redis).register_script(_SCRIPT)
        self._clock = clock
        self._paused_until = 0.0

    def take(self, caller: Caller, kind: Kind, also_count: str | None = None) -> Verdict:
        """Take one token of *caller*; with *also_count*, count under that name if the token was there."""
        quota = quota_of(caller, kind)
        if self._clock() < self._paused_until:
            return _unlimited(quota)
        names = [f"limit:{caller.key_id}:{kind}", *([also_count] if also_count else [])]
        try:
            said = cast(
                "list[int]",
                self._script(names, [max(1, _MINUTE_US // quota.per_minute), quota.burst, COUNT_LIFE_S]),
            )
        except RedisError as error:
            self._paused_until = self._clock() + PAUSE_S
            log.error("limits.open", error=type(error).__name__)  # noqa: TRY400  # The alarm; a traceback adds nothing.
            return _unlimited(quota)
        allowed, remaining, wait_us, reset_us, count = said
        return Verdict(quota, bool(allowed), remaining, _seconds(wait_us), _seconds(reset_us), count or None)


def register(app: Flask, limits: Limits) -> None:
    """Take a token for every authenticated request of *app*; polls() then tells how often an order was polled."""

    @app.before_request
    def take() -> None:
        if auth.is_public():
            return
        kind = Kind.STATUS if auth.is_status_read() else Kind.CHANGES
        g.verdict = limits.take(auth.caller(), kind, _poll_counter() if kind is Kind.STATUS else None)
        if not g.verdict.allowed:
            raise RateLimited("too many calls with this key", retry_after_s=max(1, g.verdict.retry_after_s))

    @app.after_request
    def tell(response: Response) -> Response:
        if "verdict" in g:
            response.headers.update(g.verdict.headers())
        return response


def polls() -> int | None:
    """How often the order of this status request has been polled, this time included; None: nobody could count."""
    verdict: Verdict = g.verdict
    return verdict.count


def forget_polls(redis: Redis, tenant_id: UUID, tracking_number: str) -> None:
    """Begin an order's count again: after a redirect the shopper's wait is a new one (contract section 3)."""
    try:
        redis.unlink(_counter(tenant_id, tracking_number))
    except RedisError as error:
        log.warning("polls.not_forgotten", error=type(error).__name__)


def _poll_counter() -> str | None:
    """Where this order's polls are counted; None where the path does not name an order we could have minted."""
    number: Any = (request.view_args or {}).get("tracking_number", "")
    return _counter(auth.caller().tenant_id, number) if len(number) == len("trk_") + 26 else None


def _counter(tenant_id: UUID, tracking_number: str) -> str:
    return f"polls:{tenant_id}:{tracking_number}"


def _impatient(redis: Redis) -> Redis:
    """A client of the same Redis that waits far shorter: a card is worth a second, a limit is not."""
    asked = {"socket_timeout": PATIENCE_S, "socket_connect_timeout": PATIENCE_S, "retry": Retry(NoBackoff(), 0)}
    pool = redis.connection_pool
    return Redis(connection_pool=ConnectionPool(pool.connection_class, **{**pool.connection_kwargs, **asked}))


def _unlimited(quota: Quota) -> Verdict:
    return Verdict(quota, allowed=True, remaining=quota.burst, retry_after_s=0, reset_s=0, count=None)


def _seconds(microseconds: int) -> int:
    return math.ceil(microseconds / 1_000_000)
