"""The stored payment methods of a customer: /c2a/customer/payment/methods/... (contract section 5).

A card passes through to the PSP that keeps it and is never written down here. A method is deleted at its PSP first:
a token without a row could never be deleted by anybody. Deleted methods are as unknown as another tenant's.
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response

from api.auth import caller
from api.envelope import answer
from api.method_keeping import add, forget
from api.parts import Parts
from api.query import identifier
from api.schemas import methods as schema
from api.schemas.common import Status
from api.strict_json import body
from shared.domain.refusals import CustomerNotFound, PaymentMethodNotFound
from shared.store import customers, methods
from shared.store.engine import statements
from shared.store.methods import MethodState, StoredMethod

BASE: Final = "/c2a/customer/payment/methods"
SUCCESS: Final = Status(message_code="SUCCESS")


def blueprint(parts: Parts) -> Blueprint:
    """The six routes."""
    routes = Blueprint("methods", __name__)

    @routes.post(f"{BASE}/add")
    def add_method() -> Response:
        return _one(add(parts, caller(), body(schema.AddMethodRequest)))

    @routes.get(f"{BASE}/list")
    def list_methods() -> Response:
        return _listed(_of_customer(parts, identifier("c")))

    @routes.get(f"{BASE}/info")
    def info() -> Response:
        with statements(parts.engine) as conn:
            return _one(methods.get(conn, caller().tenant_id, identifier("p")))

    @routes.delete(f"{BASE}/delete")
    def delete() -> Response:
        return _one(forget(parts, caller(), identifier("p")))

    @routes.post(f"{BASE}/activate")
    def activate() -> Response:
        return _set(parts, MethodState.ACTIVE)

    @routes.post(f"{BASE}/inactivate")
    def inactivate() -> Response:
        return _set(parts, MethodState.INACTIVE)

    return routes


def _set(parts: Parts, state: MethodState) -> Response:
    with statements(parts.engine) as conn:
        return _one(methods.set_state(conn, caller().tenant_id, identifier("p"), state))


def _of_customer(parts: Parts, customer_urn: str) -> list[StoredMethod]:
    tenant_id = caller().tenant_id
    with statements(parts.engine) as conn:
        found = methods.list_of(conn, tenant_id, customer_urn)
        if not found and not customers.is_known(conn, tenant_id, customer_urn):
            raise CustomerNotFound("query.c: no customer of this tenant")
    return found


def _one(method: StoredMethod | None) -> Response:
    if method is None:
        raise PaymentMethodNotFound("query.p: no stored method of this tenant")
    shown = schema.StoredMethod(
        payment_method_urn=method.method_urn,
        customer_urn=method.customer_urn,
        payment_channel=method.channel,
        masked_card_number=method.masked_number,
        card_type=method.card_type,
        expire_month=method.expire_month,
        expire_year=method.expire_year,
        card_alias=method.alias,
        state=method.state,
        stored_at=method.stored_at,
    )
    return answer(schema.PaymentMethodResponse(status=SUCCESS, result=shown))


def _listed(found: list[StoredMethod]) -> Response:
    shown = [
        schema.ListedMethod(
            payment_method_urn=method.method_urn,
            payment_channel=method.channel,
            masked_card_number=method.masked_number,
            card_type=method.card_type,
            state=method.state,
        )
        for method in found
    ]
    return answer(schema.PaymentMethodList(status=SUCCESS, result=shown))
