"""What a caller hears about an order (contract sections 2 and 3)."""

from __future__ import annotations

from typing import ClassVar

from api.schemas.common import Answer, Status


class FollowUpInstructions(Answer):
    """When to ask again and where; {canFollowUp: false} alone once there is nothing to ask."""

    retry_after_seconds: int | None = None
    remaining_retry_count: int | None = None
    current_retry_attempt: int | None = None
    follow_up_url: str | None = None
    can_follow_up: bool


class RedirectInstructions(Answer):
    """Where the shopper's browser must go: 3DS, a wallet, a bank."""

    redirect_url: str | None = None
    html_content: str | None = None
    three_d_identifier: str | None = None
    is_redirect_required: bool = True
    has_next_steps: bool = True
    show_html_content: bool = False


class CheckoutResult(Answer):
    """Where an order stands; status.messageCode is the truth."""

    tracking_number: str
    status: Status
    follow_up_instructions: FollowUpInstructions
    redirect_instructions: RedirectInstructions | None = None
    message: str | None = None


class RefusedCheckout(Answer):
    """An order that was not accepted: no number, nothing to follow."""

    tracking_number: None = None
    status: Status
    follow_up_instructions: FollowUpInstructions = FollowUpInstructions(can_follow_up=False)
    message: str | None = None
    always_there: ClassVar[frozenset[str]] = frozenset({"trackingNumber"})
