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

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Engine, LargeBinary, Text, Uuid, bindparam, text
from sqlalchemy.exc import DBAPIError

from shared.store.direct import Direct


@dataclass(frozen=True, slots=True)
class Candidate:
    """An order as it asks to be admitted. *lines* and *quantities* go pairwise; *request* is the JSON text of the order
    as asked, card fields as keyed digests."""

    tenant_id: UUID
    tracking_number: str
    key: str
    digest: bytes
    offer: str
    customer: str
    lines: list[str]
    quantities: list[int]
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


_CLAIM: Final = """
    INSERT INTO idempotency_keys (tenant_id, key, tracking_number, digest)
    {source}
    ON CONFLICT ON CONSTRAINT idempotency_keys_one_order_per_key DO UPDATE SET key = excluded.key
    RETURNING tracking_number, digest, key
"""

IN_COMPANY_MS: Final = 50
"""How long orders that are written down together wait for a key that somebody else holds. An admission holds one for
a few milliseconds; past that each is written down alone, so that one that is held up holds up no other."""

TAKES_CURRENCY: Final = "coalesce(nullif({account}.terms -> 'currencies', 'null') @> to_jsonb({currency}), true)"
"""Whether an account takes a currency: where its terms (shared/psp/port.py: AccountTerms) name none, it takes all."""

_PAYABLE: Final = f"""
    SELECT :tenant_id, asked.key, asked.tracking_number, decode(asked.digest, 'hex')
    FROM asked CROSS JOIN LATERAL (
        SELECT offer.* FROM offers AS offer
        WHERE offer.tenant_id = :tenant_id AND offer.offer_identifier = asked.offer
          AND (offer.customer_urn IS NULL OR offer.customer_urn = asked.customer)
          AND offer.purchasable
          AND offer.expires_at > clock_timestamp()
        LIMIT 1) AS offer
    WHERE NOT EXISTS (
          SELECT FROM jsonb_each(asked.lines) AS line (key, quantity)
          WHERE coalesce((offer.lines ->> line.key)::integer, 0) < line.quantity::integer)
      AND (asked.installment IS NULL OR asked.lines ? (offer.installments ->> asked.installment))
      AND NOT (offer.single_use AND EXISTS (
          SELECT FROM offer_holds WHERE tenant_id = :tenant_id AND offer_identifier = asked.offer))
      AND EXISTS (
          SELECT FROM psp_accounts AS account
          WHERE account.tenant_id = :tenant_id AND account.enabled AND asked.channel = ANY (account.channels)
            AND (asked.provider IS NULL OR account.provider = asked.provider)
            AND {TAKES_CURRENCY.format(account="account", currency="offer.currency")}
            AND (asked.method IS NULL OR EXISTS (
                SELECT FROM stored_methods AS method
                WHERE method.tenant_id = :tenant_id AND method.method_urn = asked.method
                  AND method.customer_urn = asked.customer AND method.channel = asked.channel
                  AND method.state = 'Active' AND method.provider = account.provider)))
    ORDER BY asked.key
"""  # noqa: S608 - only our own text is put together
"""Of those who ask, who may be admitted. An offer is looked up for each order by its key, whatever
PostgreSQL expects of either table (LIMIT 1)."""

