"""What keeping and forgetting a card takes: the PSP is asked, then the row is written, never both at once.

A PSP that did not answer an add may have kept a token that nobody names; it holds no money and is the PSP's to age
out. Taking it back blindly after a failed commit would be worse: the commit may have reached the database, and the
stored method would then point at nothing.
"""

from __future__ import annotations

import math
import secrets
from typing import Final

from api import card_expiry
from api.card_testing import too_many_declines
from api.parts import Parts
from api.schemas.methods import AddMethodRequest
from shared.domain.outcomes import Declined, KeptMethod, NotSent, Unanswered
from shared.domain.refusals import CardDeclined, PaymentMethodNotFound, ProviderNotAvailable, PspUnavailable
from shared.failpoints import Failpoint, reach
from shared.psp.port import Account, Channel
from shared.psp.router import Need, choose
from shared.routing import candidates_of
from shared.store import accounts, methods
from shared.store.engine import statements
from shared.store.keys import Caller
from shared.store.methods import StoredMethod, StoredToken
from shared.velocity import NOT_THE_CARDS_FAULT, Shopper

PSP_BACK_S: Final = 5
"""When a caller may try a silent PSP again: an outage of seconds is the common one."""


def add(parts: Parts, who: Caller, request: AddMethodRequest) -> StoredMethod:
    """Have a PSP keep the card and store what it kept.

    Raises InvalidCard (its month is over), RateLimited (too many cards of this customer were declined),
    ProviderNotAvailable, CardDeclined (the reason is its message) or PspUnavailable.
    """
    card = request.card()
    past = card_expiry.refusal_of(card, today=parts.clock().date())
    if past is not None:
        raise past
    shopper = Shopper(who.tenant_id, request.customer_urn)
    if parts.velocity.blocks(shopper):
        raise too_many_declines(parts.velocity, shopper)
    account = _account_for(parts, who, request.payment_method.provider_identifier)
    reach(Failpoint.KEEPING_BEFORE_CALL)
    name = f"keep_{secrets.token_urlsafe(16)}"
    kept = parts.psp_for(account).keep_card(card, customer_urn=request.customer_urn, psp_key=name)
    reach(Failpoint.KEEPING_AFTER_CALL)
    match kept:
        case KeptMethod():
            return _store(parts, who, request.customer_urn, account, kept, alias=card.alias)
        case Declined():
            if kept.reason not in NOT_THE_CARDS_FAULT:
                parts.velocity.count(shopper, name)
            raise CardDeclined(kept.reason.value)
        case Unanswered() | NotSent():
            raise PspUnavailable("the PSP did not answer; nothing was stored", retry_after_s=_back_s(kept))


def forget(parts: Parts, who: Caller, method_urn: str) -> StoredMethod:
    """Have the PSP forget the method, then end it here.

    Raises PaymentMethodNotFound, or PspUnavailable with nothing changed.
    """
    token, account = _kept_at(parts, who, method_urn)
    reach(Failpoint.DELETION_BEFORE_CALL)
    if not parts.psp_for(account).forget_token(token.token):
        raise PspUnavailable("the PSP did not answer; the method is as it was", retry_after_s=PSP_BACK_S)
    reach(Failpoint.DELETION_AFTER_CALL)
    with statements(parts.engine) as conn:
        deleted = methods.mark_deleted(conn, who.tenant_id, method_urn)
    reach(Failpoint.DELETION_AFTER_STATEMENT)
    if deleted is None:  # Somebody else's delete of the same method came first.
        raise PaymentMethodNotFound
    return deleted


def _account_for(parts: Parts, who: Caller, forced: str | None) -> Account:
    with statements(parts.engine) as conn:
        usable = accounts.for_tenant(conn, parts.keyring, who.tenant_id)
    need = Need(Channel.CREDIT_CARD, provider=forced, keep_method=True)
    account = choose(candidates_of(usable, parts.psp_for, parts.records(usable)), need).best
    if account is None:
        path = "paymentMethod.providerIdentifier" if forced else "paymentMethod.paymentChannel"
        raise ProviderNotAvailable(f"{path}: no PSP of this tenant takes cards under it")
    return account


def _back_s(kept: Unanswered | NotSent) -> int:
    """When the PSP may be tried again: as its gate says, else as an outage usually takes."""
    return PSP_BACK_S if kept.retry_after is None else math.ceil(kept.retry_after.total_seconds()) or 1


def _kept_at(parts: Parts, who: Caller, method_urn: str) -> tuple[StoredToken, Account]:
    with statements(parts.engine) as conn:
        token = methods.token_of(conn, parts.keyring, who.tenant_id, method_urn)
        if token is None:
            raise PaymentMethodNotFound
        account = accounts.get(conn, parts.keyring, who.tenant_id, token.provider)
    if account is None:
        raise PspUnavailable("the account that keeps this method is no longer configured", retry_after_s=PSP_BACK_S)
    return token, account


def _store(
    parts: Parts, who: Caller, customer_urn: str, account: Account, kept: KeptMethod, *, alias: str | None
) -> StoredMethod:
    with parts.engine.begin() as conn:
        method_urn = methods.store(
            conn,
            parts.keyring,
            who.tenant_id,
            customer_urn,
            Channel.CREDIT_CARD,
            account.provider,
            kept,
            alias=alias,
            tracking_number=None,
        )
        stored = methods.get(conn, who.tenant_id, method_urn)
        reach(Failpoint.KEEPING_BEFORE_COMMIT)
    reach(Failpoint.KEEPING_AFTER_COMMIT)
    assert stored is not None  # Written in this transaction.
    return stored
