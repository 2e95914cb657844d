"""Who is logged in at the console: an opaque token in a cookie, and what it stands for in the volatile Redis.

The token is kept there as its SHA-256, and of the operator's key only the digest that PostgreSQL finds it by: whoever
reads that Redis can neither log in nor call. Every request looks the key up anew, so that a session ends with its key.
That Redis empty or away, operators log in again or use the command c2a: nothing else is lost.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final, cast

from redis import Redis
from sqlalchemy import Engine

from shared.config import Mode
from shared.store import keys
from shared.store.engine import statements
from shared.store.keys import Caller, KeyRole

TOKEN_BYTES: Final = 32
IDLE: Final = timedelta(minutes=15)
"""How long a session lives unused (PCI DSS 8.2.8); a page that refreshes itself is not use."""
LIFE: Final = timedelta(hours=8)
"""How long it lives at most: a shift."""


@dataclass(frozen=True, slots=True)
class Session:
    """Who is logged in. *ends_at* in seconds since 1970; *form_token* stands in every form of theirs."""

    key_digest: str
    name: str
    form_token: str
    ends_at: float

    @property
    def who(self) -> str:
        """How they are recorded: the name they gave, and the key that proves more than it."""
        return f"{self.name}, key {self.key_digest[: keys.KEY_ID_LENGTH]}"


def begin(redis: Redis, key: str, name: str, now: datetime) -> str:
    """Log *name* in, who showed *key*; the token of the new session. Raises RedisError."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    digest, form_token = keys.digest_of(key).hex(), secrets.token_urlsafe(TOKEN_BYTES)
    session = Session(digest, name, form_token, (now + LIFE).timestamp())
    redis.set(_place(token), json.dumps(asdict(session)), ex=IDLE)
    return token


def find(redis: Redis, token: str, now: datetime, *, renew: bool) -> Session | None:
    """The session of *token*, used now if *renew*; None if it is over. Raises RedisError."""
    kept = cast("bytes | None", redis.get(_place(token)))
    session = None if kept is None else Session(**json.loads(kept))
    if session is None or session.ends_at <= now.timestamp():
        return None
    if renew:
        redis.expire(_place(token), IDLE)
    return session


def end(redis: Redis, token: str) -> None:
    """Log out. Raises RedisError."""
    redis.delete(_place(token))


def may_enter(engine: Engine, mode: Mode, digest: bytes) -> Caller | None:
    """The caller of the key with this digest, if it is an operator's and opens anything here; else None."""
    with statements(engine) as conn:
        found = keys.find_by_digest(conn, digest)
    if found is None or found.role is not KeyRole.OPERATOR or (mode is Mode.PRODUCTION and not found.live):
        return None
    return found


def _place(token: str) -> str:
    return f"ops:{hashlib.sha256(token.encode('utf-8', 'surrogatepass')).hexdigest()}"
