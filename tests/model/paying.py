"""workers/pay.py: claim and write ahead in one commit, call with no transaction open, settle.

Reading the order and claiming it are one step here. What was read can only be acted upon if state and fence are still
the same, and what else the plan rests on either cannot change without moving them or might as well have changed just
after the claim; so nothing is lost by it. Checking the lease and writing to the socket are one step too: a request
that was delayed before it left is a request that is long on its way.
"""

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
from tests.model.rings import chained, is_rung, taken
from tests.model.settling import advanced, settled, tones
from tests.model.world import IDLE, Attempt, Charge, News, Slot, Task, World, charged, with_attempt, with_slot

CLAIMS: Final = Step(Kind.PROMISED, "A worker claims the order, writes its attempt ahead and sends the request.")
SENDS_AGAIN: Final = Step(Kind.PROMISED, "A worker sends the request again, for its PSP cannot be asked.")
TAKES_OVER: Final = Step(Kind.PROMISED, "A worker takes over the ended lease and repeats the request.")
CANNOT_REPEAT: Final = Step(Kind.PROMISED, "A worker takes over the ended lease but may not repeat the request.")
FREE: Final = Step(Kind.PROMISED, "The order costs nothing: it is paid as it stands.")
PARKED: Final = Step(Kind.PROMISED, "Too many workers crashed over the order and no attempt is open: it is cancelled.")
WAITED: Final = Step(Kind.OPEN, "The order has waited for too long and no attempt is open: it is cancelled.")
NO_CARD: Final = Step(Kind.PROMISED, "The card is gone from the vault and the PSP knows of no charge: the order fails.")
NOBODY_LEFT: Final = Step(Kind.PROMISED, "No PSP is left that did not say no: the order fails.")
GIVES_UP: Final = Step(Kind.OPEN, "An order with a no in hand waits no longer for a PSP that takes nothing: it fails.")
ANSWERS: Final = {
    charge: Step(Kind.PROMISED, "The PSP takes the request and answers: {}.", (charge,)) for charge in Charge
}
TIMES_OUT: Final = Step(Kind.FAULT, "The worker stops waiting for the PSP; its request is still on the way.")
REFUSED: Final = Step(Kind.FAULT, "The PSP refuses the connection: provably nothing was sent.")
INVALID: Final = Step(Kind.FAULT, "The PSP finds the request invalid and makes no charge of it.")
DIES_CALLING: Final = Step(Kind.FAULT, "The worker dies in the call; its request is still on the way.")
DIES_TOLD: Final = Step(Kind.FAULT, "The worker dies with the PSP's answer in its memory.")
SETTLES: Final = {
    (news, soft, holds): Step(Kind.PROMISED, "A worker {} settles its answer: {}{}.", (lease, news, ", softly" * soft))
    for news in News
    for soft in (False, True)
    for holds, lease in ((True, "that holds the order"), (False, "that lost its lease"))
}
SECOND_KEY: Final = "never a second key while the verdict on one is out"


def steps(world: World, which: int, slot: Slot, setting: Setting) -> Iterator[tuple[Step, World]]:
    """What worker *which* may do next for the payment, and what may befall it."""
    if slot.task is Task.IDLE:
        may_pay = world.state is S.OFFER_LOCKED or (world.state is S.PAYING and not world.leased)
        may_pay = may_pay or _may_be_sent_again(world, setting)
        if may_pay and is_rung(world, Message.PAY, setting):
            heard = taken(world, Message.PAY, setting)
            if not setting.costs_nothing and not any(one.outcome in UNSETTLED for one in world.attempts):
                yield WAITED, advanced(heard, E.CANCELLED)
            yield from _starts(heard, which, setting)
    elif slot.task is Task.CALLING:
        yield from _calling(world, which, slot, setting)
    elif slot.task is Task.TOLD:
        stale, earlier = not slot.holds, slot.earlier
        for soft in tones(slot.news, setting):
            after = settled(world, slot.attempt, slot.news, setting, stale=stale, earlier=earlier, soft=soft)
            if after.state is S.CAPTURED:
                after = chained(after, Message.PAY, setting)
            yield SETTLES[slot.news, soft, slot.holds], with_slot(after, which, IDLE)
        if world.faults:
            yield DIES_TOLD, with_slot(_faulty(world), which, IDLE)


def _starts(world: World, which: int, setting: Setting) -> Iterator[tuple[Step, World]]:
    unsettled = next((n for n, one in enumerate(world.attempts) if one.outcome in UNSETTLED), None)
    if unsettled is None and setting.costs_nothing:
        yield FREE, chained(advanced(world, E.NOTHING_TO_PAY), Message.PAY, setting)
    elif unsettled is None and world.crashes >= setting.crashes_to_park:
        yield PARKED, advanced(world, E.CANCELLED)
    elif not world.card and (charged := _charged_unknown(world)) is not None and unsettled is None:
        yield _claims(world, which, None, charged, setting)
    elif not world.card and (unsettled is None or Bug.LOST_CARD_FAILS_OPEN in setting.bugs):
        yield NO_CARD, advanced(world, E.PAYMENT_DECLINED if _was_declined(world) else E.CARD_LOST)
    elif unsettled is not None:
        yield _claims(world, which, unsettled, world.attempts[unsettled].provider, setting)
    else:
        yield from _chooses(world, which, setting)


