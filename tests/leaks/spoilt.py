"""Three leaks as they are made in practice, for the processes of a running stack (spoiling/sitecustomize.py)."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import structlog

import workers.pay
from shared.domain.cards import Card
from shared.domain.outcomes import PaymentOutcome
from shared.vault import Vault
from tests.support import planted

SPOILING: Final = Path(__file__).parent / "spoiling"
"""For PYTHONPATH."""
MARK: Final = "spoil"
"""A file of this name in the stack's home: plant."""


def in_api() -> None:
    """A card in a task's arguments, and in a log line of somebody who wanted to see what comes in."""
    put = Vault.put

    def putting(self: Vault, tenant_id: UUID, tracking_number: str, card: Card, **more: Any) -> list[int]:
        structlog.get_logger("vault").debug("vault.put", tracking_number=tracking_number, card=card.number)
        return put(self, tenant_id, tracking_number, card, **more)

    Vault.put = putting  # type: ignore[method-assign]
    planted.BUGS["a PAN in task arguments"](ExitStack())


def in_worker() -> None:
    """A card in the text of an exception, as a library makes it that quotes what it was given."""
    asked: Any = workers.pay._ask

    def ask(run: Any, order: Any, planned: Any, lease_ends_at: float) -> PaymentOutcome:
        if planned.card is not None:
            raise ValueError(f"invalid literal: {planned.card.number!r}")
        outcome: PaymentOutcome = asked(run, order, planned, lease_ends_at)
        return outcome

    workers.pay._ask = ask
