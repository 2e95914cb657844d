"""Where a process may be made to die, for the tests that prove that it may.

Every boundary between two steps of an order has a name here, before and after each commit and each call. Nothing
happens at one unless C2A_FAILPOINTS names it, and production refuses to start with it. Its form is a list with
commas: `pay.before_call` dies there, `pay.before_call#2` the second time it is reached, `pay.before_call=stop` stops
as if by SIGSTOP until somebody sends SIGCONT, `pay.before_call=raise` raises.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from shared.config import Mode

KILLED: Final = 137
"""The exit code of a process that died of SIGKILL, as a shell tells it."""


class Failpoint(StrEnum):
    """Every boundary, by process and step. "commit" is the end of a transaction, "statement" one that is its own."""

    ADMISSION_BEFORE_VAULT = "admission.before_vault"
    ADMISSION_BEFORE_STATEMENT = "admission.before_statement"  # The card is in the vault.
    ADMISSION_AFTER_STATEMENT = "admission.after_statement"
    ADMISSION_AFTER_RING = "admission.after_ring"
    ADMISSION_BEFORE_ANSWER = "admission.before_answer"
    REPEAT_BEFORE_FORGETTING = "repeat.before_forgetting"
    REFUSAL_HOLDING_KEY = "refusal.holding_key"
    REFUSAL_BEFORE_ROLLBACK = "refusal.before_rollback"
    REFUSAL_BEFORE_FORGETTING = "refusal.before_forgetting"
    LATE_ADMISSION_BEFORE_COMMIT = "late_admission.before_commit"  # What stood in its way went away meanwhile.

    LOCK_BEFORE_STATEMENT = "lock_offer.before_statement"
    LOCK_AFTER_STATEMENT = "lock_offer.after_statement"
    LOCK_BEFORE_REFUSAL = "lock_offer.before_refusal"
    LOCK_AFTER_REFUSAL = "lock_offer.after_refusal"

    PAY_BEFORE_CLAIM = "pay.before_claim"
    PAY_AFTER_CLAIM = "pay.after_claim"  # The attempt is written ahead.
    PAY_BEFORE_CALL = "pay.before_call"
    PAY_AFTER_CALL = "pay.after_call"
    PAY_BEFORE_COMMIT = "pay.before_commit"
    PAY_AFTER_COMMIT = "pay.after_commit"
    PAY_BEFORE_CAPTURE = "pay.before_capture"
    PAY_AFTER_CAPTURE = "pay.after_capture"
    PAY_BEFORE_CHAIN = "pay.before_chain"
    PAY_BEFORE_SKIP = "pay.before_skip"
    PAY_AFTER_SKIP = "pay.after_skip"
    PAY_BEFORE_WAIT = "pay.before_wait"
    PAY_AFTER_WAIT = "pay.after_wait"
    PAY_BEFORE_ROW = "pay.before_row"
    PAY_AFTER_ROW = "pay.after_row"
    PAY_BEFORE_FAILURE = "pay.before_failure"
    PAY_AFTER_FAILURE = "pay.after_failure"
    STRAIGHT_BEFORE_CLAIM = "straight.before_claim"
    STRAIGHT_AFTER_CLAIM = "straight.after_claim"  # The offer is held and the attempt written ahead.
    STRAIGHT_BEFORE_HOLD = "straight.before_hold"  # It has a place in the row of its PSP.
    STRAIGHT_AFTER_HOLD = "straight.after_hold"
    HEARTBEAT_BEFORE_RENEWAL = "heartbeat.before_renewal"  # The PSP has the call.
    HEARTBEAT_AFTER_RENEWAL = "heartbeat.after_renewal"

    LOOK_UP_BEFORE_CALL = "look_up.before_call"
    LOOK_UP_AFTER_CALL = "look_up.after_call"
    LOOK_UP_BEFORE_COMMIT = "look_up.before_commit"
    LOOK_UP_AFTER_COMMIT = "look_up.after_commit"
    LOOK_UP_AFTER_RING = "look_up.after_ring"

    ABANDON_BEFORE_COMMIT = "abandon.before_commit"
    ABANDON_AFTER_COMMIT = "abandon.after_commit"  # Given up in our row; the PSP has not been told.

    RETURN_BEFORE_CALL = "return_money.before_call"
    RETURN_BEFORE_REFUND = "return_money.before_refund"
    RETURN_AFTER_CALL = "return_money.after_call"
    RETURN_BEFORE_COMMIT = "return_money.before_commit"
    RETURN_AFTER_COMMIT = "return_money.after_commit"

    REFUND_BEFORE_CALL = "give_refund.before_call"
    REFUND_BEFORE_AHEAD = "give_refund.before_ahead"
    REFUND_AFTER_AHEAD = "give_refund.after_ahead"  # The call is written ahead, and not made yet.
    REFUND_AFTER_CALL = "give_refund.after_call"
    REFUND_BEFORE_REFUND = "give_refund.before_refund"
    REFUND_BEFORE_COMMIT = "give_refund.before_commit"
    REFUND_AFTER_COMMIT = "give_refund.after_commit"

    ACTION_BEFORE_COMMIT = "operator_action.before_commit"
    ACTION_AFTER_COMMIT = "operator_action.after_commit"
    REPLAY_BEFORE_COMMIT = "replay_webhook.before_commit"
    REPLAY_AFTER_COMMIT = "replay_webhook.after_commit"  # It is settled; nobody is rung for what comes next.

    TOKENIZE_BEFORE_END = "tokenize.before_end"
    TOKENIZE_AFTER_END = "tokenize.after_end"
    TOKENIZE_BEFORE_CALL = "tokenize.before_call"
    TOKENIZE_BEFORE_WAIT = "tokenize.before_wait"
    TOKENIZE_AFTER_WAIT = "tokenize.after_wait"
    TOKENIZE_BEFORE_COMMIT = "tokenize.before_commit"
    TOKENIZE_AFTER_COMMIT = "tokenize.after_commit"

    WEBHOOK_BEFORE_TRANSACTION = "webhook.before_transaction"
    WEBHOOK_BEFORE_COMMIT = "webhook.before_commit"
    WEBHOOK_AFTER_COMMIT = "webhook.after_commit"
    WEBHOOK_AFTER_RING = "webhook.after_ring"
    WEBHOOK_BEFORE_ANSWER = "webhook.before_answer"

    BROWSER_BEFORE_STATEMENT = "browser_return.before_statement"
    BROWSER_AFTER_STATEMENT = "browser_return.after_statement"
    BROWSER_AFTER_RING = "browser_return.after_ring"

    RESCUER_BEFORE_STATEMENT = "rescuer.before_statement"
    RESCUER_BETWEEN_STATEMENTS = "rescuer.between_statements"  # Money to return is rung for, orders are not.
    RESCUER_BEFORE_RINGING = "rescuer.before_ringing"
    RESCUER_AFTER_RINGING = "rescuer.after_ringing"

    RELEASE_BEFORE_COMMIT = "release.before_commit"
    RELEASE_AFTER_COMMIT = "release.after_commit"
    RELEASE_AFTER_RING = "release.after_ring"

    RECONCILE_BEFORE_COMMIT = "reconcile.before_commit"
    RECONCILE_AFTER_COMMIT = "reconcile.after_commit"

    TELLING_BEFORE_READING = "telling.before_reading"  # What happened is committed; nobody is told.
    TELLING_AFTER_READING = "telling.after_reading"  # Deliveries are made.
    TELLING_AFTER_CLAIM = "telling.after_claim"
    TELLING_AFTER_CALL = "telling.after_call"  # The receiver has it; our row does not say so.
    TELLING_AFTER_RECORD = "telling.after_record"

    KEEPING_BEFORE_CALL = "keeping.before_call"
    KEEPING_AFTER_CALL = "keeping.after_call"
    KEEPING_BEFORE_COMMIT = "keeping.before_commit"
    KEEPING_AFTER_COMMIT = "keeping.after_commit"
    DELETION_BEFORE_CALL = "deletion.before_call"
    DELETION_AFTER_CALL = "deletion.after_call"
    DELETION_AFTER_STATEMENT = "deletion.after_statement"


class FailpointsInProduction(RuntimeError):
    """Production was told to die at some point: refused at the start."""


class FailpointReached(RuntimeError):
    """What a failpoint armed with `raise` raises."""


def _die() -> None:
    os._exit(KILLED)  # No handler, no flush, no goodbye: what is not committed is lost.


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise() -> None:
    raise FailpointReached


_ACTIONS: Final[Mapping[str, Callable[[], None]]] = {"die": _die, "stop": _stop, "raise": _raise}
_FORM: Final = re.compile(r"(?P<point>[a-z_.]+)(#(?P<time>[1-9][0-9]{0,5}))?(=(?P<action>[a-z]+))?")


@dataclass(frozen=True, slots=True)
class _Trap:
    time: int
    action: Callable[[], None]
    visits: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def visit(self) -> None:
        if next(self.visits) == self.time:
            self.action()


_armed: Final[dict[Failpoint, _Trap]] = {}


def reach(point: Failpoint) -> None:
    """Say that this process has come to *point*; costs a truth test while nothing is armed."""
    if _armed and (trap := _armed.get(point)):
        trap.visit()


def arm(named: str, mode: Mode) -> None:
    """Arm what *named* (the setting) names, and nothing else.

    Raises FailpointsInProduction, or ValueError for a name, time or action there is not.
    """
    if named and mode is Mode.PRODUCTION:
        raise FailpointsInProduction("take C2A_FAILPOINTS out of the environment: it makes this process die")
    traps = dict(_parsed(one) for one in named.split(",") if one)
    _armed.clear()
    _armed.update(traps)


def _parsed(text: str) -> tuple[Failpoint, _Trap]:
    form = _FORM.fullmatch(text)
    if form is None or (form["action"] or "die") not in _ACTIONS:
        raise ValueError(f"not a failpoint: {text!r}; write point, point#2 or point=stop")
    return Failpoint(form["point"]), _Trap(int(form["time"] or 1), _ACTIONS[form["action"] or "die"])
