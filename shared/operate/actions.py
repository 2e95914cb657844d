"""Does what an operator asks for with an order, and writes down who asked, why, and what came of it.

Each action is one transaction under the order's row lock: it is judged (judging.py), done by the moves that everybody
else uses, and recorded. A refusal is recorded as well. Nobody outside is called: money that has to go back is written
ahead, and the upkeep step asks the PSP until it proves it. The doorbell is rung after the commit; a ring that gets lost
costs a second, for the rows are due.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Connection, Engine

from shared.call_off import call_off
from shared.doorbell import Doorbell
from shared.failpoints import Failpoint, reach
from shared.keyring import Keyring
from shared.messages import FRONT_OF, STEP_FOR, Lane, Step
from shared.operate.asking import Asked
from shared.operate.case import Case, case_of
from shared.operate.judging import Action, why_not
from shared.settle import Terms
from shared.store import operator_actions, operator_moves, orders, refunds
from shared.store.attempts import AttemptState
from shared.store.operator_actions import Acted, Outcome
from shared.store.orders import Order
from shared.vault import Vault

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """What actions are done with. An engine of the API acts for one tenant (shared/store/tenancy.py)."""

    engine: Engine
    keyring: Keyring
    doorbell: Doorbell
    vault: Vault
    terms: Terms
    lease_limit: timedelta
    """For how long at most a worker may have a request on its way."""


class NoSuchOrder(LookupError):
    """There is no such order, or it is another tenant's."""


class OtherAction(ValueError):
    """The id of an action was used before, for something else."""


@dataclass(frozen=True, slots=True)
class Did:
    """What an action came to: what is told of it, and what has to be rung for."""

    outcome: Outcome
    told: str
    rings: tuple[Step, ...] = ()


Do = Callable[[Connection, Case], Did]
_BACK: Final = (Step.RETURN_MONEY,)


def retry(desk: Desk, tenant_id: UUID, number: str, asked: Asked) -> Acted:
    """Have somebody look at the order now, and at its money that is on its way back."""
    return act(desk, (tenant_id, number), asked, Action.RETRY, {}, _retry)


def unpark(desk: Desk, tenant_id: UUID, number: str, asked: Asked) -> Acted:
    """Let workers take a parked order again."""
    return act(desk, (tenant_id, number), asked, Action.UNPARK, {}, _unpark)


def cancel(desk: Desk, tenant_id: UUID, number: str, asked: Asked) -> Acted:
    """End a live order; what was taken for it goes back."""
    return act(desk, (tenant_id, number), asked, Action.CANCEL, {}, _cancel)


def refund(desk: Desk, tenant_id: UUID, number: str, asked: Asked, amount_minor: int | None) -> Acted:
    """Give back *amount_minor* (minor units) of a done order's money, or None: all that is left of it."""

    def do(conn: Connection, case: Case) -> Did:
        return _refund(conn, case, asked.action_id, amount_minor)

    return act(desk, (tenant_id, number), asked, Action.REFUND, {"amountMinor": amount_minor}, do)


def act(desk: Desk, which: tuple[UUID, str], asked: Asked, action: Action, what: Mapping[str, Any], do: Do) -> Acted:
    """Judge, do and record one action. Raises NoSuchOrder or OtherAction."""
    tenant_id, number = which
    with desk.engine.begin() as conn:
        order = orders.lock(conn, tenant_id, number)
        if order is None:
            raise NoSuchOrder(number)
        earlier = operator_actions.get(conn, tenant_id, asked.action_id)
        if earlier is not None:
            return _same(earlier, number, action, what)
        case = case_of(conn, order, desk.keyring)
        no = why_not(case, action)
        did = Did(Outcome.REFUSED, f"Not done: {no}.") if no is not None else do(conn, case)
        acted = operator_actions.record(
            conn,
            tenant_id=tenant_id,
            action_id=asked.action_id,
            tracking_number=number,
            action=action,
            who=asked.who,
            why=asked.why,
            what=what,
            outcome=did.outcome,
            told=did.told,
        )
        if acted is None:
            raise OtherAction("this id was used a moment ago for another order")
        now = orders.lock(conn, tenant_id, number)
        reach(Failpoint.ACTION_BEFORE_COMMIT)
    reach(Failpoint.ACTION_AFTER_COMMIT)
    assert now is not None, "it was there"
    log.info("operator.acted", tracking_number=number, action=action, outcome=did.outcome, who=asked.who)
    go_on(desk, now, did.rings)
    return acted


def _same(earlier: Acted, number: str, action: Action, what: Mapping[str, Any]) -> Acted:
    if (earlier.tracking_number, earlier.action, dict(earlier.what)) != (number, action, dict(what)):
        raise OtherAction("this id was used before, for something else")
    return earlier


def go_on(desk: Desk, now: Order, rings: tuple[Step, ...]) -> None:
    """After the commit: ring for what comes next, and let go of a card that nobody needs any more."""
    for step in rings:
        desk.doorbell.ring(step, now.tracking_number, Lane.FRONT if step in FRONT_OF else Lane.TURN)
    if now.carries_card and now.needs_no_card:
        desk.vault.forget(now.tenant_id, now.tracking_number)


def _retry(conn: Connection, case: Case) -> Did:
    order, rings = case.order, []
    if case.one(AttemptState.RETURNING) is not None:
        operator_moves.returns_due_now(conn, order)
        rings.append(Step.RETURN_MONEY)
    if case.under_way is not None:
        refunds.due_now(conn, order.tenant_id, order.tracking_number)
        rings.append(Step.RETURN_MONEY)
    if not order.is_finished:
        operator_moves.due_now(conn, order)
        rings.append(STEP_FOR[order.state])
    steps = " and ".join(step.value.split(".")[1] for step in rings)
    return Did(Outcome.DONE, f"It is due now: the step {steps} was rung for.", tuple(rings))


def _refund(conn: Connection, case: Case, action_id: UUID, amount_minor: int | None) -> Did:
    attempt, left = case.captured, case.left_minor
    assert attempt is not None, "it was judged"
    amount = left if amount_minor is None else amount_minor
    if not 0 < amount <= left:
        return Did(Outcome.REFUSED, f"Not done: {left} {attempt.currency} (minor units) are left to go back.")
    refunds.write_ahead(conn, attempt, action_id=action_id, amount_minor=amount)
    told = f"{amount} {attempt.currency} (minor units) go back: {attempt.provider} is asked until it proves it."
    return Did(Outcome.BEGUN, told, _BACK)


def _unpark(conn: Connection, case: Case) -> Did:
    operator_moves.unpark(conn, case.order)
    step = STEP_FOR[case.order.state]
    return Did(Outcome.DONE, "It is parked no more: workers take it again.", (step,))


def _cancel(conn: Connection, case: Case) -> Did:
    held = case.one(AttemptState.CHALLENGED, AttemptState.PENDING, AttemptState.CAPTURED)
    provable = held is None or case.abilities[held.provider].looks_up
    now = call_off(conn, case.order, case.attempts, provable=provable)
    if held is None:
        return Did(Outcome.DONE, "It failed as CANCELLED; no money had moved.")
    if now.is_finished:
        return Did(Outcome.BEGUN, f"It failed as CANCELLED; {held.provider} is asked for the money.", _BACK)
    return Did(Outcome.BEGUN, f"{held.provider} is asked to give the money back; then it fails as CANCELLED.", _BACK)
