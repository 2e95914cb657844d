"""workers/look_up.py: read the order, ask the PSP, settle; what had its time is written down, then cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shared.domain.states import OrderEvent as E
from shared.domain.states import OrderState as S
from shared.messages import Step as Message
from shared.store.attempts import UNSETTLED
from shared.store.attempts import AttemptState as A
from tests.model import psp
from tests.model.bugs import Bug, Setting
from tests.model.graph import Kind, Step
from tests.model.rings import is_rung, rung, rung_for_state, taken
from tests.model.settling import marked, moved, settled, tones
from tests.model.world import IDLE, UNCLEAR, Attempt, Charge, News, Slot, Task, World, with_attempt, with_slot

READS_OF: Final = {
    (state, proves): Step(
        Kind.PROMISED, "A look-up reads the order ({}{}).", (state, "; absence would be proof" * proves)
    )
    for state in UNCLEAR
    for proves in (False, True)
}
LEARNS: Final = {news: Step(Kind.PROMISED, "The look-up asks the PSP and learns: {}.", (news,)) for news in News}
NOT_ANSWERED: Final = Step(Kind.FAULT, "The PSP does not answer the look-up.")
SETTLES: Final = {
    (news, soft): Step(Kind.PROMISED, "The look-up settles: {}{}.", (news, ", softly" * soft))
    for news in News
    for soft in (False, True)
}
GIVES_UP: Final = Step(Kind.PROMISED, "The look-up gives the payment up: it writes down that the charge is to go back.")
CANCELLED: Final = Step(Kind.PROMISED, "The PSP takes the look-up's void and says so.")
CANCEL_UNKNOWN: Final = Step(Kind.FAULT, "The look-up's void gets no answer and is still on the way.")
DIES: Final = Step(Kind.FAULT, "The worker dies in its look-up.")
HAD_TIME: Final = "no challenge is cancelled while its shopper has time"
CARD_DROPPED: Final = "the card of an order that is being paid stays in the vault"


def steps(world: World, which: int, slot: Slot, setting: Setting) -> Iterator[tuple[Step, World]]:
    """What worker *which* may do next for a look-up, and what may befall it."""
    if slot.task is Task.IDLE:
        if world.state in UNCLEAR and is_rung(world, Message.LOOK_UP, setting):
            yield from _reads(taken(world, Message.LOOK_UP, setting), which, setting)
        return
    if slot.task is Task.LOOKING:
        yield from _asks(world, which, slot, setting)
    elif slot.task is Task.LOOKED:
        for soft in tones(slot.news, setting):
            yield SETTLES[slot.news, soft], with_slot(_settles(world, slot, setting, soft=soft), which, IDLE)
    elif slot.task is Task.GIVING_UP:
        if Bug.VOID_BEFORE_COMMIT in setting.bugs:
            yield from _voids(world, which, slot)
        else:
            yield GIVES_UP, with_slot(_given_up(world, slot, setting), which, IDLE)
    else:
        return
    if world.faults:
        yield DIES, with_slot(world._replace(faults=world.faults - 1), which, IDLE)


def _reads(world: World, which: int, setting: Setting) -> Iterator[tuple[Step, World]]:
    index = next((n for n, one in enumerate(world.attempts) if one.outcome in UNSETTLED), None)
    if index is None:
        return  # What is to go back is on its way back; that ends the order.
    attempt = world.attempts[index]
    if attempt.outcome is A.OPEN and not setting.looks_up:
        return  # It rings for the payment step (paying.py), which may be rung for at any moment here.
    proves = attempt.outcome is A.OPEN and (attempt.aged or Bug.ABSENT_TRUSTED_AT_ONCE in setting.bugs)
    slot = Slot(
        Task.LOOKING,
        index,
        holds=True,
        has_time=world.state is S.CHALLENGE and not world.overdue,
        still_out=_STILL_OUT[attempt.outcome] if _time_is_over(world, attempt.outcome) else (),
        proves=proves,
    )
    yield READS_OF[world.state, proves], with_slot(world, which, slot)


_STILL_OUT: Final = {A.CHALLENGED: (News.CHALLENGED,), A.PENDING: (News.CHALLENGED, News.PENDING)}


def _time_is_over(world: World, outcome: A) -> bool:
    """settle.time_is_over: a challenge that the order no longer waits for, or one whose time is up; a pending payment
    past its deadline."""
    if outcome is A.CHALLENGED:
        return world.state is S.CONFIRMING or (world.state is S.CHALLENGE and world.overdue)
    return outcome is A.PENDING and world.state is S.CONFIRMING and world.overdue


def _asks(world: World, which: int, slot: Slot, setting: Setting) -> Iterator[tuple[Step, World]]:
    for answer in _answers(world.attempts[slot.attempt], setting):
        yield LEARNS[answer], with_slot(world, which, _concluded(slot, answer))
    if world.faults:
        after = world._replace(faults=world.faults - 1)
        yield NOT_ANSWERED, with_slot(after, which, _concluded(slot, News.UNANSWERED))


def _answers(attempt: Attempt, setting: Setting) -> tuple[News, ...]:
    """What the PSP may say. One that cannot be asked: what it said last, or what comes of what a browser brought back,
    if it brought anything."""
    answer = psp.NEWS_OF[attempt.charge]
    if setting.looks_up:
        return (answer,)
    last = News.CHALLENGED if attempt.outcome is A.CHALLENGED else News.PENDING
    return (last,) if last is News.PENDING or answer is last else (last, answer)


def _concluded(slot: Slot, answer: News) -> Slot:
    """What a look-up makes of the PSP's word: a shopper who still has time is not hurried."""
    if answer in slot.still_out:
        return Slot(Task.GIVING_UP, slot.attempt, holds=slot.holds)
    if answer is News.ABSENT and not slot.proves:
        answer = News.UNANSWERED
    if slot.has_time and answer in (News.CHALLENGED, News.UNANSWERED):
        return IDLE
    return Slot(Task.LOOKED, slot.attempt, holds=slot.holds, news=answer)


