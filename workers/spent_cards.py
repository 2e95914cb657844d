"""Lets go of cards that their orders no longer need.

Whoever moves an order forgets its card right after the commit. A process that dies between the two leaves the card
to its time to live, a quarter of an hour; this finds it within a minute (PCI DSS 3.3.1: no CVC after authorization).
"""

from __future__ import annotations

from itertools import islice
from typing import Final

import structlog

from shared.store import housekeeping
from shared.store.engine import statements
from shared.vault import VaultAway
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

BATCH: Final = 500
"""Cards a statement: primary-key reads, a few milliseconds."""


def forget(run: Runtime) -> int:
    """Forget every card whose order can no longer need it; how many there were. A vault that is away holds none."""
    forgotten = 0
    cards = run.vault.waiting()
    try:
        while batch := {number: tenant_id for tenant_id, number in islice(cards, BATCH)}:
            with statements(run.engine) as conn:
                spent = housekeeping.needing_no_card(conn, list(batch))
            for number in spent:
                run.vault.forget(batch[number], number)
            forgotten += len(spent)
    except VaultAway as error:
        log.warning("spent_cards.vault_away", error=type(error).__name__)
    if forgotten:
        log.warning("spent_cards.forgotten", cards=forgotten)
    return forgotten
