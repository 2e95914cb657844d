"""Admits an order: the card into the vault, the order into the database, a ring for the engine room.

In that order, so that nothing is promised before it is durable, and nothing durable waits for a card that never
came. The broker is not asked: the ring is handed over and may be lost, the row may not (design, promise 6).
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from api import card_expiry
from api.card_testing import too_many_declines
from api.parts import Parts
from api.refusal_reasons import reason
from api.schemas.checkout import CheckoutRequest
from shared.domain.cards import may_show
from shared.domain.offers import CartLine
from shared.domain.refusals import IdempotencyConflict, InvalidRequest, Refusal, Unavailable
from shared.failpoints import Failpoint, reach
from shared.ids import new_tracking_number
from shared.messages import Lane, Step
from shared.store import admission, orders
from shared.store.admission import Candidate, Holder, NotTogether
from shared.store.engine import statements
from shared.velocity import Shopper

log = structlog.get_logger(__name__)

LONGEST_KEY: Final = 255
"""The contract bounds correlationId by 255; the header is its other spelling."""

AGAIN_WITHIN_S: Final = 0.5
"""Time left for a second try within the 2 s the contract gives to say 503."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Whose number the caller gets, and whether an earlier call got it first."""

    tracking_number: str
    replayed: bool


def admit(parts: Parts, tenant_id: UUID, ask: CheckoutRequest, *, header_key: str | None) -> Accepted:
    """Admit *ask*, or find the order an equal call made. Raises a Refusal, which leaves nothing behind."""
    key = _key(ask, header_key)
    candidate = _candidate(parts, tenant_id, ask, key)
    reach(Failpoint.ADMISSION_BEFORE_VAULT)
    stopped_by = _keep_card(parts, candidate, ask)
    reach(Failpoint.ADMISSION_BEFORE_STATEMENT)
    try:
        holder = _write(parts, candidate, ask, stopped_by)
    except Refusal:
        reach(Failpoint.REFUSAL_BEFORE_FORGETTING)
        _forget(parts, candidate)
        raise
    if holder.tracking_number == candidate.tracking_number:
        reach(Failpoint.ADMISSION_AFTER_STATEMENT)
        parts.doorbell.ring(Step.LOCK_OFFER, candidate.tracking_number, _lane(parts, tenant_id))
        reach(Failpoint.ADMISSION_AFTER_RING)
        return _accepted(candidate, candidate.tracking_number, replayed=False)
    reach(Failpoint.REPEAT_BEFORE_FORGETTING)
    _forget(parts, candidate)
    if holder.digest != candidate.digest:
        raise IdempotencyConflict(_differences(parts, tenant_id, holder, candidate))
    return _accepted(candidate, holder.tracking_number, replayed=True)


def _accepted(candidate: Candidate, tracking_number: str, *, replayed: bool) -> Accepted:
    """The request's own log line is the one that joins the caller's records to ours (contract section 2:
    correlationId); a second line would cost an admission a fortieth of its processor time."""
    joins = None if candidate.correlation_id is None else may_show(candidate.correlation_id)
    structlog.contextvars.bind_contextvars(tracking_number=tracking_number, correlation_id=joins, replayed=replayed)
    return Accepted(tracking_number, replayed)


def _lane(parts: Parts, tenant_id: UUID) -> Lane:
    """Where an order of this tenant waits: beside the others, if it sends so many that they would wait behind it."""
    return Lane.CROWD if parts.crowds.sends(tenant_id, time.monotonic()) else Lane.TURN


def _keep_card(parts: Parts, candidate: Candidate, ask: CheckoutRequest) -> Refusal | None:
    """The card into the vault, if there is one; the refusal of a card whose month is over, and of a shopper of whom too
    many were declined.

    Not raised: an order that was accepted before is told about also then.
    """
    card = ask.card()
    if card is None:
        return None
    past = card_expiry.refusal_of(card, today=parts.clock().date())
    if past is not None:
        return past
    customer = ask.order.customer
    shopper = Shopper(candidate.tenant_id, customer.customer_urn, customer.ip_address)
    declines = parts.vault.put(candidate.tenant_id, candidate.tracking_number, card, sizes_of=shopper.sets)
    return too_many_declines(parts.velocity, shopper) if parts.velocity.is_over(declines) else None


def _key(ask: CheckoutRequest, header: str | None) -> str | None:
    """The caller's idempotency key (contract section 2): correlationId, else the header; both must agree."""
    own = ask.order.correlation_id
    if header is not None and not (0 < len(header) <= LONGEST_KEY and header.isprintable()):
        raise InvalidRequest(f"Idempotency-Key: needs 1 to {LONGEST_KEY} printable characters")
    if own is not None and header is not None and own != header:
        raise InvalidRequest("order.correlationId: differs from the Idempotency-Key header; send one of them")
    return own if own is not None else header


