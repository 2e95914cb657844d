"""Tenants that have one of everything, and the identifiers by which one might ask for what is another's."""

from __future__ import annotations

import json
import secrets
import uuid
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from sqlalchemy import Connection, Engine, func, insert

from api.parts import Parts
from shared.domain.offers import Offer
from shared.domain.outcomes import KeptMethod
from shared.domain.states import OrderState
from shared.domain.tenant_events import EventKind, TenantEvent
from shared.ids import new_tracking_number
from shared.psp.port import Account, Channel
from shared.store import accounts, catalogue, endpoints, keys, methods, tables, telling
from shared.store.attempts import Attempt, AttemptState
from shared.store.catalogue_documents import MODEL_OF
from shared.store.keys import KeyRole
from tests.support.attempt_rows import write_ahead
from tests.support.catalogue import bundle_line, promotion_line
from tests.support.order_rows import an_order
from tests.support.selling import NOWHERE, Seller, a_seller
from tests.support.storefront import new_correlation

SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""With which the PSP of every tenant here signs."""
KEPT: Final = KeptMethod("tok_1", "411111******1111", "VISA", "2039", "12")


@dataclass(frozen=True, slots=True)
class Ids:
    """One identifier of each kind that a request may carry."""

    number: str
    offer: str
    method: str
    customer: str
    storefront: str
    promotion: str
    provider: str
    correlation: str
    psp_key: str
    account: str

    def with_one_of(self, other: Ids, kind: str) -> Ids:
        """These, the one of *kind* replaced by the other's; a method comes with its customer."""
        kinds = ("method", "customer") if kind == "method" else (kind,)
        return replace(self, **{each: getattr(other, each) for each in kinds})


KINDS: Final = tuple(field.name for field in fields(Ids))


@dataclass(frozen=True, slots=True)
class OneOfTwo:
    """A tenant, and what is its own."""

    seller: Seller
    ids: Ids
    offer: Offer
    operator_key: str

    def own(self, kind: str) -> Ids:
        """Its identifiers; a correlation or a customer is one that nobody else has used yet, for that makes it theirs,
        too."""
        if kind == "correlation":
            return replace(self.ids, correlation=_ordered_under(self.seller, self.offer))
        if kind == "customer":
            return replace(self.ids, customer=_new_customer(self.seller))
        return self.ids


def nobodys() -> Ids:
    """Identifiers of the right shapes that nobody has."""
    word = secrets.token_hex(6)
    return Ids(
        number=new_tracking_number(),
        offer=f"of_{uuid.uuid4().hex}",
        method=f"pm.{word}.1",
        customer=f"cu.{word}",
        storefront=f"st.{word}",
        promotion=f"P{word}",
        provider=f"psp-{word}",
        correlation=new_correlation(),
        psp_key=secrets.token_hex(20),
        account=f"acc_{secrets.token_hex(12)}",
    )


def a_tenant(parts: Parts, rows: Engine) -> OneOfTwo:
    """A new tenant with a row in every table; *rows*: a way to the rows of any tenant."""
    ids = nobodys()
    signed = dict(NOWHERE.credentials) | {"webhookSecret": SECRET}
    account = replace(NOWHERE, account_id=ids.account, credentials=signed)
    seller = a_seller(parts, account, rows)
    offer = seller.offer(single_use=False)
    ids = replace(ids, offer=offer.offer_identifier)
    attempt = _an_attempt(rows, seller, ids)
    ids = replace(ids, number=attempt.tracking_number)
    with rows.begin() as conn:
        write_ahead(conn, attempt)
        accounts.save(conn, parts.keyring, _second_account(seller, ids))
        catalogue.replace(conn, seller.shop.tenant_id, [[_document(line) for line in _goods(ids)]])
        _keep_the_rest(conn, parts, seller.shop.tenant_id, ids)
        operator_key = keys.create(conn, seller.shop.tenant_id, KeyRole.OPERATOR, live=False)
    return OneOfTwo(seller, replace(ids, correlation=_ordered_under(seller, offer)), offer, operator_key)


