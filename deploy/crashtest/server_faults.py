"""Faults of the servers everything stands on: broker, vault, PostgreSQL and the connections to it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, LiteralString

from redis import Redis
from redis.exceptions import RedisError

from deploy.crashtest import probe
from deploy.crashtest.hand import BACK_WITHIN_S, LOOK_EVERY_S, Blow, Hand, NotBack

SILENT_S: Final = 6.0
"""Longer than any socket timeout of ours; the queue fills meanwhile."""
FULL_S: Final = 4.0
SESSIONS_S: Final = 2.0
SESSIONS_EVERY_S: Final = 0.2
"""Shorter than a pool needs to be whole again."""
COMMITS_S: Final = 3.0
REDIS_TIMEOUT_S: Final = 2.0

END_ALL: Final[LiteralString] = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
"""Every session of this database but the one that asks."""
_END_COMMITTING: Final[LiteralString] = END_ALL + (
    " AND state = 'active' AND (wait_event ILIKE 'wal%' OR query ILIKE 'commit%')"
)


async def broker_killed(hand: Hand) -> Blow:
    """kill -9; its append-only file may lack the last second."""
    return await _redis_killed(hand, "redis-broker", "brokerUrl")


async def vault_killed(hand: Hand) -> Blow:
    """kill -9: it keeps nothing, so every card that waited for its payment is lost."""
    return await _redis_killed(hand, "redis-vault", "vaultUrl")


async def broker_flushed(hand: Hand) -> Blow:
    """FLUSHALL: every queued message is gone, and the broker looks healthy."""
    queued = await asyncio.to_thread(_flush, hand.target.text("brokerUrl"))
    return Blow(f"broker: {queued} keys flushed", queued)


async def broker_full(hand: Hand) -> Blow:
    """Out of memory (maxmemory, noeviction): it answers, serves what it has and takes nothing more."""
    url = hand.target.text("brokerUrl")
    limit, before = await asyncio.to_thread(_fill, url)
    try:
        await asyncio.sleep(FULL_S)
    finally:
        refused = await asyncio.to_thread(_unfill, url, limit) - before
    return Blow(f"broker out of memory for {FULL_S:g} s: {refused} commands refused", refused)


async def broker_silent(hand: Hand) -> Blow:
    """SIGSTOP: connections stand, nothing answers."""
    reached = await hand.stop_for(hand.target.family("redis-broker"), SILENT_S)
    return Blow(f"broker: {reached} stopped for {SILENT_S:g} s", reached)


async def postgres_killed(hand: Hand) -> Blow:
    """kill -9 of the postmaster and of every process of its."""
    reached = await hand.kill_whole("postgres")
    await hand.database_back()
    return Blow(f"PostgreSQL: {reached} processes killed", reached)


async def sessions_terminated(hand: Hand) -> Blow:
    """Every session ended again and again: no connection of any pool lives through it."""
    ended = await asyncio.to_thread(_terminate, hand.target.text("postgresDsn"), END_ALL, SESSIONS_S, SESSIONS_EVERY_S)
    return Blow(f"{ended} database sessions ended within {SESSIONS_S:g} s", ended)


async def commits_cut(hand: Hand) -> Blow:
    """Sessions ended while they commit: some of these commits happened, and nobody was told."""
    ended = await asyncio.to_thread(_terminate, hand.target.text("postgresDsn"), _END_COMMITTING, COMMITS_S, 0.0)
    return Blow(f"{ended} database sessions ended in their commit within {COMMITS_S:g} s", ended)


async def _redis_killed(hand: Hand, name: str, address: str) -> Blow:
    reached = await hand.kill_whole(name)
    url = hand.target.text(address)
    await hand.until(lambda: _pings(url), name)
    return Blow(f"{name}: {reached} killed", reached)


def _flush(url: str) -> int:
    with _redis(url) as conn:
        keys = conn.dbsize()
        conn.flushall()
    return int(keys)


def _fill(url: str) -> tuple[str, int]:
    """Take all memory away; the limit there was, and how many commands had been refused for it."""
    with _redis(url) as conn:
        limit = str(conn.config_get("maxmemory")["maxmemory"])
        conn.config_set("maxmemory", 1)
        return limit, _refusals(conn)


def _unfill(url: str, limit: str) -> int:
    """Put the *limit* back, also after an earlier fault killed the server; how many commands were refused by then."""
    ends_at = time.monotonic() + BACK_WITHIN_S
    while True:
        try:
            with _redis(url) as conn:
                conn.config_set("maxmemory", limit)
                return _refusals(conn)
        except RedisError:
            if time.monotonic() > ends_at:
                raise NotBack("the broker's memory could not be given back") from None
            time.sleep(LOOK_EVERY_S)


def _refusals(conn: Redis) -> int:
    counted: dict[str, Any] = conn.info("errorstats")
    return int(counted.get("errorstat_OOM", {}).get("count", 0))


def _redis(url: str) -> Redis:
    return Redis.from_url(url, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S)


def _pings(url: str) -> bool:
    try:
        with Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) as conn:
            return bool(conn.ping())
    except RedisError:
        return False


def _terminate(dsn: str, which: LiteralString, seconds: float, every_s: float) -> int:
    ended, until = 0, time.monotonic() + seconds
    with probe.connected(dsn) as conn:
        while time.monotonic() < until:
            ended += len(conn.execute(which).fetchall())
            time.sleep(every_s)
    return ended
