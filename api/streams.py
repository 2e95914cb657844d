"""Ends the streams of a key that was revoked, a second later at most.

A call learns that its key was revoked when it takes its token (shared/revocations.py). A stream took its token when it
began and takes no other, for a quarter of an hour. So as long as there are streams the marks of their keys are read
every LOOK_EVERY_S, those of all keys at once: it costs as much for one stream of a key as for ten thousand, and whoever
speaks to them (parking.py) never waits for Redis. While that Redis is away nobody can say, and the streams go on: to
end them all would bring them all back at once, each to be looked up in PostgreSQL. A poll that is held is not looked
after: it ends by itself within half a minute, and the next one is refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, Protocol

import structlog
from redis import Redis
from redis.exceptions import RedisError

from api.buckets import impatient
from shared.redis_wire import Wire, raised
from shared.revocations import place_of

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 1.0
"""How much later than a call a stream ends: as long as a bucket's refusal is believed (buckets.py)."""
MOST_AT_ONCE: Final = 500
"""Keys a round trip asks for: a tenth of a millisecond of the only thread of Redis."""


class Stream(Protocol):
    """A stream that may be ended."""

    @property
    def key_id(self) -> str:
        """By which key it was begun."""

    def revoke(self) -> None:
        """Its key was revoked; must not wait, and must not raise."""


class Streams:
    """All streams of one process, by their keys; made and used after a fork, never before."""

    def __init__(self, redis: Redis) -> None:
        self._redis = impatient(redis)  # Kept: its connections are closed once nobody has it.
        self._wire = Wire(self._redis.connection_pool)
        self._streams: dict[str, set[Stream]] = {}
        self._lock = threading.Lock()
        self._has_begun = False

    def enter(self, stream: Stream) -> None:
        """From here on *stream* ends with its key."""
        with self._lock:
            self._streams.setdefault(stream.key_id, set()).add(stream)
            begins, self._has_begun = not self._has_begun, True
        if begins:
            threading.Thread(target=self._keep_looking, name="streams", daemon=True).start()

    def leave(self, stream: Stream) -> None:
        """*stream* ended; as often as one likes."""
        with self._lock:
            theirs = self._streams.get(stream.key_id, set())
            theirs.discard(stream)
            if not theirs:
                self._streams.pop(stream.key_id, None)

    def look(self) -> None:
        """End the streams of revoked keys; raises nothing: where nobody can say they go on."""
        with self._lock:
            key_ids = list(self._streams)
        try:
            for some in _parts(key_ids):
                self._end(self._revoked(some))
        except RedisError as error:
            log.warning("streams.unseen", error=type(error).__name__)

    def _keep_looking(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            self.look()

    def _revoked(self, key_ids: list[str]) -> list[str]:
        [marks] = self._wire.ask(("MGET", *map(place_of, key_ids)))
        return [key_id for key_id, mark in zip(key_ids, raised(marks), strict=True) if mark is not None]

    def _end(self, key_ids: Iterable[str]) -> None:
        with self._lock:
            ended = [stream for key_id in key_ids for stream in self._streams.pop(key_id, ())]
        for stream in ended:
            stream.revoke()


def _parts(key_ids: Iterable[str]) -> Iterator[list[str]]:
    left = iter(key_ids)
    while some := list(islice(left, MOST_AT_ONCE)):
        yield some
