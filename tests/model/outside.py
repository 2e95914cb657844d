"""What happens to an order from outside its workers: time, the shopper, webhooks, the PSP's own books, the vault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shared.domain.states import TERMINAL
from shared.domain.states import OrderEvent as E
from shared.domain.states import OrderState as S
from shared.store.attempts import UNSETTLED
from shared.store.attempts import AttemptState as A
from tests.model import psp
from tests.model.bugs import Bug, Setting
from tests.model.graph import Kind, Step
from tests.model.rings import rung_for_state
from tests.model.settling import advanced, marked, settled, tones
from tests.model.world import (
    BIT,
    UNCLEAR,
    Attempt,
    Charge,
    News,
    Refund,
    Task,
    World,
    charged,
    in_flight,
    is_pending,
    with_attempt,
)

LEASE_ENDS: Final = Step(Kind.PROMISED, "The lease of a worker that died ends.")
OUTLIVED: Final = Step(Kind.FAULT, "A worker is stopped for so long that its lease ends.")
TIME_UP: Final = Step(Kind.PROMISED, "The time the shopper, or the PSP with a pending payment, had is up.")
AGED: Final = Step(Kind.PROMISED, "So much time passes that 'no such charge' now counts as proof.")
SLIPS: Final = Step(Kind.OPEN, "Its sender was stopped so late that a request may still arrive after that time.")
CARD_GONE: Final = Step(Kind.FAULT, "The vault loses the card.")
SAYS: Final = {
    charge: Step(Kind.OPEN, "The shopper acts; the challenge becomes: {}.", (charge,)) for charge in psp.SHOPPERS_WORD
}
LETS_GO: Final = Step(Kind.OPEN, "The PSP cancels the abandoned challenge by itself.")
COMES_DUE: Final = {
    (charge, kind): Step(kind, "The pending charge comes due: {}.", (charge,))
    for charge in psp.SETTLED
    for kind in (Kind.PROMISED, Kind.OPEN)
}
ARRIVES: Final = {
    charge: Step(Kind.PROMISED, "A request that was long on its way reaches the PSP: {}.", (charge,))
    for charge in Charge
}
VANISHES: Final = Step(Kind.PROMISED, "A request that was long on its way is lost.")
VOID_ARRIVES: Final = Step(Kind.OPEN, "A void that was long on its way reaches the PSP.")
TELLS: Final = {
    (charge, soft, kind): Step(kind, "A webhook arrives: {}{}.", (charge, ", softly" * soft))
    for charge in Charge
    for soft in (False, True)
    for kind in (Kind.PROMISED, Kind.OPEN)
}
"""One may get lost, but of a PSP that cannot be asked: that one sends it until it is taken."""
REFUNDED: Final = Step(Kind.OPEN, "An operator refunds the done order.")
CALLED_OFF: Final = Step(Kind.OPEN, "An operator calls the order off.")
HOLDS: Final = frozenset({A.CHALLENGED, A.PENDING, A.CAPTURED})
BY_HAND: Final = Step(Kind.PROMISED, "Somebody asks the PSP by hand, and there is no charge.")
TELLS_AGAIN: Final = {charge: Step(Kind.OPEN, "The same webhook arrives again: {}.", (charge,)) for charge in Charge}
RECONCILES: Final = Step(Kind.PROMISED, "Reconciliation finds a capture that our attempt does not know of.")
BESIDE: Final = Step(Kind.PROMISED, "Reconciliation settles an attempt that nobody looks up: its order is paid.")
TELLS_OF_EARLIER: Final = Step(Kind.OPEN, "The webhook of a no that the PSP forgot arrives.")
TWICE: Final = "a webhook has its effect once"


def steps(world: World, setting: Setting) -> Iterator[tuple[Step, World]]:
    """Everything that may come from outside."""
    yield from _time(world, setting)
    if setting.refunds:
        yield from _refunded(world, setting)
    if setting.called_off:
        yield from _called_off(world, setting)
    if world.faults and world.card and world.state is not S.ADMITTED:
        yield CARD_GONE, world._replace(card=False, faults=world.faults - 1)
    for index, attempt in enumerate(world.attempts):
        yield from _books(world, index, attempt, setting)
        if attempt.webhooks or attempt.delivered or attempt.earlier_no:
            yield from _webhooks(world, index, attempt, setting)
        if Bug.NO_RECONCILIATION not in setting.bugs:
            yield from _reconciled(world, index, attempt, setting)
        yield from _by_hand(world, index, attempt, setting)


def _time(world: World, setting: Setting) -> Iterator[tuple[Step, World]]:
    if world.state is S.PAYING and world.leased:
        if not any(slot.holds and slot.task in (Task.CALLING, Task.TOLD) for slot in world.slots):
            yield LEASE_ENDS, world._replace(leased=False)
        elif world.faults:
            yield OUTLIVED, world._replace(leased=False, faults=world.faults - 1)
    if world.state is S.CHALLENGE and not world.overdue:
        yield TIME_UP, _time_up(world, setting)
    if is_pending(world) and not world.overdue and Bug.PENDING_FOR_EVER not in setting.bugs:
        yield TIME_UP, world._replace(overdue=True)
    may_be_absent = setting.looks_up and world.state in UNCLEAR  # Else nobody asks how old a silence is.
    if may_be_absent or Bug.PROOF_FROM_FIRST_REQUEST in setting.bugs:
        for index, attempt in enumerate(world.attempts):
            if attempt.outcome is A.OPEN and not attempt.aged:
                after = with_attempt(world, index, attempt._replace(aged=True))
                if not _is_covered_in_flight(world, index, attempt):
                    yield AGED, after
                elif setting.slips:
                    yield SLIPS, after


def _refunded(world: World, setting: Setting) -> Iterator[tuple[Step, World]]:
    """An operator refunds a done order: written ahead, and nobody is called."""
    paid = next((index for index, one in enumerate(world.attempts) if one.outcome is A.CAPTURED), None)
    if world.state is not S.DONE or world.refund is not Refund.NONE or paid is None:
        return
    if Bug.REFUND_CALLED_FIRST in setting.bugs:
        yield REFUNDED, with_attempt(world, paid, psp.voided(world.attempts[paid]))
    else:
        yield REFUNDED, world._replace(refund=Refund.ASKED)


def _called_off(world: World, setting: Setting) -> Iterator[tuple[Step, World]]:
    """call_off.py: an operator ends an order whose verdict is not open."""
    if world.state in (S.ADMITTED, S.OFFER_LOCKED):
        yield CALLED_OFF, advanced(world, E.CANCELLED)
        return
    unclear = next((index for index, one in enumerate(world.attempts) if one.outcome is A.OPEN), None)
    if unclear is not None and Bug.CALLED_OFF_OPEN in setting.bugs:
        yield CALLED_OFF, advanced(marked(world, unclear, A.DECLINED), E.PAYMENT_DECLINED)
    if unclear is not None:
        return  # Nobody knows what it holds (judging.py).
    held = next((index for index, one in enumerate(world.attempts) if one.outcome in HOLDS), None)
    if world.state not in (S.CAPTURED, S.CHALLENGE, S.CONFIRMING) or (held is None and world.state is not S.CAPTURED):
        return
    after = world._replace(called_off=held is not None)
    if world.state is not S.CONFIRMING:
        after = advanced(after, E.CALLED_OFF if world.state is S.CAPTURED else E.PAYMENT_UNANSWERED)
    if held is not None:
        is_named = setting.looks_up or world.attempts[held].outcome is not A.CHALLENGED
        after = marked(after, held, A.RETURNING if is_named else A.DECLINED)
    ends = held is None or not setting.looks_up
    yield CALLED_OFF, advanced(after, E.CHALLENGE_EXPIRED) if ends else after


def _reconciled(world: World, index: int, attempt: Attempt, setting: Setting) -> Iterator[tuple[Step, World]]:
    """What the comparison of our attempts with the PSP's books brings to light, where it shows any."""
    if not setting.looks_up:
        yield from _let_go(world, index, attempt)
        return
    if attempt.charge is Charge.CAPTURED and attempt.outcome in (A.DECLINED, A.ABSENT):
        after = settled(world, index, News.CAPTURED, setting, stale=False)
        yield RECONCILES, rung_for_state(after, setting)
    is_beside = attempt.outcome in UNSETTLED and world.state in (S.CAPTURED, *TERMINAL)
    if is_beside and Bug.OPEN_BESIDE_DONE not in setting.bugs:
        if attempt.charge in (Charge.CHALLENGE, Charge.PENDING):
            yield BESIDE, marked(world, index, A.RETURNING)
        elif attempt.charge is not Charge.NONE or not in_flight(world, index):
            yield BESIDE, settled(world, index, psp.NEWS_OF[attempt.charge], setting, stale=False)