ADMIT: Final = text(f"""
WITH patience AS MATERIALIZED (
    SELECT set_config('lock_timeout', coalesce(:lock_timeout, current_setting('lock_timeout')), true) AS is_set
), asked AS MATERIALIZED (
    SELECT asked.* FROM patience CROSS JOIN json_to_recordset(CAST(:asked AS json)) AS asked (
        key text, tracking_number text, digest text, offer text, customer text, lines jsonb,
        installment text, correlation_id text, channel text, provider text, method text, carries_card boolean,
        keeps_method boolean, request jsonb, patience_s integer, deadline_s integer)
    WHERE patience.is_set IS NOT NULL
), claimed AS (
    {_CLAIM.format(source=_PAYABLE)}
), admitted AS (
    INSERT INTO orders (tenant_id, tracking_number, offer_identifier, customer_urn, correlation_id, channel,
                        forced_provider, stored_method_urn, carries_card, keeps_method, request,
                        due_at, deadline_at)
    SELECT :tenant_id, asked.tracking_number, asked.offer, asked.customer, asked.correlation_id, asked.channel,
           asked.provider, asked.method, asked.carries_card, asked.keeps_method, asked.request,
           now() + make_interval(secs => asked.patience_s), now() + make_interval(secs => asked.deadline_s)
    FROM claimed JOIN asked ON asked.tracking_number = claimed.tracking_number
    ON CONFLICT DO NOTHING
    RETURNING tenant_id, tracking_number, version, state
), told AS (
    INSERT INTO order_events (tenant_id, tracking_number, version, event, state, actor)
    SELECT tenant_id, tracking_number, version, 'admitted', state, 'api' FROM admitted
)
SELECT key, tracking_number, digest FROM claimed
""").bindparams(  # noqa: S608 - every value is bound; only our own text is put together
    bindparam("tenant_id", type_=Uuid), bindparam("asked", type_=Text), bindparam("lock_timeout", type_=Text)
)
"""In this order: the patience is set before the first key is claimed, as no row is asked for without it,
and keys are claimed in their order, so that two batches of the same keys never wait for each other both ways."""

HOLD_KEY: Final = text(_CLAIM.format(source="VALUES (:tenant_id, :key, :tracking_number, :digest)")).bindparams(
    bindparam("tenant_id", type_=Uuid), bindparam("digest", type_=LargeBinary)
)

_AT_ONCE: Final = Direct(ADMIT)


class NotTogether(RuntimeError):
    """One order of several stood in the way of all; none was admitted, and each may be tried alone."""


def admit_at_once(engine: Engine, candidates: Sequence[Candidate]) -> list[Holder | None]:
    """Admit *candidates*, all of one tenant, in one round trip; of each, who holds its key, None if it may not be
    admitted. Raises NotTogether, or what the database raises."""
    try:
        rows = _AT_ONCE.all(engine, _values(candidates))
    except DBAPIError as error:
        if len(candidates) > 1 and not error.connection_invalidated:
            raise NotTogether from error
        raise
    return _holders(candidates, rows)


def admit(conn: Connection, candidate: Candidate) -> Holder | None:
    """The same in the caller's transaction, for one."""
    [holder] = _holders([candidate], conn.execute(ADMIT, _values([candidate])).all())
    return holder


def hold_key(conn: Connection, candidate: Candidate) -> Holder:
    """Claim the key alone, waiting on whoever holds it; for the transaction that is about to refuse."""
    row = conn.execute(HOLD_KEY, {name: getattr(candidate, name) for name in _KEY_VALUES}).one()
    return Holder(row.tracking_number, row.digest)


_KEY_VALUES: Final = ("tenant_id", "key", "tracking_number", "digest")


def _holders(candidates: Sequence[Candidate], rows: Iterable[Sequence[Any]]) -> list[Holder | None]:
    holders = {key: Holder(tracking_number, digest) for key, tracking_number, digest in rows}
    return [holders.get(candidate.key) for candidate in candidates]


def _values(candidates: Sequence[Candidate]) -> dict[str, Any]:
    # Of equal calls the first asks for all: who holds the key then is the same for each.
    first_of_key = {candidate.key: candidate for candidate in reversed(candidates)}
    return {
        "tenant_id": candidates[0].tenant_id,
        "lock_timeout": f"{IN_COMPANY_MS}ms" if len(candidates) > 1 else None,
        "asked": f"[{','.join(map(_document, first_of_key.values()))}]",
    }


def _document(candidate: Candidate) -> str:
    """*candidate* as the statement reads it; its request is JSON already."""
    values = {
        "key": candidate.key,
        "tracking_number": candidate.tracking_number,
        "digest": candidate.digest.hex(),
        "offer": candidate.offer,
        "customer": candidate.customer,
        "lines": dict(zip(candidate.lines, candidate.quantities, strict=True)),
        "installment": candidate.installment,
        "correlation_id": candidate.correlation_id,
        "channel": candidate.channel,
        "provider": candidate.provider,
        "method": candidate.method,
        "carries_card": candidate.carries_card,
        "keeps_method": candidate.keeps_method,
        "patience_s": candidate.patience_s,
        "deadline_s": candidate.deadline_s,
    }
    return f'{json.dumps(values)[:-1]}, "request": {candidate.request}}}'
