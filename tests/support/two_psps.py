"""One tenant with accounts at two PSPs, each a process of its own with its own books and its own troubles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, cast
from urllib.parse import urlencode

from shared.config import Settings
from shared.domain.outcomes import PaymentOutcome
from shared.psp.factory import psp_for
from shared.psp.port import Account, ChargeRequest, Psp
from shared.store import accounts
from shared.store.attempts import Attempt
from tests.support import engine_room
from tests.support.asked_beside import request_of
from tests.support.engine_room import EngineRoom, Killed
from tests.support.psp import Sandbox
from tests.support.wire import Document
from workers.pay import pay
from workers.return_money import return_money
from workers.runtime import Runtime

FIRST: Final = "sandbox"
"""Stands first in the tenant's order."""
SECOND: Final = "second"
RANKS: Final = {FIRST: 1, SECOND: 2}


@dataclass(frozen=True)
class TwoPsps:
    """The tenant's room, and its PSPs and accounts by the name it gave them."""

    room: EngineRoom
    sandboxes: Mapping[str, Sandbox]
    accounts: Mapping[str, Account]

    def charges(self, provider: str, number: str) -> list[Document]:
        """What a PSP's books hold of an order."""
        asked = urlencode({"merchantReference": number, "accountId": self.accounts[provider].account_id})
        rows: list[Document] = self.sandboxes[provider].get(f"/ledger?{asked}")["charges"]
        return rows

    def live(self, number: str) -> list[str]:
        """Who holds money of an order that was not given back, a name a capture."""
        return [name for name in self.accounts for row in self.charges(name, number) if row["state"] == "captured"]

    def tried(self, number: str) -> list[tuple[str, str]]:
        """The order's attempts: who was asked, and what is known of it."""
        return [(one.provider, one.outcome.value) for one in self.room.attempts(number)]

    def add(self, account: Account) -> None:
        """Keep another account of the tenant, behind its two."""
        with self.room.run.engine.begin() as conn:
            accounts.save(conn, self.room.run.keyring, account)

    def charge(self, provider: str, attempt: Attempt) -> PaymentOutcome:
        """What the PSP answers to a request under the key of *attempt*, from nobody of ours."""
        return psp_for(self.accounts[provider]).charge(request_of(attempt))

    def asking(self, provider: str, meanwhile: Callable[[], None]) -> Runtime:
        """The engine room where *meanwhile* happens between the request to *provider* and its answer."""

        def told(account: Account, _: ChargeRequest) -> None:
            if account.provider == provider:
                meanwhile()

        return asking(self.room.run, after=told)

    def dies_while_asking(self, provider: str, number: str) -> None:
        """Run the pay step in a worker that dies once *provider* has its request."""

        def die() -> None:
            raise Killed

        try:
            with engine_room.mortal(self.asking(provider, die)) as worker:
                pay(worker, number)
        except Killed:
            return
        raise AssertionError(f"{provider} was not asked")

    def give_back(self, number: str) -> None:
        """Run the step that returns money."""
        return_money(self.room.run, number)

    def keep(self, provider: str, *, enabled: bool = True, **changed: Any) -> None:
        """Keep the account at *provider*, with what is *changed* of it."""
        account = replace(self.accounts[provider], **changed)
        with self.room.run.engine.begin() as conn:
            accounts.save(conn, self.room.run.keyring, account, rank=RANKS[provider], enabled=enabled)


Moment = Callable[[Account, ChargeRequest], None]


def _nothing(_account: Account, _request: ChargeRequest) -> None:
    """What happens where a test wants nothing to happen."""


def asking(run: Runtime, *, before: Moment = _nothing, after: Moment = _nothing) -> Runtime:
    """*run*, with a moment *before* each charge is asked for and one *after* its answer came."""
    return replace(run, psp_for=lambda account: cast("Psp", _Watched(psp_for(account), account, before, after)))


@dataclass(frozen=True, slots=True)
class _Watched:
    """A PSP of which the test knows when it is asked."""

    psp: Psp
    account: Account
    before: Moment
    after: Moment

    def __getattr__(self, name: str) -> Any:
        return getattr(self.psp, name)

    def charge(self, request: ChargeRequest) -> PaymentOutcome:
        """Ask, with the test's moments around it."""
        self.before(self.account, request)
        outcome = self.psp.charge(request)
        self.after(self.account, request)
        return outcome


@contextmanager
def two_psps(settings: Settings, vault_url: str, first: Sandbox, second: Sandbox, **replaced: Any) -> Iterator[TwoPsps]:
    """A tenant of its own at both PSPs; *replaced*: settings by name."""
    with engine_room.opened(settings, vault_url, first, **{"lease_s": 1} | replaced) as room:
        other = replace(second.account(), tenant_id=room.account.tenant_id, provider=SECOND)
        made = TwoPsps(room, {FIRST: first, SECOND: second}, {FIRST: room.account, SECOND: other})
        for provider in made.accounts:
            made.keep(provider)
        yield made
