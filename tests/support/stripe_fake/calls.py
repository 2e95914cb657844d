"""Which call a request is, the parameters Stripe documents for it, and who answers it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from stripe import params as published
from stripe.params import checkout

from tests.support.stripe_fake import documented, methods
from tests.support.stripe_fake.books import Books
from tests.support.stripe_fake.errors import Document, invalid
from tests.support.stripe_fake.intents import Intents
from tests.support.stripe_fake.sessions import Sessions

Do = Callable[[Books, str, dict[str, Any], str], Document]
RENAMED: Final = "2026-01-01"
"""In versions of the API before it, `allowed_payment_method_types` is called `payment_method_types`."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API; *operation*: how tests name it."""

    operation: str
    takes: Any
    do: Do


def table(intents: Intents, sessions: Sessions) -> list[tuple[str, re.Pattern[str], Call]]:
    """Every call the fake knows: method, path, and what it is."""
    rows: list[tuple[str, str, str, Any, Do]] = [
        ("POST", "customers", "customer", published.CustomerCreateParams,
         lambda books, _, params, __: methods.create_customer(books, params)),
        ("POST", "payment_methods", "method", published.PaymentMethodCreateParams,
         lambda books, _, params, __: methods.create(books, params)),
        ("GET", "payment_methods/:id", "seeMethod", published.PaymentMethodRetrieveParams,
         lambda books, name, params, _: methods.retrieve(books, name, params)),
        ("POST", "payment_methods/:id/attach", "attach", published.PaymentMethodAttachParams,
         lambda books, name, params, _: methods.attach(books, name, params)),
        ("POST", "payment_methods/:id/detach", "forget", published.PaymentMethodDetachParams,
         lambda books, name, params, _: methods.detach(books, name, params)),
        ("POST", "payment_intents", "charge", published.PaymentIntentCreateParams,
         lambda books, _, params, __: intents.create(books, params)),
        ("GET", "payment_intents", "lookUp", published.PaymentIntentListParams,
         lambda books, _, params, __: intents.list_all(books, params)),
        ("GET", "payment_intents/search", "lookUp", published.PaymentIntentSearchParams,
         lambda books, _, params, __: intents.search(books, params)),
        ("GET", "payment_intents/:id", "lookUp", published.PaymentIntentRetrieveParams,
         lambda books, name, params, _: intents.retrieve(books, name, params)),
        ("POST", "payment_intents/:id/cancel", "void", published.PaymentIntentCancelParams,
         lambda books, name, params, _: intents.cancel(books, name, params)),
        ("POST", "refunds", "refund", published.RefundCreateParams,
         lambda books, _, params, __: intents.refund(books, params)),
        ("POST", "checkout/sessions", "charge", checkout.SessionCreateParams,
         lambda books, _, params, version: sessions.create(books, params, version)),
        ("GET", "checkout/sessions", "lookUp", checkout.SessionListParams,
         lambda books, _, params, __: sessions.list_all(books, params)),
        ("POST", "checkout/sessions/:id/expire", "void", checkout.SessionExpireParams,
         lambda books, name, params, _: sessions.expire(books, name, params)),
    ]  # fmt: skip
    return [
        (verb, re.compile("/v1/" + path.replace(":id", r"(\w+)")), Call(operation, takes, do))
        for verb, path, operation, takes, do in rows
    ]


def check(call: Call, params: dict[str, Any], version: str) -> None:
    """Raises Refused for a parameter that Stripe does not document for *call* in *version*."""
    asked = dict(params)
    if version < RENAMED and "payment_method_types" in asked:
        asked["allowed_payment_method_types"] = asked.pop("payment_method_types")
    wrong = documented.misfit(asked, call.takes)
    if wrong is not None:
        raise invalid("parameter_unknown", param=wrong, message=f"Received unknown parameter: {wrong}")
