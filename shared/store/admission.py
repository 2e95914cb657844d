"""Writes an order down, or says why not: one round trip when it is admitted.

The statement claims the idempotency key only for an order that may be admitted, and its conflict clause waits on
whoever holds the key and then shows their order, even one whose commit this statement's snapshot did not see. So
equal calls at the same moment get one order. When it claims nothing, the reason is looked for a second time, now
holding the key: a repeat is answered even if its offer has expired since, and a refusal is only given while no
equal call can be admitted beside it; the rollback leaves no key behind.

A call that lost its connection at COMMIT runs the same statement again (never a SELECT: what was cut off may
become visible later); its own tracking number tells it that the order is its own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Connection, Engine, Integer, LargeBinary, Text, Uuid, bindparam, text

from shared.store.direct import Direct


@dataclass(frozen=True, slots=True)
class Candidate:
    """An order as it asks to be admitted. *lines* and *quantities* go pairwise; *items* are the identifiers alone;
    *request* is the JSON text of the order as asked, card fields as keyed digests."""

    tenant_id: UUID
    tracking_number: str
    key: str
    digest: bytes
    offer: str
    customer: str
    lines: list[str]
    quantities: list[int]
    items: list[str]
    installment: str | None
    correlation_id: str | None
    channel: str
    provider: str | None
    method: str | None
    carries_card: bool
    keeps_method: bool
    request: str
    patience_s: int
    deadline_s: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose order holds the key, and the digest of what was asked then."""

    tracking_number: str
    digest: bytes


_TYPES: Final = (
    bindparam("tenant_id", type_=Uuid),
    bindparam("digest", type_=LargeBinary),
    bindparam("lines", type_=ARRAY(Text)),
    bindparam("quantities", type_=ARRAY(Integer)),
    bindparam("items", type_=ARRAY(Text)),
    bindparam("installment", type_=Text),
    bindparam("provider", type_=Text),
    bindparam("method", type_=Text),
    bindparam("correlation_id", type_=Text),
    bindparam("request", type_=Text),
)

_CLAIM: Final = """
    INSERT INTO idempotency_keys (tenant_id, key, tracking_number, digest)
    {source}
    ON CONFLICT ON CONSTRAINT idempotency_keys_one_order_per_key DO UPDATE SET key = excluded.key
    RETURNING tracking_number, digest
"""

TAKES_CURRENCY: Final = "coalesce(nullif({account}.terms -> 'currencies', 'null') @> to_jsonb({currency}), true)"
"""Whether an account takes a currency: where its terms (shared/psp/port.py: AccountTerms) name none, it takes all."""

ADMIT: Final = text(f"""
WITH payable AS (
    SELECT FROM offers AS offer
    WHERE offer.tenant_id = :tenant_id AND offer.offer_identifier = :offer
      AND (offer.customer_urn IS NULL OR offer.customer_urn = :customer)
      AND offer.purchasable
      AND offer.expires_at > clock_timestamp()
      AND NOT EXISTS (
          SELECT FROM unnest(:lines, :quantities) AS line (key, quantity)
          WHERE coalesce((offer.lines ->> line.key)::integer, 0) < line.quantity)
      AND (:installment IS NULL OR offer.installments ->> :installment = ANY (:items))
      AND NOT (offer.single_use AND EXISTS (
          SELECT FROM offer_holds WHERE tenant_id = :tenant_id AND offer_identifier = :offer))
      AND EXISTS (
          SELECT FROM psp_accounts AS account
          WHERE account.tenant_id = :tenant_id AND account.enabled AND :channel = ANY (account.channels)
            AND (:provider IS NULL OR account.provider = :provider)
            AND {TAKES_CURRENCY.format(account="account", currency="offer.currency")}
            AND (:method IS NULL OR EXISTS (
                SELECT FROM stored_methods AS method
                WHERE method.tenant_id = :tenant_id AND method.method_urn = :method
                  AND method.customer_urn = :customer AND method.channel = :channel
                  AND method.state = 'Active' AND method.provider = account.provider)))
), claimed AS (
    {_CLAIM.format(source="SELECT :tenant_id, :key, :tracking_number, :digest FROM payable")}
), admitted AS (
    INSERT INTO orders (tenant_id, tracking_number, offer_identifier, customer_urn, correlation_id, channel,
                        forced_provider, stored_method_urn, carries_card, keeps_method, request,
                        due_at, deadline_at)
    SELECT :tenant_id, :tracking_number, :offer, :customer, :correlation_id, :channel,
           :provider, :method, :carries_card, :keeps_method, CAST(:request AS jsonb),
           now() + make_interval(secs => :patience_s), now() + make_interval(secs => :deadline_s)
    FROM claimed WHERE claimed.tracking_number = :tracking_number
    ON CONFLICT DO NOTHING
    RETURNING tenant_id, tracking_number, version, state
), told AS (
    INSERT INTO order_events (tenant_id, tracking_number, version, event, state, actor)
    SELECT tenant_id, tracking_number, version, 'admitted', state, 'api' FROM admitted
)
SELECT tracking_number, digest FROM claimed
""").bindparams(*_TYPES)  # noqa: S608 - every value is bound; only our own text is put together

HOLD_KEY: Final = text(_CLAIM.format(source="VALUES (:tenant_id, :key, :tracking_number, :digest)")).bindparams(
    *_TYPES[:2]
)


_AT_ONCE: Final = Direct(ADMIT)


def admit_at_once(engine: Engine, candidate: Candidate) -> Holder | None:
    """Admit *candidate* in one round trip of its own, or find who holds its key; None if it may not be admitted."""
    row = _AT_ONCE.one_or_none(engine, _values(candidate))
    return None if row is None else Holder(*row)


def admit(conn: Connection, candidate: Candidate) -> Holder | None:
    """The same in the caller's transaction."""
    row = conn.execute(ADMIT, _values(candidate)).one_or_none()
    return None if row is None else Holder(row.tracking_number, row.digest)


def hold_key(conn: Connection, candidate: Candidate) -> Holder:
    """Claim the key alone, waiting on whoever holds it; for the transaction that is about to refuse."""
    row = conn.execute(HOLD_KEY, {name: getattr(candidate, name) for name in _KEY_VALUES}).one()
    return Holder(row.tracking_number, row.digest)


_KEY_VALUES: Final = ("tenant_id", "key", "tracking_number", "digest")
_VALUES: Final = tuple(field.name for field in fields(Candidate))


def _values(candidate: Candidate) -> dict[str, Any]:
    return {name: getattr(candidate, name) for name in _VALUES}
