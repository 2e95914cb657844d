"""What a line of a catalogue file is, and which business value it stands for.

The same models read an operator's file and the rows made from it, so what was imported can always be resolved.
Unknown fields are refused: in a file that somebody wrote by hand they are misspelt ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from shared.domain.catalogue import AddOn, Bundle, Plan, Promotion
from shared.domain.money import Money
from shared.domain.offers import ProductGroup

MOST_MINOR: Final = 999_999_999_999
"""The largest amount of one unit: ISO 8583 field 4 holds 12 digits."""
MOST_UNITS: Final = 999
"""The largest quantity of a line (contract section 2)."""
MOST_PARTS: Final = 50
"""Add-ons, and plans, of one bundle: a shopper chooses among them on one page."""
MOST_BUNDLES: Final = 100
"""Bundles of one storefront, and so of one offer: more than a shopper compares, few enough to resolve at once."""

# Printable, without spaces, and without ">" which joins an add-on to its bundle in the name of a line.
Identifier = Annotated[str, StringConstraints(pattern=r"^[!-=?-~]+$", max_length=255)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
Amount = Annotated[int, Field(ge=0, le=MOST_MINOR)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]  # ISO 4217.
Quantity = Annotated[int, Field(ge=1, le=MOST_UNITS)]
Conditions = Annotated[tuple[Identifier, ...], Field(max_length=20)]
# Far from the ends of the calendar, where a change of time zone would leave it.
Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC))]
InteractionType = Literal["NewAcquisition", "Replace", "RetentionWinback"]


class Document(BaseModel):
    """Wire names, strict types, no unknown fields, no values in errors."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, strict=True, hide_input_in_errors=True
    )


class PriceDocument(Document):
    """An amount in minor units and its currency."""

    amount_milpieces: Amount
    currency: Currency

    def money(self) -> Money:
        """The amount."""
        return Money(self.amount_milpieces, self.currency)


class AddOnDocument(Document):
    """An add-on of a bundle; its price is in the bundle's currency."""

    item_identifier: Identifier
    name: Name
    amount_milpieces: Amount
    max_quantity: Quantity = 1


class PlanDocument(Document):
    """A way to pay a bundle in parts: *count* payments of *amountMilpieces* each."""

    installment_identifier: Identifier
    count: Annotated[int, Field(ge=2, le=120)]
    amount_milpieces: Amount


class BundleDocument(Document):
    """{"kind": "bundle", ...}."""

    kind: Literal["bundle"]
    bundle_urn: Identifier
    storefront_urn: Identifier
    name: Name
    item_identifier: Identifier
    product_group_type: Literal["RecurringSubscription", "OneTime"]
    price: PriceDocument
    max_quantity: Quantity = 1
    add_ons: Annotated[tuple[AddOnDocument, ...], Field(max_length=MOST_PARTS)] = ()
    installments: Annotated[tuple[PlanDocument, ...], Field(max_length=MOST_PARTS)] = ()
    interaction_types: Annotated[tuple[InteractionType, ...], Field(max_length=3)] = ()
    channels: Conditions = ()
    client_platform_types: Conditions = ()

    @model_validator(mode="after")
    def _add_ons_differ(self) -> Self:
        names = [add_on.item_identifier for add_on in self.add_ons]
        if len(set(names)) < len(names):
            raise ValueError("addOns: two have the same itemIdentifier")
        return self

    def bundle(self) -> Bundle:
        """The bundle this line stands for."""
        return Bundle(
            bundle_urn=self.bundle_urn,
            storefront_urn=self.storefront_urn,
            name=self.name,
            item_identifier=self.item_identifier,
            product_group=ProductGroup(self.product_group_type),
            price=self.price.money(),
            max_quantity=self.max_quantity,
            add_ons=tuple(
                AddOn(part.item_identifier, part.name, part.amount_milpieces, part.max_quantity)
                for part in self.add_ons
            ),
            plans=tuple(
                Plan(part.installment_identifier, part.count, part.amount_milpieces) for part in self.installments
            ),
            interaction_types=frozenset(self.interaction_types),
            channels=frozenset(self.channels),
            client_platform_types=frozenset(self.client_platform_types),
        )


def _all_is_none(bundles: object) -> object:
    return None if bundles == "all" else bundles


class PromotionDocument(Document):
    """{"kind": "promotion", ...}: either percentOff, or amountOff with its currency."""

    kind: Literal["promotion"]
    code: Identifier
    name: Name
    percent_off: Annotated[int, Field(ge=1, le=100)] | None = None
    amount_off: Annotated[int, Field(ge=1, le=MOST_MINOR)] | None = None
    currency: Currency | None = None
    bundles: Annotated[
        list[Identifier] | None, BeforeValidator(_all_is_none), Field(min_length=1, max_length=1_000)
    ] = None
    storefront_urn: Identifier | None = None
    valid_until: Moment | None = None

    @model_validator(mode="after")
    def _one_reduction(self) -> Self:
        if (self.percent_off is None) == (self.amount_off is None):
            raise ValueError("give either percentOff or amountOff")
        if (self.amount_off is None) != (self.currency is None):
            raise ValueError("currency belongs to amountOff, and amountOff needs it")
        return self

    def promotion(self) -> Promotion:
        """The promotion this line stands for."""
        off = Money(self.amount_off, self.currency) if self.amount_off is not None and self.currency else None
        return Promotion(
            code=self.code,
            name=self.name,
            percent_off=self.percent_off,
            amount_off=off,
            bundles=None if self.bundles is None else frozenset(self.bundles),
            storefront_urn=self.storefront_urn,
            valid_until=self.valid_until and self.valid_until.astimezone(UTC),
        )


CatalogueDocument = BundleDocument | PromotionDocument
MODEL_OF: Final[Mapping[str, type[CatalogueDocument]]] = {"bundle": BundleDocument, "promotion": PromotionDocument}
"""The model of a line, by its kind."""
