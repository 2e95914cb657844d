"""What a storefront sends to order an offer (contract section 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import Field

from api.schemas.common import Identifier, IpAddress, Secret, WholeNumber, Wire, short
from api.schemas.payment import PaymentMethodDto
from shared.domain.cards import Card

MOST_ITEMS: Final = 100
MOST_UNITS: Final = 999
_AS_IT_IS: Final = frozenset({str, int, bool})
_NOT_COMPARED: Final = frozenset({"correlationId", "cvc", "storedMethodToken"})


class CheckoutOrderItem(Wire):
    """One line of the cart."""

    item_identifier: Annotated[Identifier, short("ITM")]
    parent_item_identifier: Annotated[Identifier | None, short("PURN")] = None
    quantity: Annotated[int, Field(ge=1, le=MOST_UNITS), short("QTY")] = 1


class CustomerInfo(Wire):
    """Who orders."""

    customer_urn: Identifier
    ip_address: IpAddress | None = None


class OrderCart(Wire):
    """What is ordered, out of which offer, by whom."""

    offer_identifier: Annotated[Identifier, short("OID")]
    correlation_id: Annotated[Identifier | None, short("CLD")] = None
    installment_identifier: Identifier | None = None
    reseller_id: Annotated[WholeNumber | None, Field(alias="resellerID")] = None
    items: Annotated[list[CheckoutOrderItem], Field(min_length=1, max_length=MOST_ITEMS), short("ITM")]
    customer: Annotated[CustomerInfo, short("CUST")]


class CheckoutRequest(Wire):
    """An order and how it is paid."""

    order: Annotated[OrderCart, short("ORD")]
    payment_method: Annotated[PaymentMethodDto, short("PMT")]

    def card(self) -> Card | None:
        """The fresh card, if the order is paid with one."""
        return self.payment_method.card()

    @property
    def stored_method_urn(self) -> str | None:
        """The stored method, if the order is paid with one."""
        return self.payment_method.stored_method_urn

    def comparable(self, digest: Callable[[str], str]) -> dict[str, object]:
        """The order and its payment for comparing two calls under one key: long names, defaults applied.

        Everything but the cvc (PCI DSS 3.3.1: not kept, not even as a digest), the ignored token, and the
        correlationId: it is the key, and a repeat that carries it in the header is no other order. What a card says
        takes part only as *digest* of its text.
        """
        return {
            "order": _comparable(self.order.model_dump(by_alias=True), digest),
            "paymentMethod": _comparable(self.payment_method.model_dump(by_alias=True), digest),
        }


def _comparable(value: Any, digest: Callable[[str], str]) -> Any:
    if value is None or type(value) in _AS_IT_IS:
        return value
    if isinstance(value, dict):
        return {name: _comparable(part, digest) for name, part in value.items() if name not in _NOT_COMPARED}
    if isinstance(value, list):
        return [_comparable(part, digest) for part in value]
    if isinstance(value, Secret):
        return digest(value.get_secret_value())
    return str(value) if isinstance(value, str) else value  # An enumeration's word, plain.
