"""What a shopper's form says, read: only whether it is one of ours. Whether it can be ordered is for the API to say.

No value of it is ever put into a page again but what the page itself had said of the bundle: a card that was typed is
typed again.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Final

from api.demo.shopper import LONGEST_SAID
from api.demo.storefront import Wish
from shared.client import Card
from shared.domain.cards import may_show

FORM_TOKEN: Final = "form_token"  # noqa: S105  # A field's name.
NEW_CARD: Final = ""
"""What the choice between cards says where none of the stored ones is chosen."""
LONGEST: Final = 255
"""As the API's own texts; what is longer was not typed by anybody."""
_KEY: Final = re.compile(r"[0-9a-f]{32}")
_NOT_DIGITS: Final = re.compile(r"[ -]")


class NotOurs(ValueError):
    """A form that no page of ours wrote."""


def is_ours(form: Mapping[str, str], token: str) -> bool:
    """Whether a page written for this browser brought *form*."""
    return hmac.compare_digest(token.encode(), form.get(FORM_TOKEN, "").encode("utf-8", "surrogatepass"))


def wish_of(form: Mapping[str, str]) -> Wish:
    """What the form asks for. Raises NotOurs."""
    key = form.get("key", "")
    if not _KEY.fullmatch(key) or any(len(text) > LONGEST for text in form.values()):
        raise NotOurs("no form of ours has such fields")
    stored = form.get("method", NEW_CARD)
    card = None if stored else card_of(form)
    return Wish(
        key,
        offer=form.get("offer", ""),
        item=form.get("item", ""),
        card=card,
        method=stored or None,
        keep=card is not None and form.get("keep") == "yes",
    )


def card_of(form: Mapping[str, str]) -> Card:
    """The card as it was typed, without the gaps that cards are printed with."""
    return Card(
        form.get("holder", "").strip(),
        _NOT_DIGITS.sub("", form.get("number", "")),
        form.get("year", ""),
        form.get("month", ""),
        form.get("cvc", "").strip(),
    )


def said_of(form: Mapping[str, str], item: str) -> str:
    """What the page had said of *item*, for its own browser to be reminded of; no card, whoever wrote one there."""
    return may_show(form.get(f"said.{item}", ""))[:LONGEST_SAID]
