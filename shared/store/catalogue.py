"""What a tenant sells: imported whole, read whole, resolved in memory.

A catalogue file is JSON lines, and it is the whole catalogue: importing it replaces what was there, in one
transaction. A line is one of (fields with "?" may be left out; amounts in minor units):

    {"kind": "bundle", "bundleUrn": "bn.00.42", "storefrontUrn": "st.00.001", "name": "Pro Monthly",
     "itemIdentifier": "it.00.42", "productGroupType": "RecurringSubscription" | "OneTime",
     "price": {"amountMilpieces": 1499, "currency": "EUR"}, "maxQuantity"?: 1,
     "addOns"?: [{"itemIdentifier", "name", "amountMilpieces", "maxQuantity"?}],
     "installments"?: [{"installmentIdentifier", "count", "amountMilpieces"}],
     "interactionTypes"?: ["NewAcquisition"], "channels"?: ["Azotte"], "clientPlatformTypes"?: ["Web"]}
    {"kind": "promotion", "code": "CMP1WKWAFY", "name": "Welcome", "percentOff": 20 | "amountOff": 500,
     "currency"? (with amountOff): "EUR", "bundles"?: ["bn.00.42"] | "all", "storefrontUrn"?: "st.00.001",
     "validUntil"?: "2030-01-01T00:00:00Z"}

Within a file every bundleUrn and every code is told once, and within a storefront every bundle's itemIdentifier and
every installmentIdentifier. How the lines become prices: shared/domain/selection.py and shared/domain/catalogue.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, Text, delete, func, insert, select

from shared.domain.catalogue import Catalogue
from shared.store import tables
from shared.store.catalogue_documents import MODEL_OF, BundleDocument, CatalogueDocument, PromotionDocument

ANY_STOREFRONT: Final = ""
"""storefront_urn of a promotion that holds everywhere."""


def replace(conn: Connection, tenant_id: uuid.UUID, batches: Iterable[list[CatalogueDocument]]) -> None:
    """Make the documents of *batches* the tenant's whole catalogue; two imports of a tenant wait for each other."""
    conn.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"catalogue:{tenant_id}", 0))))
    conn.execute(delete(tables.catalogue).where(tables.catalogue.c.tenant_id == tenant_id))
    for batch in batches:
        conn.execute(insert(tables.catalogue), [_row(tenant_id, document) for document in batch])


def load(conn: Connection, tenant_id: uuid.UUID) -> Catalogue:
    """All the tenant sells, bundles in the order of their URNs."""
    rows = conn.execute(
        select(tables.catalogue.c.kind, tables.catalogue.c.document.cast(Text))
        .where(tables.catalogue.c.tenant_id == tenant_id)
        .order_by(tables.catalogue.c.identifier.collate("C"))
    ).all()
    documents = [MODEL_OF[kind].model_validate_json(document) for kind, document in rows]
    return Catalogue(
        bundles=tuple(document.bundle() for document in documents if isinstance(document, BundleDocument)),
        promotions=tuple(document.promotion() for document in documents if isinstance(document, PromotionDocument)),
    )


def _row(tenant_id: uuid.UUID, document: CatalogueDocument) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "kind": document.kind,
        "identifier": document.bundle_urn if isinstance(document, BundleDocument) else document.code,
        "storefront_urn": document.storefront_urn or ANY_STOREFRONT,
        "document": document.model_dump(mode="json", by_alias=True, exclude_unset=True),
    }
