"""Each planted protocol bug is found, for the reason it should be, and its shortest story is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from tests.model import admission, looking, offer_lock, outside, paying, payment, settling
from tests.model.bugs import Bug, Setting
from tests.model.graph import GOOD_END, Report, explore
from tests.model.sound import CALLED_OFF_AT_TWO, SETTINGS
from tests.model.world import Charge, World

FEWEST: Final = 8
"""Planted protocol bugs that must be found for a green run to mean anything."""

STICKY: Final = Setting(faults=1)
FORGETFUL: Final = Setting(faults=1, remembers_declines=False)
SILENT: Final = Setting(faults=1, looks_up=False)
TWO_FAULTS: Final = Setting(faults=2)
TWO_PSPS: Final = Setting(faults=1, psps=2)
TWO_FORGETFUL: Final = replace(TWO_PSPS, remembers_declines=False)
SLIPPING: Final = SETTINGS["payment, requests slip through the proof of absence"]

PAYMENT: Final[dict[Bug, tuple[Setting, str]]] = {
    Bug.NO_FENCING: (TWO_FAULTS, payment.ABSENT_TOO_SOON),
    Bug.NEW_KEY_ON_RETRY: (STICKY, paying.SECOND_KEY),
    Bug.TIMEOUT_IS_FAILURE: (STICKY, payment.FAILED_TOO_SOON),
    Bug.LATE_SUCCESS_DROPPED: (FORGETFUL, GOOD_END),
    Bug.ABSENT_TRUSTED_AT_ONCE: (STICKY, payment.ABSENT_TOO_SOON),
    Bug.REPEATED_NOT_SENT_TRUSTED: (TWO_FAULTS, payment.ABSENT_TOO_SOON),
    Bug.REPEATED_NO_TRUSTED: (TWO_FAULTS, payment.FAILED_TOO_SOON),
    Bug.MESSENGER_DECIDES: (STICKY, payment.NOT_ONE_CAPTURE),
    Bug.NO_RESCUER: (STICKY, GOOD_END),
    Bug.NO_RECONCILIATION: (FORGETFUL, GOOD_END),
    Bug.VOID_UNKNOWN_IS_RETURNED: (STICKY, payment.RETURNED_TOO_SOON),
    Bug.OPEN_BESIDE_DONE: (SLIPPING, GOOD_END),
    Bug.WEBHOOKS_NOT_ONCE: (STICKY, outside.TWICE),
    Bug.EXPIRY_FAILS_UNASKED: (STICKY, payment.RETURNED_TOO_SOON),
    Bug.PENDING_FOR_EVER: (STICKY, GOOD_END),
    Bug.LOST_CARD_FAILS_OPEN: (TWO_FAULTS, payment.OPEN_BESIDE),
    Bug.FAILOVER_ON_SILENCE: (TWO_PSPS, payment.ABSENT_TOO_SOON),
    Bug.FAILOVER_WITHOUT_PROOF: (TWO_FORGETFUL, payment.OPEN_BESIDE),
    Bug.NOT_SENT_AGAIN: (SILENT, GOOD_END),
    Bug.TAKEN_IS_RETURNED: (SILENT, payment.RETURNED_TOO_SOON),
    Bug.NEWS_OF_ANOTHER_CHARGE: (FORGETFUL, settling.ANOTHERS_NO),
    Bug.PASSED_CHALLENGE_SHOWN: (STICKY, settling.SENT_BACK),
    Bug.PROOF_FROM_FIRST_REQUEST: (TWO_FAULTS, payment.ABSENT_TOO_SOON),
    Bug.LOOK_UP_NOT_FENCED: (STICKY, payment.ABSENT_TOO_SOON),
    Bug.VOID_BEFORE_COMMIT: (STICKY, payment.MONEY_GONE),
    Bug.TIMEOUT_ENDS_CHALLENGE: (STICKY, looking.HAD_TIME),
    Bug.CALLED_OFF_OPEN: (replace(STICKY, called_off=True), payment.FAILED_TOO_SOON),
    Bug.CALLED_OFF_PAID: (SETTINGS[CALLED_OFF_AT_TWO], payment.CALLED_OFF_PAID),
    Bug.REFUND_CALLED_FIRST: (replace(STICKY, refunds=True), payment.MONEY_GONE),
    Bug.LATE_LOOK_UP_DROPS_CARD: (STICKY, looking.CARD_DROPPED),
}
"""Where each is found with the least effort, and the promise it breaks there."""


@pytest.mark.parametrize("bug", Bug, ids=lambda bug: bug.name)
def test_a_bug_in_the_payment_is_found(bug: Bug, say: Callable[[str], None]) -> None:
    setting, promise = PAYMENT[bug]
    _found(explore(payment.model(replace(setting, bugs=frozenset({bug})))), bug, promise, say)


@pytest.mark.parametrize("bug", admission.Bug, ids=lambda bug: bug.name)
def test_a_bug_in_admission_is_found(bug: admission.Bug, say: Callable[[str], None]) -> None:
    promise = {
        admission.Bug.SELECT_PROBE: "a refused call leaves no order behind",
        admission.Bug.CHECK_THEN_INSERT: "one key, one order",
        admission.Bug.OWN_ORDER_REFUSED: "a refused call leaves no order behind",
        admission.Bug.OFFER_BEFORE_KEY: "a repeat is answered with its order, even if the offer expired since",
    }[bug]
    _found(explore(admission.model(frozenset({bug}))), bug, promise, say)


@pytest.mark.parametrize("bug", offer_lock.Bug, ids=lambda bug: bug.name)
def test_a_bug_in_the_offer_lock_is_found(bug: offer_lock.Bug, say: Callable[[str], None]) -> None:
    promise = "an offer is held exactly as long as its order is live or done"
    _found(explore(offer_lock.model(frozenset({bug}))), bug, promise, say)


def test_enough_bugs_are_planted() -> None:
    assert set(PAYMENT) == set(Bug)
    assert len(Bug) >= FEWEST


def test_a_failover_without_proof_ends_in_two_captures_at_once(say: Callable[[str], None]) -> None:
    """Another promise breaks as early; looked at alone, the one about the shopper's money breaks, too."""
    setting = replace(TWO_FORGETFUL, bugs=frozenset({Bug.FAILOVER_WITHOUT_PROOF}))

    def taken_twice(world: World) -> str:
        return payment.TWO_CAPTURES if payment.broken(world, setting) == payment.TWO_CAPTURES else ""

    report = explore(replace(payment.model(setting), broken=taken_twice))
    _found(report, Bug.FAILOVER_WITHOUT_PROOF, payment.TWO_CAPTURES, say)


def test_a_psp_that_remembers_needs_no_reconciliation() -> None:
    """The bug breaks the protocol where it should and only there: with a sticky PSP every doubt ends without it."""
    verdicts = (Charge.CAPTURED, Charge.DECLINED)
    assert explore(payment.model(Setting(verdicts=verdicts, bugs=frozenset({Bug.NO_RECONCILIATION})))).found is None


def _found(report: Report, bug: str, promise: str, say: Callable[[str], None]) -> None:
    assert report.found is not None, f"{bug}: not found among {report.states:,} states"
    say(f"planted: {bug}\nbroken after {report.states:,} states: {report.found}")
    assert report.found.promise == promise
