"""Bounds how often a key may be tried at the login: by one address, and by everybody together.

A key has 256 random bits, so nobody guesses one; but each try costs a statement, and a log full of them hides what else
happens. A few tries are free; then each makes whoever comes next from there wait, twice as long as the last did, up to
an end. Who waits is refused without a look at the key, and being refused makes no wait longer: so it is always over
soon, and a stranger can keep an operator out for seconds and not for good. A browser in which somebody logged in before
is counted by itself, so that to its operator what strangers do makes no difference (OWASP: device cookies).

A try is counted before its key is looked up, or a thousand at the same moment would all find nobody counted. What is
counted stands in the Redis of the sessions, for all processes, and goes with them; while that is away nobody logs in.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Final, Self, cast

from redis import Redis

from shared.velocity import line_of

FORGOTTEN_AFTER: Final = timedelta(minutes=15)
"""After the last try: as long as a session lives unused."""
KNOWN_FOR: Final = timedelta(days=30)
"""How long a browser is known after a login: an operator on duty logs in more often."""
TOKEN_BYTES: Final = 32

_TRY: Final = """
local longest = 0
for n = 1, #KEYS do longest = math.max(longest, redis.call('PTTL', KEYS[n] .. ':wait')) end
if longest > 0 then return longest end
for n = 1, #KEYS do
  local free, most_ms = tonumber(ARGV[2 * n]), tonumber(ARGV[2 * n + 1])
  local over = redis.call('INCR', KEYS[n]) - free
  redis.call('EXPIRE', KEYS[n], ARGV[1])
  if over >= 0 then
    local wait_ms = math.min(most_ms, 1000 * 2 ^ math.min(over, 20))
    redis.call('SET', KEYS[n] .. ':wait', 1, 'PX', string.format('%.0f', wait_ms))
  end
end
return 0
"""
"""Counts a try at each of KEYS, unless one of them waits; in milliseconds how much longer, 0: it was counted."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where tries are counted: *free* of them at once, then each followed by a wait of 1 s, 2, 4, ... and *most_s*."""

    name: str
    free: int
    most_s: int

    @classmethod
    def of_address(cls, address: str) -> Self:
        """An address, of IPv6 its line. Who mistyped a key five times takes a second to find the right one."""
        return cls(f"tries:address:{_digest(_line(address))}", 5, 30)

    @classmethod
    def of_browser(cls, token: str) -> Self:
        """A browser that is known; who stole its cookie has no more tries than an address."""
        return cls(f"tries:browser:{_digest(token)}", 5, 30)


EVERYBODY: Final = Place("tries:everybody", 50, 4)
"""All addresses together, of all operators of a large team some may mistype; some tries a minute are no load."""


@dataclass(frozen=True, slots=True)
class Tries:
    """The tries of one who comes to the login."""

    redis: Redis
    places: Sequence[Place]

    @classmethod
    def of(cls, redis: Redis, address: str, browser: str) -> Self:
        """Who comes from *address*, with the token *browser* if it has one. Raises RedisError."""
        if browser and redis.exists(_known(browser)):
            return cls(redis, (Place.of_browser(browser),))
        return cls(redis, (Place.of_address(address), EVERYBODY))

    def begin(self) -> int:
        """Count a try; how many seconds to wait before the next one instead, 0: go on. Raises RedisError."""
        sizes = [size for place in self.places for size in (place.free, place.most_s * 1_000)]
        names = [place.name for place in self.places]
        seconds = int(FORGOTTEN_AFTER.total_seconds())
        return ceil(cast("int", self.redis.eval(_TRY, len(names), *names, seconds, *sizes)) / 1_000)

    def succeeded(self) -> str:
        """Forget the tries from there, as the last one was good; the token by which the browser is known from now on.
        Raises RedisError."""
        for place in self.places:
            if place is EVERYBODY:
                self.redis.decr(place.name)  # Others' tries stay counted.
            else:
                self.redis.delete(place.name, f"{place.name}:wait")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self.redis.set(_known(token), 1, ex=KNOWN_FOR)
        return token


def _known(token: str) -> str:
    return f"known:{_digest(token)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _line(address: str) -> str:
    try:
        return line_of(address)
    except ValueError:  # A socket of this machine, or a proxy that told none.
        return "none"
