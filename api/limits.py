"""How often a key, its tenant and a PSP may call (contract section 1: rate limit); the buckets are api/buckets.py.

Two buckets stand behind each call: the key's, and one for all keys of its tenant and mode, so that many keys give a
tenant no more than TENANT_TIMES a key's share. A PSP's webhooks have no key; they have a bucket an account, asked
before PostgreSQL is, so that a flood at one address costs others nothing. Who is refused costs Redis a
round trip for each token waited for, and no more however many calls come meanwhile: key and refusal are remembered. No
body is read, and PostgreSQL hears nothing of it.

And a key has a bucket for each order it polls, whose tokens come as often as it was advised to ask, and FASTER times
that: so who asks as often as they are told never meets it, however long the wait, and who asks again and again is told
429. Its others, and other keys that poll the same order, feel nothing of it. What was advised is remembered by the
process that said so until the key asks again, and with the tokens in Redis: no write is made for it, and a poller who
comes by many processes is judged by one count.

A poll is counted before anybody knows whether there is such an order. Where there is none its count is forgotten, and
where nobody could say so, and no poll before found it: else a key that may only read could fill the Redis in which
cards wait with counts of numbers that it made up.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, TypeVar
from uuid import UUID

import structlog
from flask import Flask, Response, current_app, g, request
from redis import Redis
from redis.exceptions import RedisError

from api import auth, handed_on
from api.auth import MOST_REMEMBERED
from api.buckets import Bucket, Buckets, Counted, Own, Quota, Same, Verdict
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

FASTER: Final = 4
"""How much more often than advised an order may be polled for good: two pages and a back end of one shop do."""
LEAST_POLLS: Final = 30
"""Polls of one order that are good at any pace: what a storefront of the published API was promised."""
ORDERS_SHARE: Final = 10
"""And as many as a tenth of what the key may ask at once: who has larger limits has more impatient pages."""
ADVISED_S: Final = 2
"""How often an order may be polled of which nobody said anything yet."""
MOST_ADVISED: Final = 16_384
"""Orders whose advice a process remembers, some 4 MiB; past it all are forgotten, and Redis knows what was before."""
_SECOND_US: Final = 1_000_000

View = TypeVar("View", bound=Callable[..., Any])


class Kind(StrEnum):
    """What a call takes a token for."""

    CHANGES = "changes"
    STATUS = "status"
    TENANT_CHANGES = "tenant-changes"
    TENANT_STATUS = "tenant-status"
    WEBHOOKS = "webhooks"
    ONE_ORDER = "status-of-one-order"


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
def _same(caller: Caller, kind: Kind, *, is_counted: bool) -> Same:
    """What the calls of *caller* have in common; put together once, as it is for thousands of calls."""
    burst = max(LEAST_POLLS, quota_of(caller, kind).burst // ORDERS_SHARE)
    own = Own(Kind.ONE_ORDER, burst, ADVISED_S * _SECOND_US // FASTER, FASTER)
    return Same(tuple(buckets_of(caller, kind)), place_of(caller.key_id), own if is_counted else None)


class Limits:
    """Who takes tokens of which buckets."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._buckets = Buckets(redis, clock)
        self._advised: dict[tuple[str, str], int] = {}

    def take(self, caller: Caller, kind: Kind, also_count: str | None = None) -> Verdict:
        """Take one token of *caller*; with *also_count*, count under that name if the token was there."""
        if also_count is None:
            return self._buckets.take_as(_same(caller, kind, is_counted=False))
        apart_us = self._advised.pop((caller.key_id, also_count), 0) * _SECOND_US // FASTER
        counted = Counted(also_count, f"{also_count}:{caller.key_id}", apart_us)
        return self._buckets.take_as(_same(caller, kind, is_counted=True), counted)

    def advised(self, caller: Caller, count: str, seconds: int) -> None:
        """Remember that *caller*, whose call was counted under *count*, was advised to come back in *seconds*."""
        if len(self._advised) >= MOST_ADVISED:
            self._advised.clear()
        self._advised[caller.key_id, count] = seconds

    def forget(self, count: str) -> None:
        """Let the polls under that name begin again; best effort, for a count has an end of its own."""
        try:
            self._buckets.forget(count)
        except RedisError as error:
            _not_forgotten(error)

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
            raise RateLimited(_too_many(verdict), retry_after_s=max(1, verdict.retry_after_s))

    @app.after_request
    def tell(response: Response) -> Response:
        if "verdict" in g:
            response.headers.update(g.verdict.headers())
            if g.verdict.count and (counted := _poll_counter()):
                _note(limits, counted, g.verdict.count, response)
        return response


def _note(limits: Limits, counted: str, count: int, response: Response) -> None:
    """What the answer to a poll that was counted means for the next one."""
    found_nothing = response.status_code == HTTPStatus.NOT_FOUND
    if found_nothing or (count == 1 and response.status_code >= HTTPStatus.BAD_REQUEST):
        limits.forget(counted)
    elif advice := response.headers.get("Retry-After", type=int):
        limits.advised(auth.caller(), counted, advice)


def _too_many(verdict: Verdict) -> str:
    if verdict.quota.kind == Kind.ONE_ORDER:
        return "this order was asked for far more often than advised; come back when Retry-After says"
    return "too many calls; come back later"


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
        _not_forgotten(error)


def _not_forgotten(error: RedisError) -> None:
    log.warning("polls.not_forgotten", error=type(error).__name__)


def _poll_counter() -> str | None:
    """Where this order's polls are counted; None where the path does not name an order we could have minted."""
    number: Any = (request.view_args or {}).get("tracking_number", "")
    return counter(auth.caller().tenant_id, number) if len(number) == len("trk_") + 26 else None


def counter(tenant_id: UUID, tracking_number: str) -> str:
    """Where the polls of an order are counted."""
    return f"polls:{tenant_id}:{tracking_number}"
