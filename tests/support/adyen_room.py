"""The engine room at a PSP that cannot be asked and tells by notifications: the fake of Adyen, in the test's hands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from werkzeug.test import TestResponse

from shared.domain.states import OrderState
from tests.support.adyen_fake.books import Payment
from tests.support.adyen_fake.fake import AdyenFake
from tests.support.engine_room import EngineRoom
from tests.support.wire import Document, fresh_card
from workers.pay import pay

THREE_DS = "4000002760003184"


@dataclass(frozen=True)
class AdyenRoom:
    """One tenant's orders, and its PSP."""

    room: EngineRoom
    fake: AdyenFake

    def paid(self, payment: Document | None = None, **more: Any) -> str:
        """An order whose payment step was taken once."""
        number = self.room.locked(payment, **more)
        pay(self.room.run, number)
        return number

    def challenged(self, **more: Any) -> str:
        """An order whose shopper is away."""
        number = self.paid(fresh_card(THREE_DS, **more))
        assert self.room.state(number) is OrderState.CHALLENGE
        return number

    def unanswered(self, trouble: str = "drop after", payment: Document | None = None) -> str:
        """An order whose PSP was asked and gave no answer."""
        self.fake.troubles.add(trouble)
        number = self.paid(payment)
        assert self.room.state(number) is OrderState.CONFIRMING
        return number

    def payments(self, number: str) -> list[Payment]:
        """What the PSP holds of an order."""
        return [one for one in self.fake.payments(self.room.account) if one.reference == number]

    def held(self, number: str) -> list[tuple[int, str]]:
        """What it holds of an order for good."""
        rows = self.fake.live_captures(self.room.account)
        return [(value, currency) for reference, value, currency in rows if reference == number]

    def asked(self, path: str) -> int:
        """How often the PSP was asked at *path*."""
        return sum(call[1] == path for call in self.fake.calls)

    def keys(self, number: str, verb: str) -> list[str]:
        """The key of each request that asks for *verb* of an order's payments, in order."""
        ends = tuple(f"/payments/{one.psp_reference}/{verb}" for one in self.payments(number))
        return [headers["Idempotency-Key"] for _, path, _, headers in self.fake.calls if path.endswith(ends)]

    def decides(self, number: str, decision: str) -> str:
        """The shopper presses a button of the page; the way back, not gone yet."""
        redirect = self.room.order(number).redirect
        assert redirect is not None
        return self.fake.click(redirect["redirectUrl"], decision)

    def comes_back(self, way_back: str) -> TestResponse:
        """The shopper's browser follows the PSP to us."""
        parts = urlsplit(way_back)
        with self.room.seller.app.test_client() as client:
            return client.get(f"{parts.path}?{parts.query}")

    def notifications(self, event_code: str = "") -> list[bytes]:
        """What the PSP would tell and has not told yet."""
        told = self.fake.postman.lost
        return [body for body in told if event_code in (_item(body)["eventCode"], "")]

    def deliver(self, body: bytes) -> TestResponse:
        """Bring one notification to the front door."""
        path = f"/api/v1/c2a/psp/adyen/{self.room.account.account_id}/webhook"
        with self.room.seller.app.test_client() as client:
            answer = client.post(path, data=body, content_type="application/json")
        assert answer.status_code == 200, answer.text
        return answer

    def deliver_all(self, event_code: str = "") -> None:
        """Bring everything that waits, in its order."""
        for body in self.notifications(event_code):
            self.deliver(body)
            self.fake.postman.lost.remove(body)


def _item(body: bytes) -> Document:
    item: Document = json.loads(body)["notificationItems"][0]["NotificationRequestItem"]
    return item
