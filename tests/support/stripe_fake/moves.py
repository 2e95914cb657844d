"""How the money of an intent moves, once it is confirmed, and whom that is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.stripe_fake.books import Books, fresh
from tests.support.stripe_fake.cards import Refusal
from tests.support.stripe_fake.errors import Document, Refused

Tell = Callable[[Books, str, Document], None]
Later = Callable[[float, Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class Moves:
    """What happens to intents. *tell* sends an event, *later* runs something after so many seconds."""

    base_url: Callable[[], str]
    tell: Tell
    later: Later
    settle_s: Callable[[], float]

    def begin(self, books: Books, intent: Document, kind: str, *, off_session: bool) -> None:
        """Confirm *intent* with its method, of *kind*; raises Refused (402) when the issuer says no at once."""
        card = books.cards.get(intent["payment_method"])
        attached = books.methods[intent["payment_method"]]["customer"] is not None
        if kind == "card":
            assert card is not None
            if card.challenges:
                self.send_away(books, intent, "pay")
            elif card.refusal:
                self.refuse(books, intent, card.refusal)
                raise refused(intent)
            else:
                self.take(books, intent)
        elif kind == "sepa_debit":
            self.wait(books, intent)
        elif kind == "customer_balance":
            self._ask_for_transfer(books, intent)
        elif off_session and attached:
            self.take(books, intent)
        else:
            self.send_away(books, intent, "pay")

    def send_away(self, books: Books, intent: Document, page: str) -> None:
        """Have the shopper act on a page."""
        url = f"{self.base_url()}/{page}/{intent['id']}"
        action = {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": None}}
        intent.update(status="requires_action", next_action=action)
        self.tell(books, "payment_intent.requires_action", intent)

    def take(self, books: Books, intent: Document) -> None:
        """Capture it."""
        charge = self._charge(books, intent, "succeeded")
        intent.update(
            status="succeeded", next_action=None, last_payment_error=None, latest_charge=charge["id"],
            amount_received=intent["amount"],
        )  # fmt: skip
        if intent["setup_future_usage"] and intent["customer"]:
            books.methods[intent["payment_method"]]["customer"] = intent["customer"]
        self.tell(books, "payment_intent.succeeded", intent)

    def wait(self, books: Books, intent: Document) -> None:
        """A debit is on its way, and succeeds."""
        intent.update(status="processing", next_action=None)
        self.tell(books, "payment_intent.processing", intent)
        self.later(self.settle_s(), lambda: self._settle(books, intent))

    def refuse(self, books: Books, intent: Document, why: Refusal) -> None:
        """The payment failed; the intent could take another method."""
        charge = self._charge(books, intent, "failed")
        error = {"type": "card_error", "code": why.code, "charge": charge["id"], "message": "STRIPE TEXT"}
        if why.decline_code:
            error["decline_code"] = why.decline_code
        intent.update(
            status="requires_payment_method", next_action=None, payment_method=None, latest_charge=charge["id"],
            last_payment_error=error,
        )  # fmt: skip
        self.tell(books, "payment_intent.payment_failed", intent)

    def cancel(self, books: Books, intent: Document) -> None:
        """End it."""
        intent.update(status="canceled", next_action=None, cancellation_reason="requested_by_customer")
        self.tell(books, "payment_intent.canceled", intent)

    def fund(self, books: Books, intent: Document) -> None:
        """The shopper made the transfer; it arrives after a while."""
        self.later(self.settle_s(), lambda: self._settle(books, intent))

    def _settle(self, books: Books, intent: Document) -> None:
        if intent["status"] in ("processing", "requires_action"):
            self.take(books, intent)

    def _ask_for_transfer(self, books: Books, intent: Document) -> None:
        url = f"{self.base_url()}/transfer/{intent['id']}"
        told = {"type": "eu_bank_transfer", "hosted_instructions_url": url, "amount_remaining": intent["amount"]}
        action = {"type": "display_bank_transfer_instructions", "display_bank_transfer_instructions": told}
        intent.update(status="requires_action", next_action=action)
        self.tell(books, "payment_intent.requires_action", intent)

    def _charge(self, books: Books, intent: Document, status: str) -> Document:
        charge = fresh(
            "ch", "charge", amount=intent["amount"], currency=intent["currency"], status=status, amount_refunded=0,
            refunded=False, payment_intent=intent["id"], metadata=dict(intent["metadata"]),
        )  # fmt: skip
        books.charges[charge["id"]] = charge
        return charge


def refused(intent: Document) -> Refused:
    """402 for the failure *intent* shows."""
    error: dict[str, Any] = dict(intent["last_payment_error"])
    return Refused(402, error.pop("type"), error.pop("code"), **error, payment_intent=dict(intent))
