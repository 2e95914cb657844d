"""The published examples, verbatim, end as DONE: a fresh card that is kept, then the stored card it made.

The two are tried under long names, under aliases and mixed, and under both prefixes (contract sections 1 and 2).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.psp_side import PspSide
from tests.support.storefront import DONE, Storefront, code_of, new_correlation
from tests.support.wire import Document, in_aliases, in_mixed_names

CUSTOMER = "cu.00.482"
CONTEXT = {
    "customerUrn": "cu.00.482",
    "promotionCode": "CMP1WKWAFY",
    "stepIndex": 0,
    "interactionType": "NewAcquisition",
    "channel": "Azotte",
    "storefrontUrn": "st.00.001",
    "clientPlatformType": "Web",
}
SHOWN_PRICE = 1199
"""1499 EUR cents less the promotion's fifth, to the cent."""

Spelling = Callable[[Document], Document]
SPELLINGS = pytest.mark.parametrize(
    ("spelling", "prefix"),
    [
        pytest.param(dict, "/api/v1", id="long names, /api/v1"),
        pytest.param(dict, "/api", id="long names, /api"),
        pytest.param(in_aliases, "/api/v1", id="aliases, /api/v1"),
        pytest.param(in_mixed_names, "/api", id="mixed names, /api"),
    ],
)


def fresh(offer: str, correlation: str) -> Document:
    """The published order with a fresh card."""
    return {
        "order": {
            "offerIdentifier": offer,
            "correlationId": correlation,
            "items": [{"itemIdentifier": "it.00.42", "quantity": 1}],
            "customer": {"customerUrn": CUSTOMER, "ipAddress": "203.0.113.7"},
        },
        "paymentMethod": {
            "paymentChannel": "CreditCard",
            "providerIdentifier": None,
            "useStoredMethod": False,
            "creditCard": {
                "cardHolderName": "Jane Doe",
                "cardNumber": "4111111111111111",
                "expireYear": "2029",
                "expireMonth": "12",
                "cvc": "123",
                "cardAlias": "Personal Visa",
                "useStoredMethod": False,
            },
            "storeMethodSuccessPayment": "always",
        },
    }


def stored(offer: str, correlation: str, method_urn: str) -> Document:
    """The published order with a stored card."""
    return {
        "order": {
            "offerIdentifier": offer,
            "correlationId": correlation,
            "items": [{"itemIdentifier": "it.00.42", "quantity": 1}],
            "customer": {"customerUrn": CUSTOMER},
        },
        "paymentMethod": {
            "paymentChannel": "CreditCard",
            "useStoredMethod": True,
            "creditCard": {"useStoredMethod": True, "storedMethodUrn": method_urn, "storedMethodToken": "not-ours"},
            "storeMethodSuccessPayment": "never",
        },
    }


def methods_of(shop: Storefront, customer: str) -> list[str]:
    answer = shop.call("GET", "/c2a/customer/payment/methods/list", params={"c": customer})
    return [method["paymentMethodUrn"] for method in answer.json()["result"] or []]


def ends_done(shop: Storefront, psp: PspSide, prefix: str, document: Document, correlation: str) -> None:
    answer = shop.submit(document, prefix=prefix, headers={"Accept": "application/clientOutput+Json"})
    assert answer.status_code == 202, answer.text
    assert answer.headers["content-type"] == "application/clientOutput+Json"

    ended = shop.end(answer.json()["trackingNumber"])

    assert ended == {
        "trackingNumber": answer.json()["trackingNumber"],
        "status": {"messageCode": DONE},
        "followUpInstructions": {"canFollowUp": False},
    }
    assert psp.money(correlation) == [(SHOWN_PRICE, "EUR")]


@SPELLINGS
def test_the_published_examples_end_as_done(shop: Storefront, psp: PspSide, spelling: Spelling, prefix: str) -> None:
    def an_offer() -> str:
        answer = shop.call("POST", "/c2a/offer/bundles", prefix=prefix, json={"context": CONTEXT})
        assert code_of(answer.json()) == "SUCCESS"
        return str(answer.json()["offer"]["offerIdentifier"])

    offer, correlation = an_offer(), new_correlation()
    before = methods_of(shop, CUSTOMER)
    ends_done(shop, psp, prefix, spelling(fresh(offer, correlation)), correlation)

    [made] = set(methods_of(shop, CUSTOMER)) - set(before)
    info = shop.call("GET", "/c2a/customer/payment/methods/info", params={"p": made}).json()["result"]
    assert info["maskedCardNumber"] == "411111******1111"
    assert info["cardAlias"] == "Personal Visa"
    assert info["state"] == "Active"

    offer, correlation = an_offer(), new_correlation()
    ends_done(shop, psp, prefix, spelling(stored(offer, correlation, made)), correlation)


@pytest.mark.parametrize("prefix", ["/api/v1", "/api"])
def test_the_published_showcase_is_answered(shop: Storefront, prefix: str) -> None:
    context = {"storefrontUrn": "st.00.001", "promotionCode": "CMP1WKWAFY", "clientPlatformType": "Web"}

    answer = shop.call("POST", "/c2a/offer/showcase", prefix=prefix, json={"context": context})

    assert answer.status_code == 200
    assert code_of(answer.json()) == "SUCCESS"
    assert answer.json()["offer"]["offerIdentifier"].startswith("sh_")
    assert answer.json()["offer"]["presentationType"] == "Showcase"
