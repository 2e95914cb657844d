"""Tells an order's story in plain sentences: what happened when, of moves, attempts, webhooks and operators.

For somebody who is awake at three in the morning and has never seen this system: no state is named without its meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.call_off import ACTOR
from shared.domain.states import OrderEvent
from shared.operate.story import Heard, Story
from shared.plain import plain
from shared.store.attempt_stories import AttemptStory
from shared.store.operator_actions import Acted
from shared.store.order_stories import Move
from shared.store.refunds import Refund, RefundState

E = OrderEvent

OF_EVENT: Final[Mapping[OrderEvent, str]] = {
    E.ADMITTED: "The order was accepted.",
    E.OFFER_HELD: "Its offer was held and its amount fixed.",
    E.OFFER_REFUSED: "It did not get its offer, and failed.",
    E.NOTHING_TO_PAY: "It costs nothing, so no PSP was asked.",
    E.PAYMENT_STARTED: "A worker began to take the payment{at_psp}.",
    E.PAYMENT_RESUMED: "A worker sent the same request again under its old key{at_psp}.",
    E.PAYMENT_NOT_MADE: "It was proven that{attempt} made no charge; it may be paid again.",
    E.PAYMENT_UNANSWERED: "Nobody told us what became of the payment{at_psp}: it is being asked for.",
    E.PAYMENT_PENDING: "The PSP took the payment and will know later{at_psp}.",
    E.PAYMENT_CAPTURED: "The money was captured{at_psp}.",
    E.PAYMENT_DECLINED: "The payment was declined for good{at_psp}.",
    E.PAYMENT_DECLINED_SOFT: "The payment was declined{at_psp}; another PSP may take it.",
    E.SHOPPER_CHALLENGED: "The shopper was asked to confirm the payment{at_psp}.",
    E.CHALLENGE_EXPIRED: "What was given up holds no money, so the order ended{at_psp}.",
    E.CARD_LOST: "The card was no longer there to pay with.",
    E.CANCELLED: "It was cancelled before anything was charged.",
    E.CALLED_OFF: "It was called off after it was paid: its money goes back.",
    E.METHOD_STORED: "The payment method was stored, and the order is done.",
    E.STORING_SKIPPED: "There was no method to store, and the order is done.",
}
"""What a move means; a test holds that none is missing."""

CALLED_OFF: Final = "It was called off{at_psp}: the PSP is asked to give up whatever it holds."
"""What the same move means where an operator made it, who has no question but an answer."""

TOLD: Final[Mapping[str, str]] = {
    "Captured": "it was captured",
    "Declined": "it was declined",
    "Challenged": "it waits for its shopper",
    "Pending": "it will be known later",
    "Returned": "it was cancelled, or money of it went back",
    "StillHeld": "a return of it failed",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened."""

    at: datetime
    text: str


LEFT_OUT: Final = "{} moves before this one are not shown."


def happened(story: Story) -> list[Line]:
    """What happened, in order; of each moment the moves first."""
    providers = {one.attempt_no: one.provider for one in story.attempts}
    lines = [Line(story.moves[0].at, LEFT_OUT.format(story.moves_before))] if story.moves_before else []
    lines += [Line(move.at, _of_move(move, providers)) for move in story.moves]
    lines += [line for one in story.attempts for line in _of_attempt(one)]
    lines += [Line(one.event.received_at, _of_news(one)) for one in story.heard]
    lines += [line for one in story.refunds for line in _of_refund(one)]
    lines += [Line(one.at, _of_action(one)) for one in story.acted]
    return sorted(lines, key=lambda line: line.at)


def _of_move(move: Move, providers: Mapping[int, str]) -> str:
    try:
        event = OrderEvent(move.event)
        text = CALLED_OFF if (event, move.actor) == (E.PAYMENT_UNANSWERED, ACTOR) else OF_EVENT[event]
    except ValueError:
        text = f"{plain(move.event)} (a name that this version does not know)."
    provider = providers.get(move.attempt_no or 0)
    at_psp = f" at {provider}, attempt {move.attempt_no}" if provider else ""
    attempt = f" attempt {move.attempt_no} at {provider}" if provider else " the PSP"
    return f"{text.format(at_psp=at_psp, attempt=attempt)} [{move.actor}: {move.state}]"


def _of_attempt(one: AttemptStory) -> Iterator[Line]:
    if one.asked_at != one.started_at:
        yield Line(one.asked_at, f"{one.provider} was last asked for attempt {one.attempt_no}.")
    if one.taken_at is not None:
        yield Line(one.taken_at, f"{one.provider} took the return of attempt {one.attempt_no} in hand, and will tell.")


def _of_refund(one: Refund) -> Iterator[Line]:
    what = f"{one.amount_minor} {one.currency} (minor units)"
    if one.called_at is not None:
        yield Line(one.called_at, f"The PSP was last called for the refund of {what}.")
    if one.taken_at is not None:
        yield Line(one.taken_at, f"The PSP took the refund of {what} in hand, and will tell.")
    if one.doubted_at is not None:
        yield Line(one.doubted_at, f"The PSP told of a refund that failed, which may be the one of {what}.")
    if one.is_by_hand:
        yield Line(one.asked_at, f"{what} went back to the shopper: somebody did so at the PSP, not here.")
    elif one.settled_at is not None:
        how = "went back to the shopper" if one.state is RefundState.GIVEN else "did not go back: the PSP refused"
        yield Line(one.settled_at, f"The refund of {what} {how}.")


def _of_news(one: Heard) -> str:
    event = one.event
    what = "nothing that we can read" if one.outcome is None else TOLD.get(one.outcome, "nothing of a charge")
    ended = "settled" if event.settled_at is not None else "PARKED: no attempt of ours is known for it, or several are"
    reference = f" (their {plain(event.psp_reference)})" if event.psp_reference else ""
    return f"A webhook of {event.provider} told of the charge{reference}: {what}; {ended}. [{plain(event.event_id)}]"


def _of_action(one: Acted) -> str:
    return f"{plain(one.who)} asked to {one.action}: {plain(one.why)}. {one.outcome}: {one.told}"
