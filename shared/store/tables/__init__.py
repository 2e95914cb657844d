"""The tables: what is kept, and which promise each constraint keeps.

Each file holds those of one subject; all are found here, under their names. The tenant stands in every key, so that no
unique key tells one tenant about another. No column may hold a card number or a CVC, sealed or not: sealed cards live
in the vault alone.
"""

from shared.store.tables.columns import metadata
from shared.store.tables.money import payment_attempts, psp_events, refunds
from shared.store.tables.operating import operator_actions
from shared.store.tables.ordering import idempotency_keys, offer_holds, order_events, orders
from shared.store.tables.selling import catalogue, customers, offers, stored_methods
from shared.store.tables.telling import event_deliveries, event_endpoints, tenant_events
from shared.store.tables.tenancy import api_keys, psp_accounts, tenants

__all__ = [
    "api_keys",
    "catalogue",
    "customers",
    "event_deliveries",
    "event_endpoints",
    "idempotency_keys",
    "metadata",
    "offer_holds",
    "offers",
    "operator_actions",
    "order_events",
    "orders",
    "payment_attempts",
    "psp_accounts",
    "psp_events",
    "refunds",
    "stored_methods",
    "tenant_events",
    "tenants",
]
