"""What an offer is, and what a cart of it costs.

An offer is an immutable snapshot: the prices in it are the prices that are charged, whatever the catalogue says by
then and whatever the request says (contract section 4). A cart is judged against it by line: a bundle is the line
"item", an add-on the line "parent>item", because the same add-on may stand under two bundles at two prices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import reduce
from operator import add

from shared.domain.money import Money
from shared.domain.refusals import OfferItemNotFound


class ItemKind(StrEnum):
    """What a line of an offer is (contract section 4: kind)."""

    BUNDLE = "Bundle"
    ADD_ON = "AddOn"


class Presentation(StrEnum):
    """What an offer is for (contract section 4: presentationType)."""

    PURCHASE = "Purchase"
    SHOWCASE = "Showcase"


class ProductGroup(StrEnum):
    """How an offer is sold (contract section 4: productGroupType)."""

    RECURRING_SUBSCRIPTION = "RecurringSubscription"
    ONE_TIME = "OneTime"


def line_key(item_identifier: str, parent_item_identifier: str | None) -> str:
    """The name of a line: "item", or "parent>item".

    No offer has ">" inside an identifier (imports refuse it). In a request it is doubled, so that no cart line can
    pass for an add-on by spelling its parent into its own identifier.
    """
    parts = (item_identifier,) if parent_item_identifier is None else (parent_item_identifier, item_identifier)
    return ">".join(part.replace(">", ">>") for part in parts)


@dataclass(frozen=True, slots=True)
class CartLine:
    """One line of an order: what, under which bundle, how many."""

    item_identifier: str
    parent_item_identifier: str | None = None
    quantity: int = 1

    @property
    def key(self) -> str:
        """The offer's line this one asks for."""
        return line_key(self.item_identifier, self.parent_item_identifier)


@dataclass(frozen=True, slots=True)
class OfferItem:
    """One thing an offer sells: its price is for one unit."""

    item_identifier: str
    kind: ItemKind
    name: str
    price: Money
    max_quantity: int
    parent_item_identifier: str | None = None

    @property
    def key(self) -> str:
        """The name of this line."""
        return line_key(self.item_identifier, self.parent_item_identifier)


@dataclass(frozen=True, slots=True)
class Installment:
    """A plan that pays one unit of a bundle in *count* payments of *amount_minor* each; the first is charged now."""

    installment_identifier: str
    item_identifier: str
    count: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ArtifactGroup:
    """A bundle with its add-ons, as a storefront shows them together."""

    bundle_urn: str
    name: str
    items: tuple[OfferItem, ...]


@dataclass(frozen=True, slots=True)
class Campaign:
    """A promotion whose reduction is already in the prices."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What a customer was offered; *customer_urn* None: anybody may order it."""

    offer_identifier: str
    presentation: Presentation
    product_group: ProductGroup
    storefront_urn: str
    currency: str
    expires_at: datetime
    single_use: bool
    groups: tuple[ArtifactGroup, ...]
    installments: tuple[Installment, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    customer_urn: str | None = None

    @property
    def lines(self) -> Mapping[str, OfferItem]:
        """Every item by the name of its line."""
        return {item.key: item for group in self.groups for item in group.items}

    def price(self, cart: Sequence[CartLine], installment: str | None = None) -> Money:
        """What is charged now for *cart*: unit price times quantity, summed.

        With an installment the bundle it belongs to is charged the plan's first payment a unit; its add-ons are
        charged in full. Raises OfferItemNotFound for whatever the offer does not sell that way (contract section 2).
        """
        lines = self.lines
        self._refuse_foreign_lines(cart, lines)
        units = self._unit_prices(cart, installment, lines)
        return reduce(add, (units[line.key].times(line.quantity) for line in cart), Money(0, self.currency))

    def _refuse_foreign_lines(self, cart: Sequence[CartLine], lines: Mapping[str, OfferItem]) -> None:
        bundles = {line.item_identifier for line in cart if line.parent_item_identifier is None}
        units: Counter[str] = Counter()
        for index, line in enumerate(cart):
            path = f"order.items[{index}]"
            if line.parent_item_identifier is not None and line.parent_item_identifier not in bundles:
                raise OfferItemNotFound(f"{path}.parentItemIdentifier: no bundle line of this cart has it")
            if line.key not in lines:
                raise OfferItemNotFound(f"{path}.itemIdentifier: the offer does not have it")
            units[line.key] += line.quantity
            if units[line.key] > lines[line.key].max_quantity:
                raise OfferItemNotFound(f"{path}.quantity: the offer has fewer units of it")

    def _unit_prices(
        self, cart: Sequence[CartLine], installment: str | None, lines: Mapping[str, OfferItem]
    ) -> dict[str, Money]:
        prices = {key: item.price for key, item in lines.items()}
        if installment is None:
            return prices
        # A plan for a bundle that is not in the cart is refused: it would charge in full whoever asked to pay in parts.
        plan = next((plan for plan in self.installments if plan.installment_identifier == installment), None)
        if plan is None or plan.item_identifier not in {line.key for line in cart}:
            raise OfferItemNotFound("order.installmentIdentifier: not a plan for a bundle of this cart")
        prices[plan.item_identifier] = Money(plan.amount_minor, self.currency)
        return prices