def _settles(world: World, slot: Slot, setting: Setting, *, soft: bool) -> World:
    stale = not slot.holds and Bug.LOOK_UP_NOT_FENCED not in setting.bugs
    after = settled(world, slot.attempt, slot.news, setting, stale=stale, earlier=slot.earlier, soft=soft)
    if after.state is S.PAYING and Bug.LATE_LOOK_UP_DROPS_CARD in setting.bugs:
        return after._replace(broken=CARD_DROPPED)
    if after.state is world.state or after.state in UNCLEAR:
        return after
    return rung_for_state(after, setting)


def _given_up(world: World, slot: Slot, setting: Setting) -> World:
    """In one transaction, judged again under the row lock: the charge is to go back, whatever becomes of it."""
    attempt = world.attempts[slot.attempt]
    if not slot.holds or not _time_is_over(world, attempt.outcome):
        return world
    has_time = world.state in UNCLEAR and not world.overdue and not world.called_off
    after = world._replace(broken=HAD_TIME) if has_time else world
    if not setting.looks_up:
        # What has a name is asked back; what has none yet is told if it still comes to something. Nobody proves more.
        ended = marked(after, slot.attempt, A.RETURNING if attempt.outcome is A.PENDING else A.DECLINED)
        return rung(moved(ended, E.CHALLENGE_EXPIRED), Message.RETURN_MONEY, setting)
    after = marked(after, slot.attempt, A.RETURNING)
    if after.state is S.CHALLENGE:
        after = moved(after, E.PAYMENT_UNANSWERED)
    return rung(after, Message.RETURN_MONEY, setting)


def _voids(world: World, which: int, slot: Slot) -> Iterator[tuple[Step, World]]:
    attempt = world.attempts[slot.attempt]
    if world.state in UNCLEAR and not world.overdue and attempt.charge is Charge.CHALLENGE:
        world = world._replace(broken=HAD_TIME)
    proven = Slot(Task.LOOKED, slot.attempt, holds=slot.holds, news=News.RETURNED)
    yield CANCELLED, with_slot(with_attempt(world, slot.attempt, psp.voided(attempt)), which, proven)
    if world.faults:
        unknown = proven._replace(news=News.UNANSWERED)
        after = with_attempt(world, slot.attempt, attempt._replace(void_astray=True))
        yield CANCEL_UNKNOWN, with_slot(after._replace(faults=world.faults - 1), which, unknown)
