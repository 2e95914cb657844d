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
from typing import Any, Final

from sqlalchemy import Connection, DateTime, Text, func, literal, or_, select, type_coerce
from sqlalchemy.dialects.postgresql import JSONB, insert

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
    end = func.date_trunc("milliseconds", func.now() + func.make_interval(0, 0, 0, 0, 0, 0, life_s))
    moment = select(type_coerce(end, DateTime(timezone=True)).label("expires_at")).cte("moment")
    values = _row(tenant_id, draft) | {
        "expires_at": moment.c.expires_at,
        "snapshot": literal(to_wire(draft), JSONB).op("||")(
            func.jsonb_build_object("expiresAt", func.to_char(func.timezone("UTC", moment.c.expires_at), RFC3339))
        ),
    }
    columns = [_kept.c[name] for name in values]
    selected = [
        value if name in ("expires_at", "snapshot") else literal(value, _kept.c[name].type)
        for name, value in values.items()
    ]
    over = literal(selection.valid_until, DateTime(timezone=True))
    statement = insert(_kept).from_select(
        columns, select(*selected).select_from(moment).where(or_(over.is_(None), func.now() < over))
    )
    if customer_urn is not None:
        statement = statement.add_cte(customers.knowing(tenant_id, customer_urn).cte("known"))
    row = conn.execute(statement.returning(_kept.c.expires_at)).one_or_none()
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
        select(_kept.c.customer_urn, _kept.c.snapshot.cast(Text)).where(
            _kept.c.tenant_id == tenant_id, _kept.c.offer_identifier == offer_identifier
        )
    ).one_or_none()
    if row is None:
        return None
    return replace(OfferDocument.model_validate_json(row.snapshot).offer(), customer_urn=row.customer_urn)


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
