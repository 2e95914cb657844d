"""The pages shoppers are sent to, reduced to their buttons: 3DS and wallets, transfer instructions, Checkout."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tests.support.stripe_fake.books import Books
from tests.support.stripe_fake.cards import Refusal
from tests.support.stripe_fake.errors import Document
from tests.support.stripe_fake.moves import Moves
from tests.support.stripe_fake.sessions import Sessions

UNAUTHENTICATED: Final = Refusal("payment_intent_authentication_failure")
TURNED_AWAY: Final = Refusal("payment_method_customer_decline")


def decide(accounts: Iterable[Books], moves: Moves, sessions: Sessions, path: str, decision: str) -> str | None:
    """What *decision* on the page at *path* does; where the browser goes then. None: no such page."""
    _, page, name = path.split("/")
    for books in accounts:
        if page == "checkout" and name in books.sessions:
            return sessions.decide(books, books.sessions[name], decision)
        if page in ("pay", "transfer") and name in books.intents:
            intent = books.intents[name]
            if page == "transfer":
                moves.fund(books, intent)
                return path
            if intent["status"] == "requires_action":
                _act(books, moves, intent, decision)
            return _back(books, intent)
    return None


def _act(books: Books, moves: Moves, intent: Document, decision: str) -> None:
    card = books.cards.get(intent["payment_method"])
    if decision != "approve":
        moves.refuse(books, intent, TURNED_AWAY if card is None else UNAUTHENTICATED)
    elif card is not None and card.refusal is not None:
        moves.refuse(books, intent, card.refusal)
    else:
        moves.take(books, intent)


def _back(books: Books, intent: Document) -> str:
    """Stripe adds what became of it to the merchant's address."""
    url = books.return_urls[intent["id"]]
    how = "succeeded" if intent["status"] == "succeeded" else "failed"
    told = f"payment_intent={intent['id']}&payment_intent_client_secret={intent['client_secret']}&redirect_status={how}"
    return f"{url}{'&' if '?' in url else '?'}{told}"
