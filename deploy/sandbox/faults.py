"""What is set to go wrong at the moment, and how POST /faults changes it.

Every field has a bound and a reason. The settings live in memory: a restarted sandbox is a healthy one.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from deploy.sandbox.cards import Behaviour, Trouble

Operation = Literal["charge", "lookUp", "void", "refund", "token", "forget"]
Share = Annotated[float, Field(ge=0, le=1)]

LONGEST_PROCESSING_S: Final = 30
"""No call turns into a charge later than this after it came in: latencyMs and slowSeconds end there. An adapter's
Capabilities.longest_processing rests on it."""
STRIKES_KEPT: Final = 100_000
"""How many merchant references we count strikes for before we forget all of them."""


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, alias_generator=to_camel, validate_by_name=True, hide_input_in_errors=True
    )


class WebhookFaults(_Part):
    """What happens to webhooks; the shares are probabilities per event."""

    delay_ms: int = Field(default=0, ge=0, le=600_000)
    jitter_ms: int = Field(default=0, ge=0, le=600_000)
    duplicate: Share = 0.0
    reorder: Share = 0.0
    loss_rate: Share = 0.0


class NextTrouble(_Part):
    """One trouble for the next *times* calls of one operation."""

    kind: Trouble
    on: Operation = "charge"
    times: int = Field(default=1, ge=1, le=100_000)


class Faults(_Part):
    """Every setting of POST /faults with its default."""

    latency_ms: int = Field(default=0, ge=0, le=LONGEST_PROCESSING_S * 500)
    """Before anything is written, on every /v1 call."""
    answer_delay_ms: int = Field(default=0, ge=0, le=60_000)
    """After the ledger is written, before the answer: webhooks overtake the answer."""
    hang_seconds: float = Field(default=20.0, ge=0.05, le=120)
    """Longer than any client of ours waits (15 s); the connection is closed after it."""
    slow_seconds: float = Field(default=3.0, ge=0, le=LONGEST_PROCESSING_S / 2)
    strikes: int = Field(default=1, ge=0, le=100_000)
    """How often a test card or amount makes trouble for one merchant reference before its charge goes through."""
    settle_seconds: float = Field(default=2.0, ge=0, le=86_400)
    """How long SEPA and bank transfers stay pending."""
    auto_seconds: float = Field(default=1.0, ge=0, le=86_400)
    """When the self-driving challenges decide."""
    down: Literal["no", "503", "closed"] = "no"
    calls_per_second: int | None = Field(default=None, ge=1, le=100_000)
    """Calls of one account in any second; one more is 429. None: as many as come."""
    memory: Literal["everything", "successes"] = "everything"
    """Which answers an idempotency key remembers; "successes" forgets declines."""
    key_lifetime_seconds: float = Field(default=86_400.0, ge=0, le=31 * 86_400)
    void_window_seconds: float = Field(default=86_400.0, ge=0, le=31 * 86_400)
    """A capture older than this can only be refunded."""
    rates: dict[Trouble, Share] = Field(default_factory=dict)
    """Share of charge calls that meet each trouble; together at most 1."""
    next: list[NextTrouble] = Field(default_factory=list, max_length=1_000)
    """Troubles for the calls to come, first come first served per operation."""
    webhook: WebhookFaults = Field(default_factory=WebhookFaults)


class BadFaults(ValueError):
    """A fault document that does not fit; the message names the fields."""


class FaultBoard:
    """The settings in force, the strikes dealt out and the dice."""

    def __init__(self) -> None:
        self.now = Faults()
        self._strikes: Counter[tuple[str, str]] = Counter()
        self._dice = random.Random()  # noqa: S311 - chaos, not secrets

    def reset(self) -> None:
        """Back to a healthy PSP."""
        self.now = Faults()
        self._strikes.clear()

    def change(self, document: object) -> None:
        """Lay the given fields over the current settings; raises BadFaults and then changes nothing."""
        if not isinstance(document, dict):
            raise BadFaults("the body must be a JSON object")
        webhook = document.get("webhook", {})
        merged: dict[str, Any] = self.shown() | document
        if isinstance(webhook, dict):
            merged["webhook"] = self.now.webhook.model_dump(by_alias=True) | webhook
        try:
            changed = Faults.model_validate_json(json.dumps(merged))
        except ValidationError as error:
            raise BadFaults("; ".join(_fault_of(e["loc"], e["msg"]) for e in error.errors())) from None
        if sum(changed.rates.values()) > 1:
            raise BadFaults("rates: together they are more than 1")
        self.now = changed

    def shown(self) -> dict[str, Any]:
        """The settings in force, as JSON."""
        return self.now.model_dump(mode="json", by_alias=True)

    def trouble_for(self, operation: Operation) -> Trouble | None:
        """The trouble this call meets because of POST /faults, if any; uses up one of *next*."""
        for position, entry in enumerate(self.now.next):
            if entry.on == operation:
                self._use_up(position, entry)
                return entry.kind
        return self._by_chance() if operation == "charge" else None

    def strike(self, behaviour: Behaviour, account_id: str, merchant_reference: str) -> Trouble | None:
        """The trouble of a test card or amount, until it has struck often enough for this order."""
        if behaviour.trouble is None:
            return None
        if len(self._strikes) >= STRIKES_KEPT:
            self._strikes.clear()
        struck = (account_id, merchant_reference)
        if self._strikes[struck] >= self.now.strikes:
            return None
        self._strikes[struck] += 1
        return behaviour.trouble

    def happens(self, share: float) -> bool:
        """Throw the dice for a share of events."""
        return self._dice.random() < share

    def webhook_delay_s(self) -> float:
        """How long this event waits before it is sent."""
        webhook = self.now.webhook
        return (webhook.delay_ms + self._dice.uniform(0, webhook.jitter_ms)) / 1000

    def _use_up(self, position: int, entry: NextTrouble) -> None:
        rest = entry.model_copy(update={"times": entry.times - 1})
        self.now.next[position : position + 1] = [rest] if rest.times else []

    def _by_chance(self) -> Trouble | None:
        throw = self._dice.random()
        for kind, share in self.now.rates.items():
            throw -= share
            if throw < 0:
                return kind
        return None


def _fault_of(where: tuple[int | str, ...], message: str) -> str:
    path = ".".join(str(step) for step in where)
    return f"{path}: unknown field" if message == "Extra inputs are not permitted" else f"{path}: {message}"
