"""What somebody is told of whom too many cards were declined: one answer, whoever it is and whatever card comes next.

It is given before any PSP hears of the card, so neither its text nor its time tells a good card from a bad one, nor
whether the customer or the address was the reason (OWASP OAT-001).
"""

from __future__ import annotations

import structlog

from shared.domain.refusals import RateLimited
from shared.velocity import Shopper, Velocity

log = structlog.get_logger(__name__)


def too_many_declines(velocity: Velocity, shopper: Shopper) -> RateLimited:
    """The refusal, saying when a card is taken again."""
    log.warning("velocity.blocked", tenant=str(shopper.tenant_id))
    return RateLimited("too many cards were declined; come back later", retry_after_s=velocity.wait_s(shopper))
