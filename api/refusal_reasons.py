"""Why an order may not be admitted: asked only when the one statement of admission said no, holding its key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, any_, func, literal, select, text

from shared.domain import refusals as r
from shared.domain.offers import CartLine, Offer, Presentation
from shared.store import methods, offers
from shared.store.admission import TAKES_CURRENCY, Candidate
from shared.store.methods import MethodState
from shared.store.tables import offer_holds, psp_accounts, stored_methods

_TAKES_CURRENCY: Final = text(TAKES_CURRENCY.format(account="psp_accounts", currency="cast(:currency AS text)"))


def reason(conn: Connection, candidate: Candidate, cart: Sequence[CartLine]) -> r.Refusal | None:
    """The refusal of contract section 2 that fits, in its order; None if nothing stands in the way any more."""
    try:
        offer = _judge_offer(conn, candidate, cart)
        _judge_method(conn, candidate)
        _judge_provider(conn, candidate, offer.currency)
    except r.Refusal as refusal:
        return refusal
    return None


def _judge_offer(conn: Connection, candidate: Candidate, cart: Sequence[CartLine]) -> Offer:
    offer = offers.get(conn, candidate.tenant_id, candidate.offer)
    if offer is None or offer.customer_urn not in (None, candidate.customer):
        raise r.OfferNotFound("order.offerIdentifier: no such offer for this customer; resolve one")
    if offer.presentation is not Presentation.PURCHASE:
        raise r.OfferNotPurchasable("order.offerIdentifier: a showcase cannot be ordered; resolve a purchase offer")
    if conn.execute(select(func.clock_timestamp())).scalar_one() >= offer.expires_at:
        raise r.OfferExpired("order.offerIdentifier: the offer has expired; resolve a new one")
    offer.price(cart, candidate.installment)
    if offer.single_use and _is_held(conn, candidate, offer):
        raise r.OfferAlreadyOrdered("order.offerIdentifier: another order holds this offer; resolve a new one")
    return offer


def _is_held(conn: Connection, candidate: Candidate, offer: Offer) -> bool:
    held = select(offer_holds.c.tracking_number).where(
        offer_holds.c.tenant_id == candidate.tenant_id, offer_holds.c.offer_identifier == offer.offer_identifier
    )
    return conn.execute(held).one_or_none() is not None


def _judge_method(conn: Connection, candidate: Candidate) -> None:
    if candidate.method is None:
        return
    method = methods.get(conn, candidate.tenant_id, candidate.method)
    field = "paymentMethod.creditCard.storedMethodUrn"
    if method is None or (method.customer_urn, method.channel) != (candidate.customer, candidate.channel):
        raise r.PaymentMethodNotFound(f"{field}: this customer has no such stored method")
    if method.state is not MethodState.ACTIVE:
        raise r.PaymentMethodInactive(f"{field}: activate the method first")


def _judge_provider(conn: Connection, candidate: Candidate, currency: str) -> None:
    usable = select(psp_accounts.c.provider).where(
        psp_accounts.c.tenant_id == candidate.tenant_id,
        psp_accounts.c.enabled,
        literal(candidate.channel) == any_(psp_accounts.c.channels),
        _TAKES_CURRENCY.bindparams(currency=currency),
    )
    if candidate.provider is not None:
        usable = usable.where(psp_accounts.c.provider == candidate.provider)
    if candidate.method is not None:  # A token belongs to the PSP that minted it.
        minted_by = select(stored_methods.c.provider).where(
            stored_methods.c.tenant_id == candidate.tenant_id, stored_methods.c.method_urn == candidate.method
        )
        usable = usable.where(psp_accounts.c.provider.in_(minted_by))
    if conn.execute(usable.limit(1)).one_or_none() is None:
        field = "providerIdentifier" if candidate.provider is not None else "paymentChannel"
        raise r.ProviderNotAvailable(f"paymentMethod.{field}: no enabled PSP of yours takes this payment")
