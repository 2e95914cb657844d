"""The settings in which no promise may break, each explored once a run, however many tests ask about it."""

from __future__ import annotations

from functools import cache
from typing import Final

from shared.domain.states import OrderEvent, OrderState
from tests.model import admission, offer_lock, payment
from tests.model.bugs import Setting
from tests.model.graph import Report, explore
from tests.model.settling import MOVES
from tests.model.world import Charge

Rows = frozenset[tuple[OrderState, OrderEvent]]

STICKY: Final = "payment, sticky PSP"
FORGETFUL: Final = "payment, forgetful PSP"
SILENT: Final = "payment, a PSP that cannot be asked"
TWO_STICKY: Final = "payment, two sticky PSPs"
TWO_FORGETFUL: Final = "payment, two forgetful PSPs"
CALLED_OFF_AT_TWO: Final = "payment, called off at one of two PSPs"
BOTH_MEMORIES: Final = (STICKY, FORGETFUL, TWO_STICKY, TWO_FORGETFUL)
_SHOPPER: Final = (Charge.CAPTURED, Charge.DECLINED, Charge.CHALLENGE)
_BANK: Final = (Charge.CAPTURED, Charge.DECLINED, Charge.PENDING)
SETTINGS: Final = {
    STICKY: Setting(),
    FORGETFUL: Setting(remembers_declines=False),
    # All verdicts at once are a million states with two PSPs: those are for the long run (python -m tests.model).
    TWO_STICKY: Setting(psps=2, verdicts=_SHOPPER),
    TWO_FORGETFUL: Setting(remembers_declines=False, psps=2, verdicts=_SHOPPER),
    "payment, two PSPs that take days": Setting(remembers_declines=False, psps=2, verdicts=_BANK),
    "payment, requests slip through the proof of absence": Setting(
        verdicts=(Charge.CAPTURED, Charge.CHALLENGE, Charge.PENDING), faults=1, psps=2, slips=True
    ),
    SILENT: Setting(looks_up=False),
    "payment, the cart costs nothing": Setting(costs_nothing=True),
    "payment, called off": Setting(called_off=True, faults=1),
    "payment, called off at a forgetful PSP": Setting(called_off=True, remembers_declines=False, verdicts=_BANK),
    "payment, called off at a PSP that cannot be asked": Setting(called_off=True, looks_up=False, faults=1),
    # Only where a proof of absence can be wrong has an order that is called off another charge that may come late.
    CALLED_OFF_AT_TWO: Setting(
        called_off=True, psps=2, slips=True, faults=1, verdicts=(Charge.CAPTURED, Charge.CHALLENGE)
    ),
    "payment, refunded": Setting(refunds=True, faults=1, verdicts=_BANK),
    "payment, refunded at a PSP that cannot be asked": Setting(refunds=True, looks_up=False, faults=1),
    "payment, called off though it cost nothing": Setting(called_off=True, costs_nothing=True),
}
ADMISSION: Final = "admission, two callers, one key"
OFFER_LOCK: Final = "offer lock, two orders, one offer"
NAMES: Final = (*SETTINGS, ADMISSION, OFFER_LOCK)


@cache
def explored(name: str) -> tuple[Report, Rows]:
    """What exploring *name* found, and the rows of the transition table it used."""
    MOVES.clear()
    if name == ADMISSION:
        report = explore(admission.model())
    elif name == OFFER_LOCK:
        report = explore(offer_lock.model())
    else:
        report = explore(payment.model(SETTINGS[name]))
    return report, frozenset(MOVES)
