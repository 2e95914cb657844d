"""What one account has at the fake: plain documents as Stripe shows them, and what it keeps to itself beside them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, Final

from tests.support.stripe_fake.cards import TestCard
from tests.support.stripe_fake.errors import Document, invalid, missing

EXPANDABLE: Final = {"latest_charge": "charges", "payment_method": "methods", "customer": "customers"}


@dataclass(slots=True)
class Books:
    """One account: its objects by id, the oldest first."""

    api_key: str
    webhook_url: str | None
    webhook_secret: str
    customers: dict[str, Document] = field(default_factory=dict)
    methods: dict[str, Document] = field(default_factory=dict)
    intents: dict[str, Document] = field(default_factory=dict)
    charges: dict[str, Document] = field(default_factory=dict)
    refunds: dict[str, Document] = field(default_factory=dict)
    sessions: dict[str, Document] = field(default_factory=dict)
    cards: dict[str, TestCard] = field(default_factory=dict)
    """What the card of a method does; no number is kept."""
    used_up: set[str] = field(default_factory=set)
    """Methods that were detached: they can never be used again."""
    indexed_at: dict[str, float] = field(default_factory=dict)
    """When an intent comes into the search index, by time.monotonic()."""
    return_urls: dict[str, str] = field(default_factory=dict)

    def find(self, what: str, name: str, *, param: str) -> Document:
        """The object *name*; raises Refused, naming *param*."""
        found: Document | None = getattr(self, what).get(name)
        if found is None:
            raise missing(what.removesuffix("s"), param)
        return found

    def live(self) -> list[Document]:
        """Intents whose money is here."""
        taken = [intent for intent in self.intents.values() if intent["status"] == "succeeded"]
        return [intent for intent in taken if not self.charges[intent["latest_charge"]]["refunded"]]


def fresh(prefix: str, kind: str, **fields: Any) -> Document:
    """A new object."""
    return {"id": f"{prefix}_{token_hex(12)}", "object": kind, "created": int(time.time()), "livemode": False, **fields}


def shown(books: Books, document: Document, expand: list[str]) -> Document:
    """*document* with what was asked to be shown in whole; raises Refused for what cannot be."""
    out = dict(document)
    for path in expand:
        if path not in out or path not in EXPANDABLE:
            raise invalid("parameter_unknown", param="expand")
        if out[path] is not None:
            out[path] = getattr(books, EXPANDABLE[path])[out[path]]
    return out
