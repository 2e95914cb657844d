"""localstripe, and the door before it, as processes: a Stripe of other people's making for the Stripe adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx

from deploy.stack import ports
from deploy.stack.home import Home
from deploy.stack.product import Wiring
from deploy.stack.program import spawn, stop
from deploy.stack.psps import PSPS
from deploy.stack.waiting import until
from shared.psp.port import Account, Channel

START_S = 60.0


@dataclass(slots=True)
class Localstripe:
    """A running one, as deploy/up runs it."""

    base_url: str
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10, trust_env=False))

    def account(self) -> Account:
        """An account, as an adapter needs it. All accounts share one set of books there."""
        return Account(
            tenant_id="e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f",
            provider="stripe",
            account_id=f"acc_{token_hex(8)}",
            adapter="stripe",
            base_url=self.base_url,
            channels=frozenset(Channel),
            credentials={"apiKey": f"sk_test_{token_hex(16)}", "webhookSecret": f"whsec_{token_hex(16)}"},
        )

    def get(self, path: str) -> dict[str, Any]:
        """A document of its own."""
        answer = self._http.get(f"{self.base_url}{path}", auth=("sk_test_anybody", ""))
        return dict(answer.raise_for_status().json())

    def authenticate(self, reference: str, *, success: bool) -> None:
        """What a shopper does about a 3DS challenge there: it has no page for them."""
        secret = self.get(f"/v1/payment_intents/{reference}")["client_secret"]
        form = {"client_secret": secret, "success": str(success).lower(), "key": "pk_test_anybody"}
        self._http.post(f"{self.base_url}/v1/payment_intents/{reference}/_authenticate", data=form)

    def forget_all(self) -> None:
        """Empty books."""
        self._http.delete(f"{self.base_url}/_config/data").raise_for_status()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()


@contextmanager
def localstripe(folder: Path) -> Iterator[Localstripe]:
    """One on free ports, stopped at the end."""
    home = Home(folder).make()
    wiring = Wiring("", "", "", "", api_port=0, psp_port=ports.kept(home, "psp"), keyring=folder / "keyring.json")
    started = [(program, spawn(program)) for program in PSPS["stripe"].programs(home, wiring)]
    running = Localstripe(wiring.psp_url)
    try:
        for program, _ in started:
            until(program.is_ready, f"{program.name} (see {program.log})", within_s=START_S)
        yield running
    finally:
        running.close()
        for program, process in started:
            stop(process, program)