def _let_go(world: World, index: int, attempt: Attempt) -> Iterator[tuple[Step, World]]:
    """A PSP that cannot be asked: what it said last is given up beside an order that ended without it."""
    if world.state in (S.CAPTURED, *TERMINAL) and attempt.outcome in (A.CHALLENGED, A.PENDING):
        yield BESIDE, marked(world, index, A.RETURNING if attempt.outcome is A.PENDING else A.DECLINED)


def _by_hand(world: World, index: int, attempt: Attempt, setting: Setting) -> Iterator[tuple[Step, World]]:
    """Nobody can ask, nothing may be sent again, and nothing was charged that could be told of: somebody has to ask the
    PSP and say so (the doctor shows it)."""
    is_stuck = attempt.outcome is A.OPEN and attempt.charge is Charge.NONE and not in_flight(world, index)
    may_be_sent = world.card and world.crashes < setting.crashes_to_park
    if not setting.looks_up and is_stuck and world.state is S.CONFIRMING and not may_be_sent:
        after = settled(world, index, News.NOT_SENT, setting, stale=False)
        yield BY_HAND, rung_for_state(after, setting)


def _time_up(world: World, setting: Setting) -> World:
    if Bug.EXPIRY_FAILS_UNASKED not in setting.bugs:
        return world._replace(overdue=True)
    index = next(n for n, one in enumerate(world.attempts) if one.outcome is A.CHALLENGED)
    return advanced(marked(world, index, A.RETURNED), E.CHALLENGE_EXPIRED)