def _chooses(world: World, which: int, setting: Setting) -> Iterator[tuple[Step, World]]:
    """The router, as it may choose with any records: of those that did not say no."""
    said_no = {one.provider for one in world.attempts if one.outcome is not A.ABSENT}
    asked = {one.provider for one in world.attempts}
    left = set(range(min(setting.psps, len(asked) + 1))) - said_no  # Those not asked yet are alike: one speaks for all.
    for provider in sorted(left):
        yield _claims(world, which, None, provider, setting)
    if not left:
        yield NOBODY_LEFT, advanced(world, E.PAYMENT_DECLINED)
    elif said_no:
        yield GIVES_UP, advanced(world, E.PAYMENT_DECLINED)


def _charged_unknown(world: World) -> int | None:
    """The PSP that knows a charge which we believe it does not have.

    To ask and to fail are one step: a request that arrives in between might as well arrive after both.
    """
    late = (one.provider for one in world.attempts if one.outcome is A.ABSENT and one.charge is not Charge.NONE)
    return next(late, None)


def _was_declined(world: World) -> bool:
    return any(one.outcome is A.DECLINED for one in world.attempts)


def _may_be_sent_again(world: World, setting: Setting) -> bool:
    """pay.py: a payment that is confirming, at a PSP that cannot be asked, while there is a card and no poison."""
    if setting.looks_up or world.state is not S.CONFIRMING or not any(one.outcome is A.OPEN for one in world.attempts):
        return False
    return world.card and world.crashes < setting.crashes_to_park and Bug.NOT_SENT_AGAIN not in setting.bugs


def _claims(world: World, which: int, unsettled: int | None, provider: int, setting: Setting) -> tuple[Step, World]:
    resumes, again = world.state is S.PAYING, world.state is S.CONFIRMING
    covered = not (unsettled is not None and Bug.PROOF_FROM_FIRST_REQUEST in setting.bugs)
    after = advanced(world, E.PAYMENT_RESUMED if resumes or again else E.PAYMENT_STARTED, leased=True)
    unfenced = tuple(slot._replace(holds=False) if slot.holds else slot for slot in after.slots)
    after = after._replace(slots=unfenced, crashes=after.crashes + resumes)
    after, index = _written_ahead(after, unsettled, provider, setting)
    slot = Slot(Task.CALLING, index, holds=True, repeats=unsettled is not None, covered=covered)
    may_send = world.card and after.crashes < setting.crashes_to_park
    if not may_send:
        slot = Slot(Task.TOLD, index, holds=True, news=News.UNANSWERED)
    step = CLAIMS if not resumes else TAKES_OVER if may_send else CANNOT_REPEAT
    step = SENDS_AGAIN if again else step
    return step, with_slot(after, which, slot)


def _written_ahead(world: World, unsettled: int | None, provider: int, setting: Setting) -> tuple[World, int]:
    if unsettled is not None and Bug.NEW_KEY_ON_RETRY not in setting.bugs:
        if Bug.PROOF_FROM_FIRST_REQUEST in setting.bugs:
            return world, unsettled
        asked = world.attempts[unsettled]._replace(aged=False, again=not setting.remembers_declines)
        return with_attempt(world, unsettled, asked), unsettled
    for index, one in enumerate(world.attempts):
        if one.outcome is A.ABSENT and one.provider == provider:
            return with_attempt(world, index, _reopened(one)), index
    broken = SECOND_KEY if unsettled is not None else world.broken
    fresh = Attempt(provider=provider)
    return world._replace(attempts=(*world.attempts, fresh), broken=broken), len(world.attempts)


def _reopened(attempt: Attempt) -> Attempt:
    """One that was proven absent opens again under its own key, and its time counts from now."""
    return attempt._replace(
        outcome=A.OPEN, aged=False, again=False, astray=attempt.astray + attempt.astray_uncovered, astray_uncovered=0
    )


def _calling(world: World, which: int, slot: Slot, setting: Setting) -> Iterator[tuple[Step, World]]:
    attempt = world.attempts[slot.attempt]
    for answer, books in psp.asked(attempt, setting):
        after = charged(world, slot.attempt, books)
        yield ANSWERS[answer], with_slot(after, which, _told(slot, psp.NEWS_OF[answer]))
    if not world.faults:
        return
    after = _faulty(world)
    on_its_way = with_attempt(after, slot.attempt, _astray(attempt, slot))
    yield TIMES_OUT, with_slot(on_its_way, which, _told(slot, News.UNANSWERED))
    yield DIES_CALLING, with_slot(on_its_way, which, IDLE)
    is_proof = not slot.repeats or Bug.REPEATED_NOT_SENT_TRUSTED in setting.bugs
    yield REFUSED, with_slot(after, which, _told(slot, News.NOT_SENT if is_proof else News.UNANSWERED))
    is_final = not slot.repeats or Bug.REPEATED_NO_TRUSTED in setting.bugs
    yield INVALID, with_slot(after, which, _told(slot, News.DECLINED if is_final else News.UNANSWERED))


def _told(slot: Slot, news: News) -> Slot:
    return Slot(Task.TOLD, slot.attempt, holds=slot.holds, news=news)


def _astray(attempt: Attempt, slot: Slot) -> Attempt:
    if slot.covered:
        return attempt._replace(astray=attempt.astray + 1)
    return attempt._replace(astray_uncovered=attempt.astray_uncovered + 1)


def _faulty(world: World) -> World:
    return world._replace(faults=world.faults - 1)
