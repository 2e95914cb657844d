"""Judges the Redis that is to hold sealed cards: it may write nothing down and keep no commands (PCI DSS 3.3.1).

A deleted card stays in a snapshot and in an append-only file, and a slow log keeps the arguments of what it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog
from redis import Redis
from redis.exceptions import RedisError, ResponseError

log = structlog.get_logger(__name__)

_ASKED: Final = ("save", "appendonly", "slowlog-log-slower-than", "slowlog-max-len")
_GRANT: Final = "let our user ask (ACL: +config|get), or take a server of your own"


class UnsafeVault(RuntimeError):
    """The vault's server may keep what it is to forget, or does not let us see; the message says what to set."""


def examine(redis: Redis) -> None:
    """Raises UnsafeVault. A server that is away keeps nothing now and is no reason; the log says it was not seen."""
    told: dict[str, str] = {}
    try:
        for name in _ASKED:  # One by one: Redis 6 takes no more.
            told.update((str(key), str(value)) for key, value in redis.config_get(name).items())
    except ResponseError as error:
        raise UnsafeVault(f"it does not tell its settings ({type(error).__name__}): {_GRANT}") from None
    except RedisError as error:
        log.warning("vault.not_examined", error=type(error).__name__)
        return
    if silent := [name for name in _ASKED if name not in told]:
        raise UnsafeVault(f"it does not tell its settings ({', '.join(silent)}): {_GRANT}")
    if wrong := _wrong(told):
        raise UnsafeVault("; ".join(wrong))


def _wrong(told: Mapping[str, str]) -> list[str]:
    """What must be set otherwise."""
    wrong = []
    if told["save"]:
        wrong.append('it writes snapshots: save ""')
    if told["appendonly"] != "no":
        wrong.append("it writes an append-only file: appendonly no")
    if int(told["slowlog-log-slower-than"]) >= 0 and int(told["slowlog-max-len"]) > 0:
        wrong.append("it keeps a slow log: slowlog-log-slower-than -1")
    return wrong
