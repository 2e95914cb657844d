"""Tells a poller when to come back, how often, and what the shopper must do meanwhile (contract section 3)."""

from __future__ import annotations

from typing import Any, Final

from werkzeug.http import parse_etags

from api.advice import retry_after_s
from api.outlook import Outlooks
from api.parts import Parts
from api.schemas.checkout_answers import CheckoutResult, FollowUpInstructions, RedirectInstructions
from api.schemas.common import Status as Envelope
from shared.store.status import Status

POLL_BUDGET: Final = 30
"""remainingRetryCount of the published API: what a storefront is told to expect, not a limit."""

FINAL_LIFE_S: Final = 3_600
"""A final answer never changes; an hour is longer than anyone polls."""


def caching(result: CheckoutResult, now: Status) -> dict[str, str]:
    """The headers that say how long an answer holds, and by which name it is known."""
    told = {"ETag": f'W/"{now.tag}"'}  # Weak: the poll count differs in every answer.
    if now.is_final:
        return told | {"Cache-Control": f"private, max-age={FINAL_LIFE_S}"}
    return told | {"Cache-Control": "no-store", "Retry-After": str(result.follow_up_instructions.retry_after_seconds)}


def is_known(now: Status, if_none_match: str | None) -> bool:
    """Whether a caller who sent *if_none_match* has an answer with the same face, of whichever version."""
    if if_none_match is None:
        return False
    tags = parse_etags(if_none_match)
    return tags.star_tag or any(tag.rpartition("-")[2] == now.face for tag in tags.as_set(include_weak=True))


def follow_up_url(parts: Parts, tracking_number: str) -> str:
    """Where to ask for the status of an order; minted under /api/v1 (contract section 1)."""
    return f"{parts.settings.public_url}/api/v1/c2a/offer/checkout/{tracking_number}/status"


def result_of(parts: Parts, now: Status, *, polls: int, outlooks: Outlooks | None = None) -> CheckoutResult:
    """The answer that says where an order stands, to the *polls*-th poll; *outlooks*: who knows of the backlog, where
    nobody may be asked."""
    return CheckoutResult(
        tracking_number=now.tracking_number,
        status=Envelope(message_code=now.code),
        follow_up_instructions=_follow_up(parts, now, polls, outlooks or parts.outlooks),
        redirect_instructions=RedirectInstructions.model_validate(now.redirect) if now.redirect else None,
        message=now.message,
    )


def document_of(parts: Parts, now: Status, *, polls: int) -> dict[str, Any]:
    """What result_of answers, as JSON; put together by hand where an order is under way, as nearly all that are asked
    for are: it costs a tenth."""
    if now.is_final or now.redirect or now.message:
        return result_of(parts, now, polls=polls).wire()
    return {
        "trackingNumber": now.tracking_number,
        "status": {"messageCode": now.code},
        "followUpInstructions": {
            "retryAfterSeconds": retry_after_s(now, parts.outlooks, challenge_life_s=parts.settings.challenge_life_s),
            "remainingRetryCount": max(0, POLL_BUDGET - polls),
            "currentRetryAttempt": polls,
            "followUpUrl": follow_up_url(parts, now.tracking_number),
            "canFollowUp": True,
        },
    }


def _follow_up(parts: Parts, now: Status, polls: int, outlooks: Outlooks) -> FollowUpInstructions:
    if now.is_final:
        return FollowUpInstructions(can_follow_up=False)
    return FollowUpInstructions(
        retry_after_seconds=retry_after_s(now, outlooks, challenge_life_s=parts.settings.challenge_life_s),
        remaining_retry_count=max(0, POLL_BUDGET - polls),
        current_retry_attempt=polls,
        follow_up_url=follow_up_url(parts, now.tracking_number),
        can_follow_up=True,
    )
