"""The payment of one order, from admitted to its end: two workers, one PSP (or two), everything that can come between.

Bounded: the number of faults, the crashes that park an order, two workers, two PSPs. Everything else is free: any
worker may pause between any two of its steps for as long as it likes, and whatever may happen meanwhile does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shared.domain.states import TERMINAL, IllegalMove
from shared.domain.states import OrderEvent as E
from shared.domain.states import OrderState as S
from shared.messages import Step as Message
from shared.store.attempts import UNSETTLED
from shared.store.attempts import AttemptState as A
from tests.model import looking, outside, paying, returning
from tests.model.bugs import Setting
from tests.model.graph import Kind, Model, Step
from tests.model.rings import chained, is_rung, rung, taken
from tests.model.settling import advanced
from tests.model.world import IDLE, Charge, Refund, World, in_flight, settled_down

LOCKS: Final = Step(Kind.PROMISED, "A worker holds the offer and fixes the amount.")
REFUSES: Final = Step(Kind.OPEN, "The offer is gone, or the order waited for an hour: it fails.")
STORES: Final = Step(Kind.PROMISED, "The kept method becomes a stored one; the order is done.")
SKIPS: Final = Step(Kind.PROMISED, "There is no method to store; the order is done.")
CANCELS: Final = Step(Kind.PROMISED, "Too many workers crashed before the offer was held: the order is cancelled.")
DIES: Final = Step(Kind.FAULT, "The worker dies over a step that calls nobody.")
LOSES: Final = Step(Kind.FAULT, "The broker loses its messages.")
TWO_CAPTURES: Final = "at most one live capture that is not on its way back"
NOT_ONE_CAPTURE: Final = "an order is captured or done exactly when one attempt's capture is its own"
MONEY_GONE: Final = "money that an order counts as its own is at the PSP"
FAILED_TOO_SOON: Final = "an order fails only when nothing of it is money or may become money"
ABSENT_TOO_SOON: Final = "an attempt is called absent only when nothing of it is on its way"
RETURNED_TOO_SOON: Final = "an attempt is called returned only when the PSP holds nothing of it"
GIVEN_TOO_SOON: Final = "a refund is called given only when the PSP holds nothing of it"
CALLED_OFF_PAID: Final = "an order that was called off is never paid"
OPEN_BESIDE: Final = "an order that ended, or waits to be paid, has no attempt whose verdict is out"
JOBS: Final = (paying.steps, looking.steps, returning.steps)


def model(setting: Setting) -> Model[World]:
    """The payment of one order under *setting*."""

    def steps(world: World) -> Iterator[tuple[Step, World]]:
        for step, after in _steps(world, setting):
            yield step, settled_down(after)

    start = rung(World(faults=setting.faults, slots=(IDLE,) * setting.workers), Message.LOCK_OFFER, setting)
    return Model(start, steps, lambda world: broken(world, setting), lambda world: _is_good(world, setting), tell)


def _steps(world: World, setting: Setting) -> Iterator[tuple[Step, World]]:
    try:
        yield from _ends(world, setting)
        for which, slot in enumerate(world.slots):
            if which and slot == world.slots[which - 1]:
                continue  # They are sorted: one of two alike speaks for both.
            for job in JOBS:
                yield from job(world, which, slot, setting)
        yield from outside.steps(world, setting)
    except IllegalMove as error:
        yield Step(Kind.OPEN, "A step asks for a move that the table does not have."), world._replace(broken=str(error))


def _ends(world: World, setting: Setting) -> Iterator[tuple[Step, World]]:
    """The two steps that speak to nobody outside: each is one compare-and-set, so each is one step here.

    Who dies over them is counted by whoever is rung for next; here at once, for nobody reads the count between.
    """
    is_parked = world.crashes >= setting.crashes_to_park
    if world.state is S.ADMITTED and is_rung(world, Message.LOCK_OFFER, setting):
        heard = taken(world, Message.LOCK_OFFER, setting)
        if is_parked:
            yield CANCELS, advanced(heard, E.CANCELLED)
        else:
            yield LOCKS, chained(advanced(heard, E.OFFER_HELD), Message.LOCK_OFFER, setting)
            yield from _dies(heard)
        yield REFUSES, advanced(heard, E.OFFER_REFUSED)
    if world.state is S.CAPTURED and is_rung(world, Message.TOKENIZE, setting):
        heard = taken(world, Message.TOKENIZE, setting)
        if not is_parked:
            yield STORES, advanced(heard, E.METHOD_STORED)
            yield from _dies(heard)
        yield SKIPS, advanced(heard, E.STORING_SKIPPED)
    if world.rings and world.faults:
        yield LOSES, world._replace(rings=0, faults=world.faults - 1)


def _dies(world: World) -> Iterator[tuple[Step, World]]:
    if world.faults:
        yield DIES, world._replace(faults=world.faults - 1, crashes=world.crashes + 1)


def broken(world: World, setting: Setting) -> str:
    """The first promise that *world* breaks; empty if it keeps all."""
    if world.broken:
        return world.broken
    state = world.state
    open_ones = captured = live = 0
    for index, one in enumerate(world.attempts):
        outcome, charge = one.outcome, one.charge
        if outcome in UNSETTLED:
            open_ones += 1
        if charge is Charge.CAPTURED and outcome is not A.RETURNING:
            live += 1
        if outcome is A.CAPTURED:
            captured += 1
            if charge is not Charge.CAPTURED and world.refund is Refund.NONE:
                return MONEY_GONE
            if charge is Charge.CAPTURED and world.refund is Refund.GIVEN:
                return GIVEN_TOO_SOON
        elif outcome is A.ABSENT and in_flight(world, index) and not setting.slips:
            return ABSENT_TOO_SOON
        elif outcome is A.RETURNED and charge in (Charge.CAPTURED, Charge.CHALLENGE, Charge.PENDING):
            return RETURNED_TOO_SOON
    if world.called_off and state in (S.CAPTURED, S.DONE):
        return CALLED_OFF_PAID
    if setting.slips:
        return ""  # Then the rest holds once what slipped through was compensated: see _is_good.
    if live > 1:
        return TWO_CAPTURES
    if open_ones > 1:
        return paying.SECOND_KEY
    if open_ones and (state in TERMINAL or state in (S.OFFER_LOCKED, S.CAPTURED)):
        return OPEN_BESIDE
    # A forgetful PSP may turn a repeat into money; one that cannot be asked, what was given up: told, it goes back.
    is_final = state is S.FAILED and setting.remembers_declines and setting.looks_up
    if is_final and any(_may_be_money(world, index) for index in range(len(world.attempts))):
        return FAILED_TOO_SOON
    if captured != (state in (S.CAPTURED, S.DONE) and not setting.costs_nothing):
        return NOT_ONE_CAPTURE
    return ""


def _may_be_money(world: World, index: int) -> bool:
    """Whether the PSP holds money of an attempt that nobody is returning, or may come to hold some."""
    attempt = world.attempts[index]
    if attempt.outcome is A.RETURNING:
        return False
    return attempt.charge in (Charge.CAPTURED, Charge.CHALLENGE, Charge.PENDING) or (
        attempt.charge is Charge.NONE and in_flight(world, index)
    )


def _is_good(world: World, setting: Setting) -> bool:
    """Terminal, exactly the money it should have, and nothing open anywhere."""
    if world.state not in TERMINAL:
        return False
    live = 0
    for index, one in enumerate(world.attempts):
        live += one.charge is Charge.CAPTURED
        if one.outcome in UNSETTLED or one.outcome is A.RETURNING:
            return False
        if one.charge is Charge.PENDING or in_flight(world, index):
            return False
    is_kept = world.state is S.DONE and not setting.costs_nothing and world.refund is Refund.NONE
    return live == is_kept and world.refund is not Refund.ASKED


def tell(world: World) -> str:
    """Where *world* stands, in words."""
    attempts = "; ".join(
        f"attempt {number} is {one.outcome}, the PSP's charge: {one.charge}"
        for number, one in enumerate(world.attempts, 1)
    )
    return f"the order is {world.state}{'; ' + attempts if attempts else ''}"
