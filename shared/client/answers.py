"""What the API answers, as values: wire names on the wire, Python names here.

Read with tolerance, as every reader of a growing API must: fields nobody knows are ignored, and a word that is not in
a list of ours yet stays text. What a test holds against the models the API answers with are the names.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from shared.domain.money import Money
from shared.domain.offers import ItemKind, Presentation, ProductGroup
from shared.domain.states import CheckoutCode
from shared.psp.port import Channel

FINAL: Final = frozenset({CheckoutCode.DONE, CheckoutCode.FAILED})


class Told(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="ignore", hide_input_in_errors=True)


class Envelope(Told):
    """What happened, by its published name."""

    message_code: str


class FollowUp(Told):
    """When to ask again, and where."""

    can_follow_up: bool
    retry_after_seconds: int | None = None
    remaining_retry_count: int | None = None
    current_retry_attempt: int | None = None
    follow_up_url: str | None = None


class Redirect(Told):
    """Where the shopper's browser must go now: 3DS, a wallet, a bank."""

    redirect_url: str | None = None
    html_content: str | None = None
    three_d_identifier: str | None = None
    is_redirect_required: bool = True
    has_next_steps: bool = True
    show_html_content: bool = False


class CheckoutResult(Told):
    """Where an order stands; the code is the truth."""

    tracking_number: str
    status: Envelope
    follow_up_instructions: FollowUp
    redirect_instructions: Redirect | None = None
    message: str | None = None
    etag: str | None = None
    """The version this tells of; from the answer's header, so that a wait that goes on hears only of another."""
    is_replayed: bool = False
    """Whether the order was there already when it was submitted; from the answer's header."""
    is_of_submit: bool = False
    """Whether it is the answer to a submit: nobody looks there for a redirect, though a replay may tell one."""

    @property
    def code(self) -> str:
        """One of CheckoutCode, or a word that is newer than this client."""
        return self.status.message_code

    @property
    def is_final(self) -> bool:
        """Whether nothing can change any more."""
        return self.code in FINAL

    @property
    def is_done(self) -> bool:
        """Whether the money is captured: deliver."""
        return self.code == CheckoutCode.DONE

    @property
    def needs_shopper(self) -> bool:
        """Whether the shopper must follow redirect_instructions before anything goes on."""
        return self.code == CheckoutCode.CHALLENGED


class Price(Told):
    """An amount in minor units: 1499 EUR is 14.99 EUR."""

    amount_milpieces: int
    currency: str

    @property
    def money(self) -> Money:
        """The same as the product's own value."""
        return Money(self.amount_milpieces, self.currency)


class Item(Told):
    """One thing an offer sells; the price is for one unit."""

    item_identifier: str
    kind: ItemKind | str
    parent_item_identifier: str | None = None
    name: str
    price: Price
    max_quantity: int


class ArtifactGroup(Told):
    """A bundle with its add-ons."""

    bundle_urn: str
    name: str
    items: list[Item]


class Installment(Told):
    """A plan that pays the bundle *item_identifier* in *count* payments."""

    installment_identifier: str
    item_identifier: str | None = None
    count: int
    amount_milpieces: int


class Campaign(Told):
    """A promotion whose reduction is already in the prices."""

    code: str
    name: str


class Offer(Told):
    """An immutable snapshot: its prices are what is charged, until it expires."""

    offer_identifier: str
    presentation_type: Presentation | str
    product_group_type: ProductGroup | str
    storefront_urn: str
    currency: str
    expires_at: datetime
    single_use: bool
    artifact_groups: list[ArtifactGroup]
    installments: list[Installment] = []
    applied_campaigns: list[Campaign] = []

    def items(self) -> Iterator[Item]:
        """Everything it sells, bundle by bundle."""
        for group in self.artifact_groups:
            yield from group.items


class Method(Told):
    """A stored payment method; the list tells the first five, `add` tells all."""

    payment_method_urn: str
    payment_channel: Channel | str
    masked_card_number: str | None = None
    card_type: str | None = None
    state: str
    customer_urn: str | None = None
    expire_month: str | None = None
    expire_year: str | None = None
    card_alias: str | None = None
    stored_at: datetime | None = None
