"""What a tenant sells, and what a promotion code does to its prices.

A promotion lowers the prices of its bundles and of their plans, never of add-ons, and no price below 0. percentOff
rounds the lowered price half up to a whole minor unit. amountOff applies to bundles in its currency, and takes an
equal share, rounded down, off each payment of a plan. (The contract is silent here: these rules are ours.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.money import Money
from shared.domain.offers import ProductGroup


@dataclass(frozen=True, slots=True)
class Context:
    """What of a request decides its offer; None: not said."""

    storefront_urn: str | None = None
    promotion_code: str | None = None
    interaction_type: str | None = None
    channel: str | None = None
    client_platform_type: str | None = None


@dataclass(frozen=True, slots=True)
class AddOn:
    """Something that is sold only with its bundle; its price is for one unit."""

    item_identifier: str
    name: str
    amount_minor: int
    max_quantity: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One unit of a bundle in *count* payments."""

    installment_identifier: str
    count: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """One thing a storefront sells; an empty condition excludes nobody."""

    bundle_urn: str
    storefront_urn: str
    name: str
    item_identifier: str
    product_group: ProductGroup
    price: Money
    max_quantity: int
    add_ons: tuple[AddOn, ...] = ()
    plans: tuple[Plan, ...] = ()
    interaction_types: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    client_platform_types: frozenset[str] = frozenset()

    def suits(self, context: Context) -> bool:
        """Whether *context* may be offered this bundle."""
        asked = (
            (self.interaction_types, context.interaction_type),
            (self.channels, context.channel),
            (self.client_platform_types, context.client_platform_type),
        )
        return all(not allowed or said is None or said in allowed for allowed, said in asked)


@dataclass(frozen=True, slots=True)
class Promotion:
    """A code that lowers prices: by *percent_off*, or by *amount_off* in its currency. *bundles* None: all."""

    code: str
    name: str
    percent_off: int | None = None
    amount_off: Money | None = None
    bundles: frozenset[str] | None = None
    storefront_urn: str | None = None
    valid_until: datetime | None = None

    def lowers(self, bundle: Bundle) -> bool:
        """Whether *bundle* is cheaper with this code."""
        in_currency = self.amount_off is None or self.amount_off.currency == bundle.price.currency
        return in_currency and (self.bundles is None or bundle.bundle_urn in self.bundles)

    def applied_to(self, bundle: Bundle) -> Bundle:
        """*bundle* at its lowered prices."""
        plans = tuple(replace(plan, amount_minor=self._lowered(plan.amount_minor, plan.count)) for plan in bundle.plans)
        price = replace(bundle.price, amount_minor=self._lowered(bundle.price.amount_minor, payments=1))
        return replace(bundle, price=price, plans=plans)

    def _lowered(self, amount_minor: int, payments: int) -> int:
        if self.percent_off is not None:
            return (amount_minor * (100 - self.percent_off) + 50) // 100
        off = self.amount_off.amount_minor if self.amount_off is not None else 0
        return max(0, amount_minor - off // payments)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All a tenant sells, ordered by bundleUrn."""

    bundles: tuple[Bundle, ...]
    promotions: tuple[Promotion, ...]
