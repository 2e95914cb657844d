"""The fake in the hands of a test: accounts, troubles, shoppers, the back office, and what the books hold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from secrets import token_hex
from typing import Any, Final

import httpx

from shared.psp.port import Account, Channel
from tests.support.adyen_fake.books import Books, Merchant, Payment
from tests.support.adyen_fake.notifications import Postman, body_of
from tests.support.adyen_fake.server import Handler
from tests.support.adyen_fake.till import Till
from tests.support.adyen_fake.troubles import Troubles

TENANT: Final = "e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f"


@dataclass(slots=True)
class AdyenFake:
    """A running fake."""

    books: Books = field(default_factory=Books)
    troubles: Troubles = field(default_factory=Troubles)
    postman: Postman = field(default_factory=Postman)
    calls: list[tuple[str, str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    holds_back: bool = False
    """Whether returns, direct debits and transfers wait until the test lets the back office come to them."""
    till: Till = field(init=False)
    _due: list[Callable[[], None]] = field(default_factory=list)
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10, trust_env=False))

    def __post_init__(self) -> None:
        self.till = Till(self.books, self._tell, self._later)

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return self.till.base_url

    def account(self, webhook_url: str | None = None, **credentials: str) -> Account:
        """A new merchant account, as an adapter needs it."""
        name = f"Shop_{token_hex(4)}"
        merchant = Merchant(name, f"AQ{token_hex(16)}", token_hex(32).upper(), webhook_url)
        self.books.merchants[name] = merchant
        own = {"apiKey": merchant.api_key, "merchantAccount": name, "hmacKey": merchant.hmac_key}
        return Account(
            tenant_id=TENANT,
            provider="adyen",
            account_id=f"acc_{token_hex(8)}",
            adapter="adyen",
            base_url=self.base_url,
            channels=frozenset(Channel),
            credentials=own | credentials,
        )

    def heal(self) -> None:
        """No trouble, nothing held back, nothing lost."""
        self.troubles.heal()
        self.holds_back = self.postman.loses = False
        self.till.refuses_returns = 0
        self.work()

    def work(self) -> None:
        """The back office comes to everything that waits for it."""
        with self.books.lock:
            due, self._due[:] = list(self._due), []
        for one in due:
            one()

    def click(self, page_url: str, decision: str) -> str:
        """Press a button of a page; where the browser is sent, not visited yet."""
        assert page_url.startswith(f"{self.base_url}/page/")
        answer = self._http.post(page_url, data={"decision": decision})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def payments(self, account: Account) -> list[Payment]:
        """What the books hold of an account."""
        name = account.credentials["merchantAccount"]
        return [one for one in self.books.payments if one.merchant.account == name]

    def live_captures(self, account: Account) -> list[tuple[str, int, str]]:
        """Reference, amount and currency of what is held for an account."""
        return [
            (one.reference, one.value - one.returned, one.currency)
            for one in self.payments(account)
            if one.state == "authorised" and one.value > one.returned
        ]

    def body(self, account: Account, event: Mapping[str, Any], extra: Mapping[str, str] | None = None) -> bytes:
        """A signed notification of the test's own making."""
        return body_of(self.books.merchants[account.credentials["merchantAccount"]], event, extra)

    def forget_keys(self) -> None:
        """The lifetime of every idempotency key is over."""
        self.books.keys.clear()

    def close(self) -> None:
        """Let go of what it holds; calls that hang end."""
        self.troubles.over.set()
        self.postman.close()
        self._http.close()

    def _later(self, work: Callable[[], None]) -> None:
        self._due.append(work)
        if not self.holds_back:
            threading.Timer(0.02, self.work).start()

    def _tell(self, payment: Payment, event_code: str, changes: dict[str, Any]) -> None:
        event = {
            "eventCode": event_code,
            "pspReference": payment.psp_reference,
            "merchantReference": payment.reference,
            "amount": {"currency": payment.currency, "value": payment.value},
        } | changes
        extra = {f"metadata.{name}": text for name, text in payment.metadata.items()}
        self.postman.send(payment.merchant, body_of(payment.merchant, event, extra))


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # The default of 5 drops callers that come at once, as a server that is away would.


@contextmanager
def running() -> Iterator[AdyenFake]:
    """A fake on a free port of this machine, stopped at the end."""
    fake = AdyenFake()
    parts = {"books": fake.books, "till": fake.till, "troubles": fake.troubles, "calls": fake.calls}
    with _Server(("127.0.0.1", 0), type("Handler", (Handler,), parts)) as server:
        server.daemon_threads = True
        fake.till.base_url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield fake
        finally:
            fake.close()
            server.shutdown()
            thread.join()
