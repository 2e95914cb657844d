"""Token buckets in Redis, as many as a call needs, in one round trip.

A bucket is one number, the moment at which it would be full again (GCRA, the generic cell rate algorithm): equal
to a token bucket of *burst* tokens that gains *per_minute* tokens a minute, by the clock of Redis, so that every
process of the API counts in the same bucket. A token is taken from all buckets of a call or from none. A count of
what was let in rides in the same script, and so does the question whether the key was revoked a moment ago
(shared/revocations.py).

Redis away: calls pass. A limit protects us from a client, and to refuse all clients for its sake would do the
harm itself. The alarm is logged, and Redis is left alone for a moment so that not every request waits for it; each
key is then looked up anew, as nobody can say whether it was revoked.

A storm over its limit costs Redis next to nothing: no token comes before the moment Redis named, so until then, for a
second at most, a process refuses by itself.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, cast

import structlog
from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from shared.redis_wire import Wire, raised
from shared.together import Together
from shared.vault import closing

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 0.2
"""How long a call waits for its bucket: a hundred times what a healthy Redis takes."""
PAUSE_S: Final = 1.0
"""How long Redis is left alone after a failure: one slow request a second and process, not each."""
REMEMBERED_S: Final = 1.0
"""How long a refusal may stand without asking again: so much later a raised limit, or that the key was revoked, is told
to a caller who was refused anyway."""
MOST_REMEMBERED: Final = 4_096
"""Refusals a process remembers, some 1 MiB; past it all are forgotten and asked for again."""
COUNT_LIFE_S: Final = 1_200
"""A count of polls outlives the longest challenge (15 min) since the last poll; then it begins again."""
MOST_AT_ONCE: Final = 64
"""Calls a script judges at once: a tenth of a millisecond of the only thread of Redis."""
_MINUTE_US: Final = 60_000_000
_Said = tuple[int, int, list[tuple[int, int, int]], tuple[int, int, int]]

_SCRIPT: Final = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local buckets, calls, full_at, told, taken = tonumber(ARGV[1]), tonumber(ARGV[2]), {}, {}, 0
local sizes, counters = 5, buckets
local apart = sizes + 2 * buckets
if ARGV[4] == '1' then
  counters = counters + 1
  if redis.call('EXISTS', KEYS[counters]) == 1 then return {} end
end
for n = 1, buckets do full_at[n] = math.max(tonumber(redis.call('GET', KEYS[n]) or now), now) end
for call = 1, calls do
  local allowed, count, said, own = 1, 0, {}, {0, 0, 0}
  for n = 1, buckets do
    local interval, burst = tonumber(ARGV[sizes + 2 * n - 1]), tonumber(ARGV[sizes + 2 * n])
    local room = burst * interval - (full_at[n] - now)
    if room < interval then allowed = 0 end
    said[n] = {math.floor(room / interval), math.max(0, interval - room), full_at[n] - now}
  end
  local kept_at, interval, used = KEYS[counters + calls + call], 0, 0
  if kept_at and allowed == 1 then
    local then_used, at, kept = string.match(redis.call('GET', kept_at) or '', '(%S+) (%S+) (%S+)')
    interval = tonumber(ARGV[apart + call])
    if interval == 0 then interval = tonumber(kept) or tonumber(ARGV[5]) end
    used = math.max(0, tonumber(then_used or 0) - (now - tonumber(at or now)) / interval)
    local most = tonumber(ARGV[apart + calls + 1])
    if used + 1 > most then
      allowed = 0
      own = {math.ceil((used + 1 - most) * interval), math.ceil(used * interval), interval}
    end
  end
  if allowed == 1 then
    taken = taken + 1
    if kept_at then
      local life = math.ceil((used + 1) * interval / 1000)
      redis.call('SET', kept_at, string.format('%.3f %.0f %.0f', used + 1, now, interval), 'PX', life)
    end
    for n = 1, buckets do
      full_at[n] = full_at[n] + tonumber(ARGV[sizes + 2 * n - 1])
      said[n] = {said[n][1] - 1, 0, full_at[n] - now}
    end
    if KEYS[counters + call] then
      count = redis.call('INCR', KEYS[counters + call])
      redis.call('EXPIRE', KEYS[counters + call], ARGV[3])
    end
  end
  told[call] = {allowed, count, said, own}
end
if taken > 0 then
  for n = 1, buckets do
    local empty_for = full_at[n] - now
    redis.call('SET', KEYS[n], string.format('%.0f', full_at[n]), 'PX', math.ceil(empty_for / 1000))
  end
end
return told
"""
"""Takes a token of each bucket for each of some calls, one call after the other, as if each had come alone. Says of
each call whether it was there, what its count stands at, and of each bucket the tokens left, the wait and the time
until it is full; nothing at all where the key was revoked. A call that is counted has a bucket of its own besides,
whose tokens come as its caller was last advised: kept as the tokens used, when that was, and how far apart they come.
Where it was empty, the wait, the time until it is full and how far apart they come are said of it."""

