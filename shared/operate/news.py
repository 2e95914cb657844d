"""Tells a PSP's event again that was kept and never settled: no attempt was known for it, or several were meant.

What an event told is settled where all news is (settle.py), under the order's lock, and the event with it, in one
commit. One that was settled had its effect and is not told twice: a return that failed would count twice. To ask the
PSP itself, retry the order.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from shared.domain.outcomes import LookUpOutcome
from shared.domain.states import OrderState
from shared.failpoints import Failpoint, reach
from shared.key_service import KeysAway
from shared.keyring import CannotOpen
from shared.messages import STEP_FOR, Step
from shared.operate.actions import Desk, OtherAction, go_on
from shared.operate.asking import Asked
from shared.settle import News, settle
from shared.store import attempts as attempt_store
from shared.store import inbox, inbox_search, operator_actions, orders
from shared.store.attempts import Attempt
from shared.store.inbox_search import Event
from shared.store.operator_actions import Acted, Outcome
from shared.store.orders import Order
from shared.told import UnreadableTold, open_told

ACTION = "replay webhook"
NOBODY_WALKS = frozenset({OrderState.CHALLENGE, OrderState.CONFIRMING})
"""States whose chain has ended: whoever moves an order out of them rings for the next step."""


_NOTHING = "it tells nothing of a charge, or nothing that this version can read"


class NoSuchEvent(LookupError):
    """The inbox has no such event of this tenant."""


@dataclass(frozen=True, slots=True)
class Meant:
    """Which attempt an event speaks of, where somebody had to find out; *attempt_no* None: the order's only one."""

    tracking_number: str
    attempt_no: int | None = None


class _Refused(Exception):
    """Why an event is not told again."""


@dataclass(frozen=True, slots=True)
class _Moved:
    before: Order
    after: Order


def replay(desk: Desk, name: inbox.EventName, asked: Asked, meant: Meant | None = None) -> Acted:
    """Settle the event of this name now. Raises NoSuchEvent or OtherAction."""
    what = {"provider": name.provider, "event": name.event_id, "attempt": meant.attempt_no if meant else None}
    moved: _Moved | None = None
    with desk.engine.begin() as conn:
        event = inbox_search.lock(conn, name)
        if event is None:
            raise NoSuchEvent(name.event_id)
        earlier = operator_actions.get(conn, name.tenant_id, asked.action_id)
        if earlier is not None:
            if (earlier.action, dict(earlier.what)) != (ACTION, what):
                raise OtherAction("this id was used before, for something else")
            return earlier
        try:
            moved = _settled(desk, conn, event, meant)
            outcome, told = Outcome.DONE, _told(moved)
        except _Refused as error:
            outcome, told = Outcome.REFUSED, f"Not done: {error}."
        acted = operator_actions.record(
            conn,
            tenant_id=name.tenant_id,
            action_id=asked.action_id,
            tracking_number=moved.after.tracking_number if moved else meant.tracking_number if meant else None,
            action=ACTION,
            who=asked.who,
            why=asked.why,
            what=what,
            outcome=outcome,
            told=told,
        )
        if acted is None:
            raise OtherAction("this id was used a moment ago, for something else")
        reach(Failpoint.REPLAY_BEFORE_COMMIT)
    reach(Failpoint.REPLAY_AFTER_COMMIT)
    if moved is not None:
        go_on(desk, moved.after, _rings(moved))
    return acted


def _settled(desk: Desk, conn: Connection, event: Event, meant: Meant | None) -> _Moved:
    """Settle *event*, whose row is locked. Raises _Refused."""
    if (no := why_not(event)) is not None:
        raise _Refused(no)
    outcome = _opened(desk, event)
    attempt = _of_meant(conn, event, meant) if meant is not None else _of_names(conn, event)
    before = orders.lock(conn, attempt.tenant_id, attempt.tracking_number)
    assert before is not None, "an attempt has an order"
    after = settle(conn, News(attempt, outcome, actor="operator"), desk.terms)
    inbox.settled(conn, inbox.EventName(event.tenant_id, event.provider, event.event_id))
    return _Moved(before, after)


def why_not(event: Event) -> str | None:
    """Why *event* is not told again, as far as its row says; None if it may be."""
    if event.settled_at is not None:
        return "it was settled and had its effect; retry the order to ask its PSP"
    return _NOTHING if event.outcome is None else None


def _opened(desk: Desk, event: Event) -> LookUpOutcome:
    assert event.outcome is not None, "it was judged"
    try:
        return open_told(desk.keyring, event.tenant_id, event.event_id, event.outcome)
    except UnreadableTold:
        raise _Refused(_NOTHING) from None
    except (CannotOpen, KeysAway):
        raise _Refused("what it told opens with no key of C2A_KEYRING") from None


def _of_names(conn: Connection, event: Event) -> Attempt:
    found = attempt_store.told_of(
        conn,
        event.tenant_id,
        event.provider,
        psp_key=event.psp_key,
        reference=event.psp_reference,
        merchant_reference=event.merchant_reference,
    )
    if found is None:
        raise _Refused("no attempt of ours is known for it, or several are: name the order with --order")
    return found


def _of_meant(conn: Connection, event: Event, meant: Meant) -> Attempt:
    """The attempt that was named, if nothing in the event speaks against it. Raises _Refused."""
    every = attempt_store.of_order(conn, event.tenant_id, meant.tracking_number)
    fit = [one for one in every if one.provider == event.provider and meant.attempt_no in (None, one.attempt_no)]
    if len(fit) != 1:
        raise _Refused(f"the order has {len(fit)} such attempts at {event.provider}: name one with --attempt")
    [one] = fit
    if event.merchant_reference not in (None, one.merchant_reference):
        raise _Refused("it names another order")
    if event.psp_key not in (None, one.key_at_psp):
        raise _Refused("it names another attempt's key")
    owner = None
    if event.psp_reference is not None:
        owner = attempt_store.told_of(
            conn, event.tenant_id, event.provider, psp_key=None, reference=event.psp_reference, merchant_reference=None
        )
    if owner is not None and owner.tracking_number != one.tracking_number:
        raise _Refused("its charge is another order's")
    return one


def _told(moved: _Moved) -> str:
    before, after = moved.before.state, moved.after.state
    return f"Settled: the order is {after}." if before is not after else f"Settled; the order stays {after}."


def _rings(moved: _Moved) -> tuple[Step, ...]:
    left = moved.before.state in NOBODY_WALKS and moved.after.state is not moved.before.state
    return (STEP_FOR[moved.after.state],) if left and not moved.after.is_finished else ()


def name_of(event: Event) -> inbox.EventName:
    """The key of *event*."""
    return inbox.EventName(event.tenant_id, event.provider, event.event_id)
