"""Tells every API process at once that a key was revoked, at no cost to the calls of good keys.

A process believes for a moment what it read of a key, so that a poll costs no look-up. A revoked key is therefore
also marked in the volatile Redis, where every call asks for its token anyway: the script that gives tokens reads the
mark in the same round trip (api/limits.py); for streams, which ask once, api/streams.py reads it. The row in
PostgreSQL is the truth and is written first. While nobody can read marks because that Redis is away, the processes
believe nothing and look every key up (api/auth.py); so the only way for a revoked key to be believed on is a Redis that
came back empty and unnoticed within key_cache_s seconds.
"""

from __future__ import annotations

from typing import Final

from redis import Redis

LIFE_S: Final = 86_400
"""A mark must outlive what any process believes (Settings.key_cache_s, at most an hour); a day is beyond doubt."""


def mark(redis: Redis, key_id: str) -> None:
    """Mark the key called *key_id* (shared/store/keys.py: key_id_of) as revoked; raises RedisError."""
    redis.set(place_of(key_id), 1, ex=LIFE_S)


def place_of(key_id: str) -> str:
    """Where the mark of a key stands."""
    return f"revoked:{key_id}"