_DIGEST: Final = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""The script's name in Redis (EVALSHA)."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The size of one bucket; *kind* is its name in the headers."""

    kind: str
    per_minute: int
    burst: int


@dataclass(frozen=True, slots=True)
class Counted:
    """A call that is counted under a *name*, and may come every *apart_us* microseconds, 0: as often as it might when
    that was last told. *own* is the name of the bucket that says so."""

    name: str
    own: str
    apart_us: int = 0


@dataclass(frozen=True, slots=True)
class Own:
    """The buckets of calls that are counted: tokens at most, how far apart they come where nobody was told yet, and for
    how many of them a caller is told to wait who found none."""

    kind: str
    burst: int
    apart_us: int
    back: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket by the name it has in Redis."""

    name: str
    quota: Quota


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the buckets of one call said: *quota* is the one that binds, the emptiest, or who makes the caller wait.

    *remaining* is None when Redis is away. *count* is what also_count stands at, None when Redis is away or the call
    was refused.
    """

    quota: Quota
    allowed: bool
    remaining: int | None
    retry_after_s: int
    reset_s: int
    count: int | None
    revoked: bool | None = False
    """Whether the key was revoked; None: Redis is away and nobody can say."""

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to do but to go on: the token was there, and the key good."""
        return self.allowed and self.revoked is False

    def headers(self) -> dict[str, str]:
        """RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10, structured fields).

        r: calls that would pass right now; t: seconds until the bucket is full; q and w: the sustained rate. Of a
        bucket that nobody could look into, only the policy is told.
        """
        policy = {"RateLimit-Policy": f'"{self.quota.kind}";q={self.quota.per_minute};w=60'}
        if self.remaining is None:
            return policy
        return policy | {"RateLimit": f'"{self.quota.kind}";r={self.remaining};t={self.reset_s}'}


@dataclass(frozen=True, eq=False)
class Same:
    """What calls have in common that take their tokens together; each is equal to itself alone."""

    buckets: tuple[Bucket, ...]
    revoked_at: str | None
    own: Own | None = None
    """Of calls that are counted."""

    @cached_property
    def names(self) -> list[str]:
        """Where the buckets and the mark of a revoked key stand."""
        return [*(bucket.name for bucket in self.buckets), *([self.revoked_at] if self.revoked_at else [])]

    @cached_property
    def sizes(self) -> list[int]:
        """The sizes of the buckets as the script wants them."""
        return [size for bucket in self.buckets for size in _sizes(bucket.quota)]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What a bucket said when it was empty, and at what times by our clock that ends."""

    verdict: Verdict
    token_at: float
    full_at: float
    ask_at: float

    def now(self, now: float) -> Verdict:
        """The same for who calls *now*."""
        waits_s, full_in_s = math.ceil(self.token_at - now), math.ceil(self.full_at - now)
        return replace(self.verdict, retry_after_s=waits_s, reset_s=full_in_s)


