"""What does an order wait for now, what comes next, and where is its money? From its rows, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from shared.domain.states import OrderState
from shared.messages import QUEUE_OF, STEP_FOR
from shared.operate.story import Story
from shared.store.attempt_stories import AttemptStory
from shared.store.attempts import UNSETTLED, AttemptState
from shared.store.refunds import Refund, RefundState

S = OrderState
A = AttemptState

OFTEN: Final = 3
"""Rings without an answer after which somebody is told to look at the workers: by then it was due for a minute."""

NEXT: Final[Mapping[OrderState, str]] = {
    S.ADMITTED: "A worker holds the offer and fixes the amount; then the payment is taken.",
    S.OFFER_LOCKED: "A worker asks a PSP for the money.",
    S.PAYING: "The PSP's answer decides: captured, declined, or the shopper must confirm.",
    S.CONFIRMING: "The PSP's word decides. Nothing is charged a second time until it is known.",
    S.CHALLENGE: "When the shopper comes back, or the time is over, the PSP is asked; without money the order fails.",
    S.CAPTURED: "A worker stores the method, if it is to be kept, and the order is done.",
    S.DONE: "Nothing: this is the end.",
    S.FAILED: "Nothing: this is the end. The shopper may order again.",
}
NEXT_PARKED: Final[Mapping[OrderState, str]] = {
    S.ADMITTED: "It is cancelled at the next look: nothing was charged. Unpark it first if it is to go on.",
    S.OFFER_LOCKED: "It is cancelled at the next look: nothing is open. Unpark it first if it is to be paid.",
    S.PAYING: "Its PSP is asked what became of it; without money it is cancelled.",
    S.CONFIRMING: "Its PSP is asked what became of it; without money it is cancelled.",
    S.CAPTURED: "It is done without its method being stored, unless it is unparked first.",
}
"""What happens by itself to an order that nobody may charge any more."""


def now(story: Story) -> Iterator[str]:
    """Where the order stands and what it waits for."""
    order = story.order
    yield _stands(story)
    if order.parked and not order.is_finished:
        yield f"It is parked: {order.crashes} workers died over it, and nobody charges it any more."
    if not order.is_finished and order.rings >= OFTEN and order.state is not S.CONFIRMING:
        queue = QUEUE_OF[STEP_FOR[order.state]]
        yield f"It was rung for {order.rings} times and nobody came: see that workers of the queue {queue} run."


def comes_next(story: Story) -> str:
    """What will happen by itself."""
    if story.order.parked and story.order.state in NEXT_PARKED:
        return NEXT_PARKED[story.order.state]
    if story.order.state is S.CONFIRMING and _is(story, A.RETURNING):
        return "Once the PSP proves that it holds nothing, the order fails as CANCELLED."
    return NEXT[story.order.state]


def money(story: Story) -> Iterator[str]:
    """Whether money moved, a sentence an attempt."""
    if not story.attempts:
        free = story.order.amount_minor == 0
        yield "No money moved: it costs nothing." if free else "No money moved: no PSP was ever asked."
    for one in story.attempts:
        yield _money_of(one)
    for refund in story.refunds:
        yield _money_of_refund(refund)


def _stands(story: Story) -> str:
    order = story.order
    due = _at(order.due_at)
    match order.state:
        case S.ADMITTED:
            return f"It is accepted and waits for a worker of the queue offer-lock; at {due} it is rung for again."
        case S.OFFER_LOCKED if order.waits_for is not None:
            return f"It stands in the row of {order.waits_for}, which takes no call now; its place comes up at {due}."
        case S.OFFER_LOCKED:
            return f"It has its offer and waits for a worker of the queue payment; at {due} it is rung for again."
        case S.PAYING:
            return _paying(story)
        case S.CONFIRMING:
            return _confirming(story, due)
        case S.CHALLENGE:
            return f"It waits for the shopper to confirm the payment, until {_at(order.deadline_at)}."
        case S.CAPTURED:
            return f"It is paid and waits for a worker of the queue tokenization; at {due} it is rung for again."
        case S.DONE:
            return "It is done: paid and sold."
        case S.FAILED:
            return f"It failed: {order.failure}."


def _paying(story: Story) -> str:
    lease = story.lease
    if lease is None or not story.order.is_leased:
        return "Its worker is gone and its lease is over; another one takes over within seconds."
    limit = f", at {_at(lease.lease_limit)} at the latest" if lease.lease_limit else ""
    return f"The worker {lease.lease_owner} is taking its payment; its lease ends at {_at(lease.lease_until)}{limit}."


def _confirming(story: Story, due: str) -> str:
    if story.order.is_pending:
        until = _at(story.order.deadline_at)
        return f"Its PSP has the payment and will know later, by {until}; it is asked again at {due}."
    out = next((one for one in story.attempts if one.outcome in UNSETTLED), None)
    if out is None:
        return f"Its money is on its way back; the PSP is asked for proof, and somebody looks again at {due}."
    can = story.abilities.get(out.provider)
    if can is not None and not can.looks_up:
        how = f"{out.provider} cannot be asked: the same request is sent again, or its webhook tells"
        return f"Nobody told us whether {out.provider} took the money; {how} (again at {due})."
    return (
        f"Nobody told us whether {out.provider} took the money; it was asked {out.looks} times and is again at {due}."
    )


def _money_of(one: AttemptStory) -> str:
    what = f"{one.amount_minor} {one.currency} (minor units) at {one.provider}, attempt {one.attempt_no}"
    match one.outcome:
        case A.CAPTURED:
            return f"Yes: {what} was captured."
        case A.OPEN:
            return f"Unknown: {what} was asked for, and nobody told us."
        case A.CHALLENGED:
            return f"Not yet: {what} waits for the shopper."
        case A.PENDING:
            return f"Not yet known: {what} was begun, and the PSP tells later."
        case A.DECLINED:
            return f"No: {what} was declined ({one.reason})."
        case A.ABSENT:
            return f"No: {what} was never charged."
        case A.RETURNING:
            again = f", asked for again at {_at(one.due_at)}" if one.due_at else ""
            return f"It is on its way back: {what}{again}{_refused(one)}."
        case A.RETURNED:
            return f"Not any more: the PSP holds nothing of {what}; whatever it had taken went back."


def _money_of_refund(one: Refund) -> str:
    is_doubted = one.doubted_at is not None and one.state is not RefundState.REFUSED
    doubt = " Its PSP told of one that failed, which may be this one: see there." if is_doubted else ""
    return f"{_refunded(one)}{doubt}"


def _refunded(one: Refund) -> str:
    what = f"{one.amount_minor} {one.currency} (minor units)"
    match one.state:
        case RefundState.ASKED:
            refused = f"; refused {one.refusals} times" if one.refusals else ""
            return f"A refund of {what} is on its way, asked for again at {_at(one.due_at)}{refused}."
        case RefundState.GIVEN:
            return f"{what} of it went back as a refund."
        case RefundState.REFUSED:
            return f"A refund of {what} was refused by the PSP: that money is still here."


def _refused(one: AttemptStory) -> str:
    return f"; refused {one.refusals} times" if one.refusals else ""


def _is(story: Story, outcome: AttemptState) -> bool:
    return any(one.outcome is outcome for one in story.attempts)


def _at(moment: datetime | None) -> str:
    return "no set time" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