def _ordered_under(seller: Seller, offer: Offer) -> str:
    correlation = new_correlation()
    seller.accepted(offer=offer, correlationId=correlation)
    return correlation


def _new_customer(seller: Seller) -> str:
    customer = nobodys().customer
    with seller.rows.begin() as conn:
        _keep_method(conn, seller.parts, seller.shop.tenant_id, customer)
    return customer


def _an_attempt(rows: Engine, seller: Seller, ids: Ids) -> Attempt:
    """The attempt of an order that is being paid; the order is there, the attempt still to be written."""
    order = an_order(rows, OrderState.PAYING, tenant_id=seller.shop.tenant_id)
    return Attempt(
        tenant_id=order.tenant_id,
        tracking_number=order.tracking_number,
        attempt_no=1,
        provider="sandbox",
        psp_key=ids.psp_key,
        merchant_reference=order.tracking_number,
        amount_minor=1499,
        currency="EUR",
        outcome=AttemptState.OPEN,
        psp_reference=None,
        kept_token=None,
        looks=0,
        started_at=order.seen_at,
        asked_at=order.seen_at,
    )


def _second_account(seller: Seller, ids: Ids) -> Account:
    return replace(
        NOWHERE,
        tenant_id=str(seller.shop.tenant_id),
        provider=ids.provider,
        account_id=f"acc_{secrets.token_hex(12)}",
    )


def _goods(ids: Ids) -> list[dict[str, Any]]:
    return [bundle_line(storefrontUrn=ids.storefront), promotion_line(code=ids.promotion)]


def _document(line: dict[str, Any]) -> Any:
    return MODEL_OF[line["kind"]].model_validate_json(json.dumps(line))


def _keep_the_rest(conn: Connection, parts: Parts, tenant_id: uuid.UUID, ids: Ids) -> None:
    assert _keep_method(conn, parts, tenant_id, ids.customer) == ids.method
    held = {"tenant_id": tenant_id, "offer_identifier": "of_held", "tracking_number": ids.number}
    conn.execute(insert(tables.offer_holds).values(held))
    told = {"tenant_id": tenant_id, "provider": "sandbox", "event_id": f"evt_{ids.psp_key}", "kind": "charge.captured"}
    conn.execute(insert(tables.psp_events).values(told))
    acted = {"action_id": uuid.uuid4(), "action": "retry", "outcome": "done", "told": "It is due now."}
    by = {"tracking_number": ids.number, "who": "Ana", "why": "the shopper called"}
    refund = {"action_id": uuid.uuid4(), "attempt_no": 1, "amount_minor": 1, "currency": "EUR"}
    conn.execute(insert(tables.refunds).values(tenant_id=tenant_id, tracking_number=ids.number, **refund))
    conn.execute(insert(tables.operator_actions).values(tenant_id=tenant_id, **acted, **by))
    listening, _ = endpoints.add(conn, parts.keyring, tenant_id, "https://hooks.shop.example/", EventKind)
    event = TenantEvent(tenant_id, f"evt_{ids.psp_key}", EventKind.VOIDED, ids.number, 1, "{}")
    telling.tell(conn, event)
    sent = {"endpoint_id": listening.endpoint_id, "event_id": event.event_id, "kind": event.kind, "body": event.body}
    conn.execute(
        insert(tables.event_deliveries).values(
            sent | {"tenant_id": tenant_id, "subject": event.subject, "place": 1, "at": func.now()}
        )
    )


def _keep_method(conn: Connection, parts: Parts, tenant_id: uuid.UUID, customer: str) -> str:
    where = (Channel.CREDIT_CARD, "sandbox", KEPT)
    return methods.store(conn, parts.keyring, tenant_id, customer, *where, alias=None, tracking_number=None)
