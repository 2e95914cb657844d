"""A storefront in a few calls: what the demo does over HTTP, as any client of the published API would."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any, Final

import httpx

from deploy.stack import signals

CUSTOMER: Final = "cu.00.482"
TERMINAL: Final = frozenset({"CHECK_OUT_DONE", "CHECK_OUT_FAILED"})
ANSWER_WITHIN_S: Final = 10.0
"""More than any answer takes."""


class Refused(RuntimeError):
    """The API did not answer as it does to the published examples."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that was accepted, and when we may ask for it."""

    tracking_number: str
    follow_up_url: str
    retry_after_s: float


class Shop:
    """One storefront's way to the API."""

    def __init__(self, base_url: str, *, tenant: str, api_key: str) -> None:
        headers = {"x-api-key": api_key, "x-tn": tenant}
        self._http = httpx.Client(
            base_url=f"{base_url}/api/v1", headers=headers, timeout=ANSWER_WITHIN_S, trust_env=False
        )

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def offer(self) -> dict[str, Any]:
        """A fresh offer for our customer; raises Refused."""
        context = {
            "customerUrn": CUSTOMER,
            "promotionCode": "CMP1WKWAFY",
            "stepIndex": 0,
            "interactionType": "NewAcquisition",
            "channel": "Azotte",
            "storefrontUrn": "st.00.001",
            "clientPlatformType": "Web",
        }
        offer: dict[str, Any] = _read(self._http.post("/c2a/offer/bundles", json={"context": context}))["offer"]
        return offer

    def submit(self, offer: Mapping[str, Any], payment_method: Mapping[str, Any], correlation_id: str) -> Placed:
        """Order one of the offer's first item; raises Refused."""
        order = {
            "offerIdentifier": offer["offerIdentifier"],
            "correlationId": correlation_id,
            "items": [{"itemIdentifier": offer["artifactGroups"][0]["items"][0]["itemIdentifier"], "quantity": 1}],
            "customer": {"customerUrn": CUSTOMER},
        }
        response = self._http.post("/c2a/offer/checkout", json={"order": order, "paymentMethod": payment_method})
        document = _read(response)
        follow_up = document["followUpInstructions"]
        return Placed(document["trackingNumber"], follow_up["followUpUrl"], float(response.headers["retry-after"]))

    def follow(self, placed: Placed, *, sooner: Event, within_s: float) -> dict[str, Any]:
        """Poll until the order ended; its last answer. Raises Refused when it does not end in time,
        or StopAsked.

        We ask again when we are told to (Retry-After), or at once when *sooner* is set by somebody with other news.
        """
        deadline = time.monotonic() + within_s
        patience = placed.retry_after_s
        while time.monotonic() < deadline:
            sooner.wait(patience)
            sooner.clear()
            signals.check()
            response = self._http.get(placed.follow_up_url)
            document = _read(response)
            if document["status"]["messageCode"] in TERMINAL:
                return document
            patience = float(response.headers.get("retry-after", patience))
        raise Refused(f"order {placed.tracking_number} did not end within {within_s:g} s")

    def methods(self) -> list[str]:
        """The URNs of our customer's stored payment methods."""
        response = self._http.get("/c2a/customer/payment/methods/list", params={"c": CUSTOMER})
        if response.status_code == httpx.codes.NOT_FOUND:
            return []  # A customer nobody has seen yet has none.
        return [method["paymentMethodUrn"] for method in _read(response)["result"]]


def _read(response: httpx.Response) -> dict[str, Any]:
    if not response.is_success:
        raise Refused(f"{response.request.method} {response.request.url.path}: {response.status_code} {response.text}")
    document: dict[str, Any] = response.json()
    return document
