"""What does the public hear of a payment? Contract section 3, and never a PSP's raw text."""

from __future__ import annotations

from typing import Any

from shared.domain.outcomes import Challenge, DeclineReason
from shared.psp.port import Channel
from shared.store.orders import Order


def failure_of(order: Order, reason: DeclineReason) -> str:
    """The public words for a decline (contract section 3); never a PSP's raw text."""
    if reason is DeclineReason.AUTHENTICATION_FAILED or reason is DeclineReason.SHOPPER_CANCELLED:
        return "CHALLENGE_FAILED"
    return word_of("CARD_DECLINED" if order.channel == Channel.CREDIT_CARD else "PAYMENT_REFUSED", reason)


def word_of(what: str, reason: DeclineReason) -> str:
    """How a decline is written down and told: what happened, and why in our words."""
    return f"{what}: {reason}"


def redirect_of(challenge: Challenge) -> dict[str, Any]:
    """The redirectInstructions of contract section 3."""
    said = {
        "redirectUrl": challenge.redirect_url,
        "htmlContent": challenge.html_content,
        "threeDIdentifier": challenge.three_d_identifier,
    }
    return {name: value for name, value in said.items() if value is not None} | {
        "isRedirectRequired": True,
        "hasNextSteps": True,
        "showHtmlContent": challenge.redirect_url is None,
    }