class Buckets:
    """All buckets of one Redis."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = impatient(redis)
        self._wire = Wire(self._redis.connection_pool)
        self._clock = clock
        self._paused_until = 0.0
        self._counter = Together(self._take, at_most=MOST_AT_ONCE)
        self._refused: dict[str, _Refusal] = {}

    def take(self, buckets: Sequence[Bucket]) -> Verdict:
        """Take one token of each of *buckets*, or none."""
        return self.take_as(Same(tuple(buckets), None))

    def take_as(self, same: Same, counted: Counted | None = None) -> Verdict:
        """Take one token of each bucket of *same*, or none; with *counted*, of its own as well, and count it if all had
        one. Where the caller's key is marked as revoked no token is taken. Calls of one *same* that come at the same
        moment share the round trip."""
        now = self._clock()
        if counted and (refused := self._refused.get(counted.own)) and now < refused.ask_at:
            return refused.now(now)
        for bucket in same.buckets:
            if (refused := self._refused.get(bucket.name)) and now < refused.ask_at:
                return refused.now(now)
        if now < self._paused_until:
            return _unlimited(same.buckets)
        return self._counter.ask(same, counted)

    def forget(self, count: str) -> None:
        """Let the count under that name begin again with the next call. Raises RedisError."""
        raised(self._wire.ask(("UNLINK", count))[0])

    def _take(self, same: Same, calls: Sequence[Counted | None]) -> list[Verdict]:
        counted, own = [one for one in calls if one], same.own or _NO_OWN
        names = [*same.names, *(one.name for one in counted), *(one.own for one in counted)]
        marked = int(same.revoked_at is not None)
        sizes = [*same.sizes, *(one.apart_us if one else 0 for one in calls), own.burst]
        try:
            said = self._run(
                len(names), *names, len(same.buckets), len(calls), COUNT_LIFE_S, marked, own.apart_us, *sizes
            )
        except RedisError as error:
            self._paused_until = self._clock() + PAUSE_S
            log.error("limits.open", error=type(error).__name__)  # noqa: TRY400  # The alarm; a traceback adds nothing.
            return [_unlimited(same.buckets)] * len(calls)
        if not said:
            return [_revoked(same.buckets)] * len(calls)
        return [self._told(same, call, one) for call, one in zip(calls, said, strict=True)]

    def _told(self, same: Same, call: Counted | None, said: _Said) -> Verdict:
        allowed, count, told, (wait_us, full_us, apart_us) = said
        if wait_us and call and same.own:
            return self._too_soon(same.own, call, wait_us, full_us, apart_us)
        return self._judged(same.buckets, allowed, count, told)

    def _too_soon(self, own: Own, call: Counted, wait_us: int, full_us: int, apart_us: int) -> Verdict:
        """The verdict of a call's own bucket."""
        back_us = max(wait_us, apart_us * own.back)
        quota = Quota(own.kind, max(1, _MINUTE_US // apart_us), own.burst)
        verdict = Verdict(quota, False, 0, _seconds(back_us), _seconds(full_us), None)  # noqa: FBT003
        self._remember(call.own, verdict, wait_us / 1_000_000, full_us / 1_000_000, back_us / 1_000_000)
        return verdict

    def _run(self, *arguments: str | int) -> list[_Said]:
        """What the script says; a Redis that does not know it is told once."""
        [said] = self._wire.ask(("EVALSHA", _DIGEST, *arguments))
        if isinstance(said, NoScriptError):
            [said] = self._wire.ask(("EVAL", _SCRIPT, *arguments))
        return cast("list[_Said]", raised(said))

    def _judged(self, buckets: Sequence[Bucket], allowed: int, count: int, told: list[tuple[int, int, int]]) -> Verdict:
        """The verdict of the bucket that binds: the longest wait, else the fewest tokens left."""
        bucket, (remaining, wait_us, reset_us) = min(
            zip(buckets, told, strict=True), key=lambda pair: (-pair[1][1], pair[1][0])
        )
        verdict = Verdict(bucket.quota, bool(allowed), remaining, _seconds(wait_us), _seconds(reset_us), count or None)
        if not allowed:
            self._remember(bucket.name, verdict, wait_us / 1_000_000, reset_us / 1_000_000)
        return verdict

    def _remember(
        self, name: str, verdict: Verdict, wait_s: float, reset_s: float, back_s: float | None = None
    ) -> None:
        if len(self._refused) >= MOST_REMEMBERED:
            self._refused.clear()
        now = self._clock()
        self._refused[name] = _Refusal(
            verdict, now + (back_s or wait_s), now + reset_s, now + min(wait_s, REMEMBERED_S)
        )


_NO_OWN: Final = Own("", 0, 0, 0)


def _revoked(buckets: Sequence[Bucket]) -> Verdict:
    return replace(_unlimited(buckets), allowed=False, revoked=True)


def _sizes(quota: Quota) -> tuple[int, int]:
    """A quota as the script wants it: microseconds a token, tokens."""
    return max(1, _MINUTE_US // quota.per_minute), quota.burst


def _unlimited(buckets: Sequence[Bucket]) -> Verdict:
    return Verdict(buckets[0].quota, allowed=True, remaining=None, retry_after_s=0, reset_s=0, count=None, revoked=None)


def impatient(redis: Redis) -> Redis:
    """A client of the same Redis that waits far shorter: a card is worth a second, a limit is not."""
    asked = {"socket_timeout": PATIENCE_S, "socket_connect_timeout": PATIENCE_S, "retry": Retry(NoBackoff(), 0)}
    pool = redis.connection_pool
    most = pool.max_connections  # As many as the other: past its own limit a client refuses, and limits would be open.
    own = ConnectionPool(pool.connection_class, most, **{**pool.connection_kwargs, **asked})
    return closing(Redis(connection_pool=own))


def _seconds(microseconds: int) -> int:
    return math.ceil(microseconds / 1_000_000)
