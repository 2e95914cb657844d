"""A tenant that can sell, on this module's servers: a key, a PSP account, offers, and the front door to order at."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from flask import Flask
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from api.app import create_app
from api.parts import Parts
from shared.domain.offers import Offer
from shared.psp.port import Account, Channel
from shared.store import accounts, offers
from shared.store.engine import statements
from tests.support.catalogue import an_offer
from tests.support.front_door import Shop, a_shop
from tests.support.wire import Document, a_request, an_order, fresh_card

NOWHERE = Account(
    tenant_id="",
    provider="sandbox",
    account_id="",
    adapter="sandbox",
    base_url="http://127.0.0.1:9",  # Nobody listens on the discard port.
    channels=frozenset(Channel),
    credentials={"apiKey": "key_nowhere", "webhookSecret": "whsec_bm93aGVyZQ=="},
)
"""A PSP account for tests that never pay."""


@dataclass(frozen=True)
class Seller:
    """One tenant and its front door."""

    parts: Parts
    shop: Shop
    rows: Engine
    """A way to the rows of any tenant; the front door's own engine may see those of the one it acts for."""

    @cached_property
    def app(self) -> Flask:
        """The front door; any thread may open a client of it."""
        return create_app(self.parts)

    def offer(self, *, life: timedelta = timedelta(minutes=15), **replaced: Any) -> Offer:
        """An offer to anybody, of its own name."""
        made = an_offer(
            **{"offer_identifier": f"of_{uuid.uuid4().hex}", "expires_at": datetime.now(UTC) + life} | replaced
        )
        with self.rows.begin() as conn:
            offers.keep_imported(conn, self.shop.tenant_id, [made])
        return made

    def request(
        self, payment: Document | None = None, *items: Document, offer: Offer | None = None, **more: Any
    ) -> Document:
        """An order of *offer*, a fresh one unless named."""
        identifier = (offer or self.offer()).offer_identifier
        return a_request(an_order(identifier, "cu.00.482", *items, **more), payment or fresh_card())

    def post(self, document: Document) -> TestResponse:
        """POST /c2a/offer/checkout, from whatever thread asks."""
        with self.app.test_client() as client:
            return client.post("/api/v1/c2a/offer/checkout", json=document, headers=self.shop.headers)

    def accepted(
        self, payment: Document | None = None, *items: Document, offer: Offer | None = None, **more: Any
    ) -> str:
        """Order; the tracking number."""
        answer = self.post(self.request(payment, *items, offer=offer, **more))
        assert answer.status_code == 202, answer.text
        return str(answer.get_json()["trackingNumber"])

    def count(self, table: str) -> int:
        """How many rows the tenant has in *table*."""
        with statements(self.rows) as conn:
            query = text(f"SELECT count(*) FROM {table} WHERE tenant_id = :tenant")
            return int(conn.execute(query, {"tenant": self.shop.tenant_id}).scalar_one())


def a_seller(parts: Parts, account: Account = NOWHERE, rows: Engine | None = None) -> Seller:
    """A new tenant whose payments go through *account*; *rows* where the engine of *parts* is bound to one tenant."""
    rows = rows or parts.engine
    shop = a_shop(rows)
    own = replace(account, tenant_id=str(shop.tenant_id), account_id=account.account_id or uuid.uuid4().hex)
    with rows.begin() as conn:
        accounts.save(conn, parts.keyring, own)
    return Seller(parts, shop, rows)
