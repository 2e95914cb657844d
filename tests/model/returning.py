"""workers/return_money.py: void, else refund, asked for again until the PSP proves it.

A void or refund that is still on its way when its worker dies may land now or later without a difference: the charge
is marked to go back, and the same key makes a second one do nothing. So it lands at once or never.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shared.messages import Step as Message
from shared.store.attempts import AttemptState as A
from tests.model import psp
from tests.model.bugs import Bug, Setting
from tests.model.graph import Kind, Step
from tests.model.rings import is_rung, taken
from tests.model.settling import settled
from tests.model.world import IDLE, Charge, News, Refund, Slot, Task, World, with_attempt, with_slot

BEGINS: Final = Step(Kind.PROMISED, "A worker asks the PSP to void what is to go back.")
REFUNDS: Final = Step(Kind.PROMISED, "A worker asks the PSP for the refund of a done order.")
TOO_LATE: Final = Step(Kind.PROMISED, "The PSP says it is too late for a void; the worker asks for a refund.")
GOES_BACK: Final = Step(Kind.PROMISED, "The PSP gives it back and says so.")
TAKEN: Final = Step(Kind.PROMISED, "The PSP takes the return in hand, gives it back, and will tell.")
NOT_DONE: Final = Step(Kind.OPEN, "The PSP takes the return in hand, and will tell that it did not happen.")
ANSWER_LOST: Final = Step(Kind.FAULT, "The PSP gives it back, but its answer is lost.")
DIES: Final = Step(Kind.FAULT, "The worker dies, and its request with it.")
BELIEVED: Final = Step(Kind.FAULT, "The void gets no answer, and the worker takes that for a yes.")
SETTLES: Final = Step(Kind.PROMISED, "The worker settles that the money went back.")
ASKING: Final = (Task.VOIDING, Task.REFUNDING)


def steps(world: World, which: int, slot: Slot, setting: Setting) -> Iterator[tuple[Step, World]]:
    """What worker *which* may do next to return money, and what may befall it."""
    if slot.task is Task.IDLE:
        if is_rung(world, Message.RETURN_MONEY, setting):
            for index, one in enumerate(world.attempts):
                if one.outcome is A.RETURNING:
                    after = taken(world, Message.RETURN_MONEY, setting)
                    yield BEGINS, with_slot(after, which, Slot(Task.VOIDING, index))
                if one.outcome is A.CAPTURED and world.refund is Refund.ASKED:
                    after = taken(world, Message.RETURN_MONEY, setting)
                    yield REFUNDS, with_slot(after, which, Slot(Task.REFUNDING_DONE, index))
        return
    if slot.task in ASKING:
        yield from _asking(world, which, slot, setting)
    elif slot.task is Task.REFUNDING_DONE:
        yield from _refunding(world, which, slot, setting)
    elif slot.task in (Task.RETURNED, Task.REFUNDED_DONE):
        after = settled(world, slot.attempt, News.RETURNED, setting, stale=False)
        yield SETTLES, with_slot(after, which, IDLE)
    else:
        return
    if world.faults:
        yield DIES, with_slot(world._replace(faults=world.faults - 1), which, IDLE)


def _refunding(world: World, which: int, slot: Slot, setting: Setting) -> Iterator[tuple[Step, World]]:
    """workers/give_refund.py: the same, of a capture that stays its order's."""
    back = with_attempt(world, slot.attempt, psp.voided(world.attempts[slot.attempt]))
    if not setting.looks_up:
        yield TAKEN, with_slot(back, which, IDLE)
        yield NOT_DONE, with_slot(world, which, IDLE)
        return
    yield GOES_BACK, with_slot(back, which, Slot(Task.REFUNDED_DONE, slot.attempt))
    if world.faults:
        yield ANSWER_LOST, with_slot(back._replace(faults=world.faults - 1), which, IDLE)


def _asking(world: World, which: int, slot: Slot, setting: Setting) -> Iterator[tuple[Step, World]]:
    attempt = world.attempts[slot.attempt]
    back = with_attempt(world, slot.attempt, psp.voided(attempt))
    if not setting.looks_up:
        yield TAKEN, with_slot(back, which, IDLE)
        believes = Bug.TAKEN_IS_RETURNED in setting.bugs
        yield NOT_DONE, with_slot(world, which, Slot(Task.RETURNED, slot.attempt) if believes else IDLE)
        return
    proven = Slot(Task.RETURNED, slot.attempt)
    yield GOES_BACK, with_slot(back, which, proven)
    if attempt.charge is Charge.CAPTURED and slot.task is Task.VOIDING:
        yield TOO_LATE, with_slot(world, which, slot._replace(task=Task.REFUNDING))
    if world.faults:
        yield ANSWER_LOST, with_slot(back._replace(faults=world.faults - 1), which, IDLE)
        if Bug.VOID_UNKNOWN_IS_RETURNED in setting.bugs:
            yield BELIEVED, with_slot(world._replace(faults=world.faults - 1), which, proven)
