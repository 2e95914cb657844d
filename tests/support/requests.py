"""Requests that have every field, and ways to change one of them."""

from __future__ import annotations

import copy
import json
from typing import Any, Final

import pytest
from pydantic import BaseModel

from api.openapi import examples
from api.schemas.checkout import CheckoutRequest
from api.validation import read
from shared.domain.refusals import Refusal

ITEM: Final = {"itemIdentifier": "addon.1", "parentItemIdentifier": "bn.00.42", "quantity": 2}
FULL: Final[dict[str, Any]] = {
    "order": {
        "offerIdentifier": "of_1",
        "correlationId": "cart-1",
        "installmentIdentifier": "in.3",
        "resellerID": 7,
        "items": [{"itemIdentifier": "bn.00.42", "quantity": 1}, ITEM],
        "customer": {"customerUrn": "cu.00.482", "ipAddress": "2001:db8::1"},
    },
    "paymentMethod": {
        "paymentChannel": "CreditCard",
        "providerIdentifier": "sandbox",
        "useStoredMethod": False,
        "creditCard": {**examples.CARD, "useStoredMethod": False, "storedMethodUrn": "pm.00.482.7"},
        "storeMethodSuccessPayment": "always",
    },
}
CONTEXT: Final[dict[str, Any]] = {
    "context": {
        **examples.BUNDLES["context"],
        "interactionDate": "2026-11-23",
        "interactionMeans": "Mouse",
        "customTags": {"a": [1, "b"]},
        "originalSubscriptionIdentifier": "sub.1",
    }
}


def holder(document: Any, path: str) -> tuple[dict[str, Any], str]:
    """Where the last name of *path* stands in *document*."""
    *way, last = path.replace("[", ".").replace("]", "").split(".")
    for step in way:
        document = document[int(step)] if step.isdigit() else document[step]
    return document, last


def plain(request: BaseModel) -> Any:
    """What *request* holds, secrets too."""
    return json.loads(json.dumps(request.model_dump(), default=lambda secret: secret.get_secret_value()))


def changed(path: str, value: Any, document: dict[str, Any] = FULL) -> dict[str, Any]:
    sent = copy.deepcopy(document)
    part, name = holder(sent, path)
    part[name] = value
    return sent


def without(path: str) -> dict[str, Any]:
    sent = copy.deepcopy(FULL)
    part, name = holder(sent, path)
    del part[name]
    return sent


def refusal_of(document: Any, model: type[BaseModel] = CheckoutRequest) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read(model, document)
    return caught.value
