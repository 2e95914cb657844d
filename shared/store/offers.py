"""How offers are kept: written once, never changed.

A resolved offer's life begins and its promotion is judged by the database's clock, in the one statement that keeps
it; expires_at is cut to the millisecond so that the column says exactly what the answer says.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    DateTime,
    Integer,
    Text,
    bindparam,
    func,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import TypeEngine

from shared.domain.offers import Offer, Presentation
from shared.domain.selection import Selection
from shared.store import customers, tables
from shared.store.offer_documents import OfferDocument
from shared.store.offer_wire import to_wire

IDENTIFIER_BYTES: Final = 16
"""128 random bits: knowing one offer helps nobody to another."""
NOT_YET: Final = datetime.fromtimestamp(0, UTC)
"""expires_at of an offer that is not kept yet; the database decides the true one."""
RFC3339: Final = 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'
"""to_char's spelling of what offer_wire.rfc3339 writes."""

_kept: Final = tables.offers
_COLUMNS: Final = (
    "tenant_id",
    "offer_identifier",
    "customer_urn",
    "purchasable",
    "single_use",
    "currency",
    "lines",
    "installments",
)
"""The columns _row fills."""


def _keeping() -> ReturningInsert[Any]:
    """The statement of keep_resolved; its shape never changes, so it is built once."""

    def new(name: str, type_: TypeEngine[Any] | None = None) -> BindParameter[Any]:
        return bindparam(f"new_{name}", type_=_kept.c[name].type if type_ is None else type_)

    end = func.date_trunc("milliseconds", func.now() + func.make_interval(0, 0, 0, 0, 0, 0, new("life_s", Integer())))
    moment = select(type_coerce(end, DateTime(timezone=True)).label("expires_at")).cte("moment")
    expires_at = func.to_char(func.timezone("UTC", moment.c.expires_at), RFC3339)
    values: dict[str, ColumnElement[Any]] = {name: new(name) for name in _COLUMNS} | {
        "expires_at": moment.c.expires_at,
        "snapshot": new("snapshot").op("||")(func.jsonb_build_object("expiresAt", expires_at)),
    }
    valid_until = new("valid_until", DateTime(timezone=True))
    customer = select(new("tenant_id"), new("customer_urn")).where(new("customer_urn").is_not(None))
    return (
        insert(_kept)
        .from_select(
            [_kept.c[name] for name in values],
            select(*values.values()).select_from(moment).where(or_(valid_until.is_(None), func.now() < valid_until)),
        )
        .add_cte(customers.knowing_each(customer).cte("known"))
        .returning(_kept.c.expires_at)
    )


def new_identifier(presentation: Presentation) -> str:
    """A fresh "of_..." or "sh_..." identifier."""
    prefix = "of" if presentation is Presentation.PURCHASE else "sh"
    return f"{prefix}_{secrets.token_urlsafe(IDENTIFIER_BYTES)}"


def keep_resolved(
    conn: Connection,
    tenant_id: uuid.UUID,
    selection: Selection,
    presentation: Presentation,
    *,
    customer_urn: str | None,
    single_use: bool,
    life_s: int,
) -> Offer | None:
    """Keep *selection* as an offer for *life_s* seconds from now; None if its promotion is over.

    One statement: it also makes the customer known, if the offer is somebody's.
    """
    draft = selection.offer(
        new_identifier(presentation), presentation, customer_urn=customer_urn, single_use=single_use, expires_at=NOT_YET
    )
    given = _row(tenant_id, draft) | {
        "snapshot": to_wire(draft),
        "life_s": life_s,
        "valid_until": selection.valid_until,
    }
    row = conn.execute(_KEEPING, {f"new_{name}": value for name, value in given.items()}).one_or_none()
    return None if row is None else replace(draft, expires_at=row.expires_at)


def keep_imported(conn: Connection, tenant_id: uuid.UUID, offers: Sequence[Offer]) -> set[str]:
    """Keep *offers* as another system resolved them; answers the identifiers that were there already (unchanged)."""
    asked = {offer.offer_identifier for offer in offers}
    kept = conn.execute(
        insert(_kept).on_conflict_do_nothing().returning(_kept.c.offer_identifier),
        [_row(tenant_id, offer) | {"expires_at": offer.expires_at, "snapshot": to_wire(offer)} for offer in offers],
    )
    known = {offer.customer_urn for offer in offers} - {None}
    if known:
        urns = [{"tenant_id": tenant_id, "customer_urn": urn} for urn in sorted(filter(None, known))]
        conn.execute(insert(tables.customers).on_conflict_do_nothing(), urns)
    return asked - set(kept.scalars())


def get(conn: Connection, tenant_id: uuid.UUID, offer_identifier: str) -> Offer | None:
    """The tenant's offer of this identifier, expired or not."""
    row = conn.execute(
        select(*TOLD).where(_kept.c.tenant_id == tenant_id, _kept.c.offer_identifier == offer_identifier)
    ).one_or_none()
    return None if row is None else offer_of(row)


OF_ORDER: Final = (tables.orders.c.tenant_id == _kept.c.tenant_id) & (
    tables.orders.c.offer_identifier == _kept.c.offer_identifier
)
"""In a statement that reads an order and TOLD: the offer it is for, expired or not."""
TOLD: Final = (_kept.c.customer_urn, _kept.c.snapshot.cast(Text))
"""What `offer_of` reads."""


def offer_of(row: Sequence[Any]) -> Offer:
    """The offer that *row*, of TOLD, holds."""
    customer_urn, snapshot = row
    return replace(_offer_in(snapshot), customer_urn=customer_urn)


@lru_cache(maxsize=1_000)
def _offer_in(snapshot: str) -> Offer:
    """The offer *snapshot* says: it never changes, and one that many order is read once; a thousand take some MB."""
    return OfferDocument.model_validate_json(snapshot).offer()


def _row(tenant_id: uuid.UUID, offer: Offer) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "offer_identifier": offer.offer_identifier,
        "customer_urn": offer.customer_urn,
        "purchasable": offer.presentation is Presentation.PURCHASE,
        "single_use": offer.single_use,
        "currency": offer.currency,
        "lines": {key: item.max_quantity for key, item in offer.lines.items()},
        "installments": {plan.installment_identifier: plan.item_identifier for plan in offer.installments},
    }


_KEEPING: Final = _keeping()
