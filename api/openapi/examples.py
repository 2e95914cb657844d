"""The published examples, as the OpenAPI document shows them and the tests send them."""

from __future__ import annotations

from typing import Any, Final

_TRACKING: Final = "trk_01KB3V6W2N8Q4R7T9YX5C1D0EF"
_STATUS_URL: Final = f"https://checkout.example/api/v1/c2a/offer/checkout/{_TRACKING}/status"

_ORDER: Final[dict[str, Any]] = {
    "offerIdentifier": "of_01KB3V6VQ4ZC8M2S5H7J9K1P3T",
    "correlationId": "cart-2026-000482-1",
    "items": [{"itemIdentifier": "bn.00.42", "quantity": 1}],
    "customer": {"customerUrn": "cu.00.482", "ipAddress": "203.0.113.7"},
}
CARD: Final = {
    "cardHolderName": "Jane Doe",
    "cardNumber": "4111111111111111",
    "expireYear": "2029",
    "expireMonth": "12",
    "cvc": "123",
    "cardAlias": "Personal Visa",
}

FRESH_CARD: Final[dict[str, Any]] = {
    "order": _ORDER,
    "paymentMethod": {
        "paymentChannel": "CreditCard",
        "creditCard": CARD,
        "storeMethodSuccessPayment": "always",
    },
}
STORED_CARD: Final[dict[str, Any]] = {
    "order": {**_ORDER, "correlationId": "cart-2026-000482-2"},
    "paymentMethod": {
        "paymentChannel": "CreditCard",
        "useStoredMethod": True,
        "creditCard": {"useStoredMethod": True, "storedMethodUrn": "pm.00.482.7"},
    },
}
ALIASES: Final[dict[str, Any]] = {
    "ORD": {
        "OID": _ORDER["offerIdentifier"],
        "CLD": "cart-2026-000482-3",
        "ITM": [{"ITM": "bn.00.42", "QTY": 1}],
        "CUST": {"customerUrn": "cu.00.482"},
    },
    "PMT": {
        "TP": "CreditCard",
        "CC": {"CHN": "Jane Doe", "CN": "4111111111111111", "EY": "2029", "EM": "12", "CVC": "123"},
        "SM": "never",
    },
}

ACCEPTED: Final[dict[str, Any]] = {
    "trackingNumber": _TRACKING,
    "status": {"messageCode": "CHECK_OUT_PROCESSING"},
    "followUpInstructions": {
        "retryAfterSeconds": 2,
        "remainingRetryCount": 30,
        "currentRetryAttempt": 0,
        "followUpUrl": _STATUS_URL,
        "canFollowUp": True,
    },
}
CHALLENGED: Final[dict[str, Any]] = {
    **ACCEPTED,
    "status": {"messageCode": "CHECK_OUT_3DS_REQUIRED"},
    "redirectInstructions": {
        "redirectUrl": "https://psp.example/challenge/ch_1",
        "threeDIdentifier": "ch_1",
        "isRedirectRequired": True,
        "hasNextSteps": True,
        "showHtmlContent": False,
    },
}
DONE: Final[dict[str, Any]] = {
    "trackingNumber": _TRACKING,
    "status": {"messageCode": "CHECK_OUT_DONE"},
    "followUpInstructions": {"canFollowUp": False},
}
FAILED: Final[dict[str, Any]] = {
    **DONE,
    "status": {"messageCode": "CHECK_OUT_FAILED"},
    "message": "CARD_DECLINED: insufficient_funds",
}
REFUSED: Final[dict[str, Any]] = {
    "trackingNumber": None,
    "status": {"messageCode": "OFFER_EXPIRED"},
    "followUpInstructions": {"canFollowUp": False},
}

BUNDLES: Final[dict[str, Any]] = {
    "context": {
        "customerUrn": "cu.00.482",
        "promotionCode": "CMP1WKWAFY",
        "stepIndex": 0,
        "interactionType": "NewAcquisition",
        "channel": "Azotte",
        "storefrontUrn": "st.00.001",
        "clientPlatformType": "Web",
    }
}
SHOWCASE: Final[dict[str, Any]] = {
    "context": {"storefrontUrn": "st.00.001", "promotionCode": "CMP1WKWAFY", "clientPlatformType": "Web"}
}
OFFER: Final[dict[str, Any]] = {
    "status": {"messageCode": "SUCCESS"},
    "offer": {
        "offerIdentifier": _ORDER["offerIdentifier"],
        "presentationType": "Purchase",
        "productGroupType": "RecurringSubscription",
        "storefrontUrn": "st.00.001",
        "currency": "EUR",
        "expiresAt": "2026-11-23T12:15:00.000Z",
        "singleUse": True,
        "artifactGroups": [
            {
                "bundleUrn": "bn.00.42",
                "name": "Pro Monthly",
                "items": [
                    {
                        "itemIdentifier": "bn.00.42",
                        "kind": "Bundle",
                        "parentItemIdentifier": None,
                        "name": "Pro Monthly",
                        "price": {"amountMilpieces": 1499, "currency": "EUR"},
                        "maxQuantity": 1,
                    }
                ],
            }
        ],
        "installments": [],
        "appliedCampaigns": [],
    },
}

ADD_METHOD: Final[dict[str, Any]] = {
    "customerUrn": "cu.00.482",
    "paymentMethod": {"paymentChannel": "CreditCard", "creditCard": CARD},
}
METHOD: Final[dict[str, Any]] = {
    "status": {"messageCode": "SUCCESS"},
    "result": {
        "paymentMethodUrn": "pm.00.482.7",
        "customerUrn": "cu.00.482",
        "paymentChannel": "CreditCard",
        "maskedCardNumber": "411111******1111",
        "cardType": "VISA",
        "expireMonth": "12",
        "expireYear": "2029",
        "cardAlias": "Personal Visa",
        "state": "Active",
        "storedAt": "2026-11-23T12:00:00Z",
    },
}
_LISTED: Final = ("paymentMethodUrn", "paymentChannel", "maskedCardNumber", "cardType", "state")
METHODS: Final[dict[str, Any]] = {
    "status": {"messageCode": "SUCCESS"},
    "result": [
        {name: METHOD["result"][name] for name in _LISTED},
        {
            "paymentMethodUrn": "pm.00.482.3",
            "paymentChannel": "CreditCard",
            "maskedCardNumber": "555555******4444",
            "cardType": "MASTERCARD",
            "state": "Inactive",
        },
    ],
}