def _candidate(parts: Parts, tenant_id: UUID, ask: CheckoutRequest, given_key: str | None) -> Candidate:
    tracking_number = new_tracking_number()
    key = given_key or tracking_number  # Without a key every call is a new order.
    fingerprints = parts.keyring.fingerprints(tenant_id)
    # Compared under one key alone, so bound to it: else the same month would be the same digest in every order, and
    # counting would tell the twelve apart without any key.
    document = json.dumps(ask.comparable(lambda text: fingerprints.of("card-field", key, text).hex()), sort_keys=True)
    units: Counter[str] = Counter()
    for line in cart_of(ask):
        units[line.key] += line.quantity
    method = ask.payment_method
    return Candidate(
        tenant_id=tenant_id,
        tracking_number=tracking_number,
        key=key,
        digest=fingerprints.of("order", document),
        offer=ask.order.offer_identifier,
        customer=ask.order.customer.customer_urn,
        lines=list(units),
        quantities=list(units.values()),
        installment=ask.order.installment_identifier,
        correlation_id=given_key,
        channel=method.payment_channel,
        provider=method.provider_identifier,
        method=ask.stored_method_urn,
        carries_card=ask.card() is not None,
        keeps_method=method.keeps_method,
        request=document,
        patience_s=parts.settings.first_patience_s,
        deadline_s=parts.settings.admission_patience_s,
    )


def cart_of(ask: CheckoutRequest) -> list[CartLine]:
    """The cart of a request."""
    return [CartLine(item.item_identifier, item.parent_item_identifier, item.quantity) for item in ask.order.items]


def _write(parts: Parts, candidate: Candidate, ask: CheckoutRequest, stopped_by: Refusal | None) -> Holder:
    """Write the order down; a connection that broke, perhaps at COMMIT, is answered with the same statement again.

    One that only went silent is not: the caller has waited long enough and hears 503, and repeats under its key.
    """
    started = time.monotonic()
    try:
        return _write_once(parts, candidate, ask, stopped_by)
    except DBAPIError as error:
        if not error.connection_invalidated or time.monotonic() - started > AGAIN_WITHIN_S:
            raise
        log.warning("admission.again", error=type(error.orig).__name__)
        return _write_once(parts, candidate, ask, stopped_by)


def _write_once(parts: Parts, candidate: Candidate, ask: CheckoutRequest, stopped_by: Refusal | None) -> Holder:
    if stopped_by is None and _has_its_bundles(ask):
        holder = _admit_at_once(parts, candidate)
        if holder is not None:
            return holder
    return _judge(parts, candidate, ask, stopped_by)


def _admit_at_once(parts: Parts, candidate: Candidate) -> Holder | None:
    """With those of its tenant that come at the same moment; alone, if one of them stood in the way of all."""
    try:
        return parts.admissions.ask(candidate.tenant_id, candidate)
    except NotTogether:
        [holder] = admission.admit_at_once(parts.engine, [candidate])
        return holder


def _has_its_bundles(ask: CheckoutRequest) -> bool:
    """Whether every add-on stands beside the bundle line it names (contract section 2: parentItemIdentifier)."""
    bundles = {item.item_identifier for item in ask.order.items if item.parent_item_identifier is None}
    return all(item.parent_item_identifier in bundles | {None} for item in ask.order.items)


def _judge(parts: Parts, candidate: Candidate, ask: CheckoutRequest, stopped_by: Refusal | None) -> Holder:
    """Holding the key: find the earlier order, or say why this one is refused, and leave no key behind."""
    with parts.engine.begin() as conn:
        holder = admission.hold_key(conn, candidate)
        if holder.tracking_number != candidate.tracking_number or _is_written(conn, candidate):
            return holder
        reach(Failpoint.REFUSAL_HOLDING_KEY)
        refusal = stopped_by or reason(conn, candidate, cart_of(ask))
        if refusal is not None:
            reach(Failpoint.REFUSAL_BEFORE_ROLLBACK)
            raise refusal  # Rolls the key back.
        admitted = admission.admit(conn, candidate)  # What stood in its way went away meanwhile.
        if admitted is None:
            raise Unavailable("the offer changed while it was ordered; try again", retry_after_s=1)
        reach(Failpoint.LATE_ADMISSION_BEFORE_COMMIT)
        return admitted


def _is_written(conn: Connection, candidate: Candidate) -> bool:
    """Whether the key is not just claimed but our order's: an earlier try was committed, and only its answer lost."""
    return orders.of_tenant(conn, candidate.tenant_id, candidate.tracking_number) is not None


def _forget(parts: Parts, candidate: Candidate) -> None:
    if candidate.carries_card:
        parts.vault.forget(candidate.tenant_id, candidate.tracking_number)


def _differences(parts: Parts, tenant_id: UUID, holder: Holder, candidate: Candidate) -> str:
    """The paths of the fields that differ from the order that holds the key; never a value."""
    with statements(parts.engine) as conn:
        earlier = orders.of_tenant(conn, tenant_id, holder.tracking_number)
    assert earlier is not None, "a key outlives no order"
    then, now = dict(_leaves("", earlier.request)), dict(_leaves("", json.loads(candidate.request)))
    paths = sorted(path for path in then.keys() | now.keys() if then.get(path) != now.get(path))
    return f"this key belongs to an order that differs in: {', '.join(paths)}"


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(f"{path}.{name}" if path else name, part)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _leaves(f"{path}[{index}]", part)
    else:
        yield path, value
