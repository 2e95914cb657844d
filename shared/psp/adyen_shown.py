"""What a shopper must be shown for an action of Adyen's: an address to go to, a form to send, an account to pay into.

Whatever Adyen wrote is escaped: it ends in a storefront's page.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.domain.outcomes import Challenge


class Action(BaseModel):
    """action of a payment's answer, as far as we follow it."""

    model_config = ConfigDict(strict=True, alias_generator=to_camel, hide_input_in_errors=True, frozen=True)

    type: str
    url: str | None = Field(None, pattern=r"^https?://")
    method: str = "GET"
    data: dict[str, str] = Field(default_factory=dict, repr=False)
    token: str | None = None
    beneficiary: str | None = None
    iban: str | None = None
    bic: str | None = None
    reference: str | None = None


def is_transfer(action: Action | None) -> bool:
    """Whether the shopper is to pay into an account, in days to come."""
    return action is not None and action.iban is not None


def challenge_of(action: Action | None, data: Mapping[str, Any]) -> Challenge:
    """What the shopper is shown. *data*: additionalData, which names the 3-D Secure transaction.

    For an action we cannot show (its page needs a script of Adyen's, and none was asked for) it holds nothing to do,
    and the shopper's time runs out.
    """
    named = data.get("threeds2.threeDSServerTransID")
    transaction = named if isinstance(named, str) else None
    if action is None:
        return Challenge(None, None, transaction)
    if is_transfer(action):
        return Challenge(None, _account(action), transaction)
    if action.url is not None and action.method == "POST":
        return Challenge(None, _form(action.url, action.data), transaction)
    return Challenge(action.url, None, transaction or action.token)


_ROWS: Final = {"Beneficiary": "beneficiary", "IBAN": "iban", "BIC": "bic", "Reference": "reference"}


def _account(action: Action) -> str:
    """The account to pay into; the reference must be written on the transfer."""
    told = {title: getattr(action, name) for title, name in _ROWS.items()}
    rows = (f"<dt>{title}</dt><dd>{escape(text)}</dd>" for title, text in told.items() if text)
    return f"<dl>{''.join(rows)}</dl>"


def _form(url: str, data: Mapping[str, str]) -> str:
    """A form that takes the shopper on, for issuers that must be reached by POST."""
    fields = (f'<input type="hidden" name="{escape(name)}" value="{escape(text)}">' for name, text in data.items())
    return f'<form method="post" action="{escape(url)}">{"".join(fields)}<button>Continue</button></form>'