def _is_covered_in_flight(world: World, index: int, attempt: Attempt) -> bool:
    """Whether a request is on the way that the proof's time does allow for: then it is not over yet."""
    return attempt.astray > 0 or any(
        slot.task is Task.CALLING and slot.attempt == index and slot.covered for slot in world.slots
    )


def _books(world: World, index: int, attempt: Attempt, setting: Setting) -> Iterator[tuple[Step, World]]:
    """What moves at the PSP."""
    if attempt.charge is Charge.CHALLENGE:
        for word in psp.SHOPPERS_WORD:
            if word not in setting.verdicts:
                continue
            yield SAYS[word], with_attempt(world, index, psp.becomes(attempt, word))
        if world.overdue:  # No PSP is less patient than we are.
            yield LETS_GO, with_attempt(world, index, psp.becomes(attempt, Charge.RETURNED))
    elif attempt.charge is Charge.PENDING:
        # An order that waits for it must end though the PSP never says more.
        kind = Kind.OPEN if attempt.outcome is A.PENDING else Kind.PROMISED
        for end in psp.SETTLED:
            yield COMES_DUE[end, kind], with_attempt(world, index, psp.becomes(attempt, end))
    for lost in _landed(attempt):
        yield VANISHES, with_attempt(world, index, lost)
        for answer, books in psp.asked(lost, setting):
            yield ARRIVES[answer], charged(world, index, books)
    if attempt.void_astray:
        yield VOID_ARRIVES, with_attempt(world, index, psp.voided(attempt)._replace(void_astray=False))


def _landed(attempt: Attempt) -> Iterator[Attempt]:
    if attempt.astray:
        yield attempt._replace(astray=attempt.astray - 1)
    if attempt.astray_uncovered:
        yield attempt._replace(astray_uncovered=attempt.astray_uncovered - 1)


def _webhooks(world: World, index: int, attempt: Attempt, setting: Setting) -> Iterator[tuple[Step, World]]:
    if attempt.earlier_no:
        left = with_attempt(world, index, attempt._replace(earlier_no=False))
        for soft in tones(News.DECLINED, setting):
            yield TELLS_OF_EARLIER, _told(left, index, Charge.DECLINED, setting, earlier=True, soft=soft)
    for charge, bit in BIT.items():
        if attempt.webhooks & bit:
            left = with_attempt(world, index, attempt._replace(webhooks=attempt.webhooks & ~bit))
            for soft in tones(psp.NEWS_OF[charge], setting):
                after = _told(left, index, charge, setting, soft=soft)
                if Bug.WEBHOOKS_NOT_ONCE in setting.bugs and after != left:
                    now = after.attempts[index]
                    after = with_attempt(after, index, now._replace(delivered=now.delivered | bit))
                yield TELLS[charge, soft, Kind.OPEN if setting.looks_up else Kind.PROMISED], after
        if attempt.delivered & bit:
            after = _told(world, index, charge, setting)
            if after != world:
                yield TELLS_AGAIN[charge], after._replace(broken=TWICE)


def _told(
    world: World, index: int, charge: Charge, setting: Setting, *, earlier: bool = False, soft: bool = False
) -> World:
    after = settled(world, index, psp.NEWS_OF[charge], setting, stale=False, earlier=earlier, soft=soft)
    return after if after.state is world.state else rung_for_state(after, setting)
