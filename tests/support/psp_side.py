"""The sandbox PSP of a running stack, as its operator and its shoppers reach it: ledger, faults, challenge page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from tests.support.kept_connections import KEPT
from tests.support.wire import Document

LIVE: Final = frozenset({"captured"})
OPEN: Final = frozenset({"captured", "challenge", "pending"})
"""States of the ledger in which money is held or may still be."""


@dataclass(slots=True)
class PspSide:
    """One sandbox PSP."""

    base_url: str
    # A shopper comes back to our API with it too.
    _http: httpx.Client = field(
        default_factory=lambda: httpx.Client(timeout=20, trust_env=False, limits=KEPT), repr=False
    )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def charges(self, merchant_reference: str | None = None) -> list[Document]:
        """GET /ledger, of one order if it is named by its correlationId, else tracking number."""
        wanted = {} if merchant_reference is None else {"merchantReference": merchant_reference}
        rows: list[Document] = self._get("/ledger", wanted)["charges"]
        return rows

    def money(self, merchant_reference: str) -> list[tuple[int, str]]:
        """What the PSP holds for good of one order: (amount, currency) of each capture that was not given back."""
        return [
            (row["amountMinor"] - row["refundedMinor"], row["currency"])
            for row in self.charges(merchant_reference)
            if row["state"] in LIVE
        ]

    def traffic(self, account_id: str) -> Document:
        """How often an account called, in all and in its busiest second, and how often it was refused for it."""
        return self._get(f"/traffic/{account_id}")

    def set_faults(self, **faults: Any) -> None:
        """POST /faults."""
        self._http.post(f"{self.base_url}/faults", json=faults).raise_for_status()

    def heal(self) -> None:
        """DELETE /faults."""
        self._http.delete(f"{self.base_url}/faults").raise_for_status()

    def webhooks(self, merchant_reference: str) -> list[Document]:
        """The webhooks about one order, the newest first."""
        rows: list[Document] = self._get("/webhooks")["webhooks"]
        return [row for row in rows if row["merchantReference"] == merchant_reference]

    def send_again(self, event_id: str) -> None:
        """Send one webhook once more, whatever became of it."""
        self._http.post(f"{self.base_url}/webhooks/{event_id}/send").raise_for_status()

    def page(self, redirect_url: str) -> httpx.Response:
        """The challenge page as a browser opens it."""
        assert redirect_url.startswith(self.base_url), "a redirect leads to the PSP"
        return self._http.get(redirect_url)

    def decide(self, redirect_url: str, decision: str) -> str:
        """Press a button of the challenge page; the address the browser is sent to, not visited yet."""
        answer = self._http.post(redirect_url, data={"decision": decision})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def come_back(self, return_url: str) -> httpx.Response:
        """Visit the address the shopper was sent back to."""
        assert urlsplit(return_url).path.endswith("/return")
        return self._http.get(return_url)

    def _get(self, path: str, params: dict[str, str] | None = None) -> Document:
        document: Document = self._http.get(self.base_url + path, params=params).raise_for_status().json()
        return document
