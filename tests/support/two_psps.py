"""One tenant with accounts at two PSPs, each a process of its own with its own books and its own troubles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from shared.config import Settings
from shared.psp.port import Account
from shared.store import accounts
from tests.support import engine_room
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from tests.support.wire import Document

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
        rows = self.sandboxes[provider].charges(self.accounts[provider])
        return [row for row in rows if row["merchantReference"] == number]

    def live(self, number: str) -> list[str]:
        """Who holds money of an order that was not given back, a name a capture."""
        return [name for name in self.accounts for row in self.charges(name, number) if row["state"] == "captured"]

    def tried(self, number: str) -> list[tuple[str, str]]:
        """The order's attempts: who was asked, and what is known of it."""
        return [(one.provider, one.outcome.value) for one in self.room.attempts(number)]

    def keep(self, provider: str, *, enabled: bool = True, **changed: Any) -> None:
        """Keep the account at *provider*, with what is *changed* of it."""
        account = replace(self.accounts[provider], **changed)
        with self.room.run.engine.begin() as conn:
            accounts.save(conn, self.room.run.keyring, account, rank=RANKS[provider], enabled=enabled)


@contextmanager
def two_psps(settings: Settings, vault_url: str, first: Sandbox, second: Sandbox, **replaced: Any) -> Iterator[TwoPsps]:
    """A tenant of its own at both PSPs; *replaced*: settings by name."""
    with engine_room.opened(settings, vault_url, first, **{"lease_s": 1} | replaced) as room:
        other = replace(second.account(), tenant_id=room.account.tenant_id, provider=SECOND)
        made = TwoPsps(room, {FIRST: first, SECOND: second}, {FIRST: room.account, SECOND: other})
        for provider in made.accounts:
            made.keep(provider)
        yield made
