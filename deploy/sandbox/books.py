"""What the sandbox knows at the moment: the sum of its ledger's lines.

Every change is one line, applied to memory and handed to the ledger together; reading the file back applies the same
lines, so a restarted sandbox knows what the killed one had promised.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from secrets import token_hex

from deploy.sandbox.keys import KeyMemory, Remembered, body_of
from deploy.sandbox.ledger import Ledger, Line
from deploy.sandbox.records import Charge, PspAccount, Token, charge_of_line, charge_to_line, stamp, token_of_line


@dataclass(frozen=True, slots=True)
class Event:
    """A webhook to be: what happened to which charge, as it stood then."""

    event_id: str
    kind: str
    created_at: float
    charge: Charge

    def body(self) -> str:
        """The exact text that is signed and sent."""
        return body_of(
            {"id": self.event_id, "type": self.kind, "createdAt": stamp(self.created_at), "charge": self.charge.shown()}
        ).decode()


@dataclass(frozen=True, slots=True)
class KeyUse:
    """The idempotency key a change was made under."""

    operation: str
    key: str
    digest: str


class Books:
    """Accounts, charges, kept methods, remembered keys and webhooks that wait to be delivered."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.accounts: dict[str, PspAccount] = {}
        self.account_of_key: dict[str, PspAccount] = {}
        self.charges: dict[str, Charge] = {}
        self.tokens: dict[str, Token] = {}
        self.keys = KeyMemory()
        self.undelivered: dict[str, Event] = {}
        self._by_merchant_reference: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._by_account: dict[str, list[str]] = defaultdict(list)
        for line in ledger.lines():
            self._apply(line)

    def charges_of(self, account_id: str, merchant_reference: str) -> list[Charge]:
        """An account's charges for one merchant reference, oldest first."""
        return [self.charges[ref] for ref in self._by_merchant_reference.get((account_id, merchant_reference), ())]

    def charges_since(self, account_id: str, since: str, *, start: int, limit: int) -> list[tuple[int, Charge]]:
        """At most *limit* charges of an account from its *start*-th on, oldest first, each with its number.

        Those made before *since* (RFC 3339 UTC) are left out.
        """
        references = self._by_account.get(account_id, [])
        first = bisect_left(references, since, key=lambda reference: stamp(self.charges[reference].created_at))
        numbers = range(max(start, first), len(references))[:limit]
        return [(number, self.charges[references[number]]) for number in numbers]

    def save_account(self, account: PspAccount) -> None:
        """Open an account, or change it."""
        self._write({"account": asdict(account)})

    def save_charge(self, charge: Charge, *, event: str | None, under: KeyUse | None = None) -> Event | None:
        """Record how a charge stands now, the kept method that came with it, and the webhook that tells of it."""
        line: Line = {"charge": charge_to_line(charge)}
        if under:
            line["key"] = asdict(under)
        if event:
            line["event"] = {"id": f"evt_{token_hex(12)}", "kind": event}
        self._write(line)
        return self.undelivered[line["event"]["id"]] if event else None

    def save_token(self, token: Token, under: KeyUse) -> None:
        """Record a method kept without a charge."""
        self._write({"token": asdict(token), "key": asdict(under)})

    def forget_token(self, token: str) -> None:
        """Record that a kept method is gone."""
        self._write({"forgotten": token})

    def delivered(self, event_id: str) -> None:
        """Record that a webhook needs no more delivery. Losing this line only sends it once more."""
        self._write({"delivered": event_id})

    def due(self) -> Iterable[Charge]:
        """Charges that will move by themselves."""
        return [charge for charge in self.charges.values() if charge.due_at is not None]

    def _write(self, line: Line) -> None:
        line["at"] = time.time()
        self._apply(line)
        self.ledger.append(line)

    def _apply(self, line: Line) -> None:
        at: float = line["at"]
        if "account" in line:
            self._apply_account(PspAccount(**line["account"]))
        if "charge" in line:
            self._apply_charge(charge_of_line(line["charge"]), line, at)
        if "token" in line:
            token = token_of_line(line["token"])
            self.tokens[token.token] = token
            self._remember(line, token.account_id, body_of({"kept": token.shown()}), at)
        if "forgotten" in line:
            self.tokens.pop(line["forgotten"], None)
        if "delivered" in line:
            self.undelivered.pop(line["delivered"], None)

    def _apply_account(self, account: PspAccount) -> None:
        earlier = self.accounts.get(account.account_id)
        if earlier:
            self.account_of_key.pop(earlier.api_key, None)
        self.accounts[account.account_id] = account
        self.account_of_key[account.api_key] = account

    def _apply_charge(self, charge: Charge, line: Line, at: float) -> None:
        known = self.charges.get(charge.reference)
        if known is None:
            self._by_merchant_reference[charge.account_id, charge.merchant_reference].append(charge.reference)
            self._by_account[charge.account_id].append(charge.reference)
        self.charges[charge.reference] = charge
        # A line tells of a kept method each time the charge moves; it is new only the first time.
        if charge.kept and (known is None or known.kept is None):
            self.tokens[charge.kept.token] = charge.kept
        self._remember(line, charge.account_id, body_of(charge.shown()), at)
        if "event" in line:
            event = Event(line["event"]["id"], line["event"]["kind"], at, charge)
            self.undelivered[event.event_id] = event

    def _remember(self, line: Line, account_id: str, body: bytes, at: float) -> None:
        if "key" in line:
            use = KeyUse(**line["key"])
            self.keys.keep((account_id, use.operation, use.key), Remembered(use.digest, body, at))
