"""How often a key, its tenant and a PSP may call (contract section 1: rate limit); the buckets are api/buckets.py.

Two buckets stand behind each call: the key's, and one for all keys of its tenant and mode, so that many keys give a
tenant no more than TENANT_TIMES a key's share. A PSP's webhooks have no key; they have a bucket an account, asked
before PostgreSQL is, so that a flood at one address costs others nothing. Who is refused costs Redis a
round trip for each token waited for, and no more however many calls come meanwhile: key and refusal are remembered. No
body is read, and PostgreSQL hears nothing of it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeVar
from uuid import UUID

import structlog
from flask import Flask, Response, current_app, g, request
from redis import Redis
from redis.exceptions import RedisError

from api import auth, handed_on
from api.auth import MOST_REMEMBERED
from api.buckets import Bucket, Buckets, Quota, Same, Verdict
from api.errors import NotAuthenticated
from shared.domain.refusals import RateLimited
from shared.revocations import place_of
from shared.store.keys import Caller

log = structlog.get_logger(__name__)

LIVE: Final = (1_000, 50)
DEV: Final = (100, 10)
STATUS_TIMES: Final = 30
"""Contract section 1: what a key may change (a minute, at once), and how much more often it may poll."""
TENANT_TIMES: Final = 4
"""What all keys of a tenant may do together, in keys' shares: a shop runs a few storefronts, and a hundred keys must
not be a hundred times the load."""

View = TypeVar("View", bound=Callable[..., Any])


class Kind(StrEnum):
    """What a call takes a token for."""

    CHANGES = "changes"
    STATUS = "status"
    TENANT_CHANGES = "tenant-changes"
    TENANT_STATUS = "tenant-status"
    WEBHOOKS = "webhooks"


OF_TENANT: Final = {Kind.CHANGES: Kind.TENANT_CHANGES, Kind.STATUS: Kind.TENANT_STATUS}
WEBHOOKS: Final = Quota(Kind.WEBHOOKS, 30_000, 1_000)
"""500 a second of one PSP account, 1,000 at once: what a day's backlog after an outage brings; a PSP that is refused
tells it again later."""


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


def buckets_of(caller: Caller, kind: Kind) -> list[Bucket]:
    """The key's own bucket and the one its tenant's keys share; live and sandbox keys never share one."""
    own, mode = quota_of(caller, kind), "live" if caller.live else "dev"
    shared = Quota(OF_TENANT[kind], TENANT_TIMES * own.per_minute, TENANT_TIMES * own.burst)
    return [
        Bucket(f"limit:{caller.key_id}:{kind}", own),
        Bucket(f"limit:{caller.tenant_id}:{mode}:{kind}", shared),
    ]


@lru_cache(maxsize=MOST_REMEMBERED)
def _same(caller: Caller, kind: Kind, is_counted: bool) -> Same:
    """What the calls of *caller* have in common; put together once, as it is for thousands of calls."""
    return Same(tuple(buckets_of(caller, kind)), place_of(caller.key_id), is_counted)


class Limits:
    """Who takes tokens of which buckets."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._buckets = Buckets(redis, clock)

    def take(self, caller: Caller, kind: Kind, also_count: str | None = None) -> Verdict:
        """Take one token of *caller*; with *also_count*, count under that name if the token was there."""
        return self._buckets.take_as(_same(caller, kind, also_count is not None), also_count)

    def take_webhook(self, account_id: str) -> Verdict:
        """Take one token of the PSP account a webhook's address names, whether there is such an account or not."""
        # As a digest: whoever writes the address decides how long it is and what stands in it.
        named = hashlib.sha256(account_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._buckets.take([Bucket(f"limit:{Kind.WEBHOOKS}:{named}", WEBHOOKS)])


def by_account(view: View) -> View:
    """Mark a public view whose calls are limited by the `account_id` of its path."""
    view.limited_by_account = True  # type: ignore[attr-defined]
    return view


def register(app: Flask, limits: Limits) -> None:
    """Take a token for every limited request of *app*; polls() then tells how often an order was polled."""

    @app.before_request
    def take() -> None:
        before = handed_on.so_far()
        verdict = (before and before.verdict) or _verdict(limits)
        if verdict is None:
            return
        if verdict.revoked:
            raise NotAuthenticated
        if verdict.revoked is None and not auth.is_public():
            auth.confirm()
        g.verdict = verdict
        if not verdict.allowed:
            raise RateLimited("too many calls; come back later", retry_after_s=max(1, verdict.retry_after_s))

    @app.after_request
    def tell(response: Response) -> Response:
        if "verdict" in g:
            response.headers.update(g.verdict.headers())
        return response


def _verdict(limits: Limits) -> Verdict | None:
    """What the buckets of this request say; None: it is not limited."""
    if not auth.is_public():
        kind = Kind.STATUS if auth.is_status_read() else Kind.CHANGES
        return limits.take(auth.caller(), kind, _poll_counter() if kind is Kind.STATUS else None)
    view = current_app.view_functions.get(request.endpoint or "")
    if getattr(view, "limited_by_account", False):
        return limits.take_webhook((request.view_args or {})["account_id"])
    return None


def polls() -> int | None:
    """How often the order of this status request has been polled, this time included; None: nobody could count."""
    verdict: Verdict = g.verdict
    return verdict.count


def forget_polls(redis: Redis, tenant_id: UUID, tracking_number: str) -> None:
    """Begin an order's count again: after a redirect the shopper's wait is a new one (contract section 3)."""
    try:
        redis.unlink(counter(tenant_id, tracking_number))
    except RedisError as error:
        log.warning("polls.not_forgotten", error=type(error).__name__)


def _poll_counter() -> str | None:
    """Where this order's polls are counted; None where the path does not name an order we could have minted."""
    number: Any = (request.view_args or {}).get("tracking_number", "")
    return counter(auth.caller().tenant_id, number) if len(number) == len("trk_") + 26 else None


def counter(tenant_id: UUID, tracking_number: str) -> str:
    """Where the polls of an order are counted."""
    return f"polls:{tenant_id}:{tracking_number}"
