"""What one state of the payment model holds: the rows, the workers' memories, the PSP's books and what is on its way.

Everything is a small tuple of plain values, so a state is its own key. What can no longer matter is set to its
default (`settled_down`), so that states that behave alike are one state; all workers do the same jobs, so their order
says nothing and they are kept sorted.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from shared.domain.states import TERMINAL, OrderState
from shared.store.attempts import UNSETTLED, AttemptState


class News(StrEnum):
    """The shapes of shared.domain.outcomes, by their names; a test holds them together."""

    NONE = "nothing"
    CAPTURED = "Captured"
    DECLINED = "Declined"
    CHALLENGED = "Challenged"
    PENDING = "Pending"
    UNANSWERED = "Unanswered"
    NOT_SENT = "NotSent"
    ABSENT = "Absent"
    RETURNED = "Returned"
    STILL_HELD = "StillHeld"


class Charge(StrEnum):
    """How one charge stands in the PSP's books. RETURNED: voided or refunded."""

    NONE = "no charge"
    DECLINED = "declined"
    CHALLENGE = "challenge"
    PENDING = "pending"
    CAPTURED = "captured"
    RETURNED = "returned"


BIT: Final = {charge: 1 << index for index, charge in enumerate(Charge)}
"""The webhook that tells of each standing, as one bit."""


class Task(StrEnum):
    """What a worker is in the middle of. Between two of its steps everything else may happen."""

    IDLE = "idle"
    CALLING = "pay: its request is on the way"
    TOLD = "pay: has an answer in memory"
    LOOKING = "look-up: has read the order"
    LOOKED = "look-up: has an answer in memory"
    GIVING_UP = "look-up: asked the PSP to cancel"
    VOIDING = "return: its void is on the way"
    REFUNDING = "return: its refund is on the way"
    RETURNED = "return: has the proof in memory"
    REFUNDING_DONE = "refund of a done order: its request is on the way"
    REFUNDED_DONE = "refund of a done order: has the proof in memory"


class Refund(StrEnum):
    """How the refund of a done order stands (shared/store/refunds.py); the model refunds all of it, once."""

    NONE = "no refund"
    ASKED = "asked"
    GIVEN = "given"


class Slot(NamedTuple):
    """One worker. *holds*: the fence it read or got is still the order's."""

    task: Task = Task.IDLE
    attempt: int = 0
    holds: bool = False
    repeats: bool = False
    covered: bool = True
    """Whether the time after which its attempt may be called absent counts from this request or a later one."""
    news: News = News.NONE
    earlier: bool = False
    """Whether its news is of a declined charge that the PSP forgot, and another was made under the same key since."""
    has_time: bool = False
    still_out: tuple[News, ...] = ()
    """The answers on which a look-up gives up the payment it asks about; none while it has time."""
    proves: bool = False


class Attempt(NamedTuple):
    """One attempt: our row, then the PSP's side of it."""

    outcome: AttemptState = AttemptState.OPEN
    provider: int = 0
    again: bool = False
    """Whether it was asked for more than once since it was opened. Kept only where the PSP forgets what it declined."""
    aged: bool = False
    """Whether so much time passed since the row's asked_at that "no such charge" proves there will be none."""
    charge: Charge = Charge.NONE
    first_answer: Charge = Charge.NONE
    """What the PSP answers to a repeat under the same key."""
    astray: int = 0
    """Requests on the way whose sender died or stopped waiting."""
    astray_uncovered: int = 0
    void_astray: bool = False
    webhooks: int = 0
    """Bits of those not delivered yet."""
    earlier_no: bool = False
    """Whether the webhook of such a forgotten charge is not delivered yet."""
    delivered: int = 0
    """Bits of those that may come a second time. Kept only where nobody would notice (Bug.WEBHOOKS_NOT_ONCE)."""


class World(NamedTuple):
    """The whole state."""

    faults: int
    """How many are still to come at most."""
    state: OrderState = OrderState.ADMITTED
    leased: bool = False
    overdue: bool = False
    """The shopper's time is up, or the PSP's with a pending payment; kept while the order is confirming after that."""
    crashes: int = 0
    card: bool = True
    rings: int = 0
    """Messages in the broker; kept only without a rescuer, for with one a ring may come at any moment."""
    attempts: tuple[Attempt, ...] = ()
    slots: tuple[Slot, ...] = ()
    refund: Refund = Refund.NONE
    called_off: bool = False
    """Whether an operator ended it while it held money, or the hope of any: one of its attempts says so."""
    broken: str = ""
    """The promise the last step broke, if it broke one."""


IDLE: Final = Slot()
CARD_MATTERS: Final = frozenset(
    {OrderState.ADMITTED, OrderState.OFFER_LOCKED, OrderState.PAYING, OrderState.CONFIRMING}
)
UNCLEAR: Final = frozenset({OrderState.CONFIRMING, OrderState.CHALLENGE})


def with_attempt(world: World, index: int, attempt: Attempt) -> World:
    """*world* with one attempt replaced."""
    every = world.attempts
    return world._replace(attempts=(*every[:index], attempt, *every[index + 1 :]))


def with_slot(world: World, index: int, slot: Slot) -> World:
    """*world* with one worker replaced."""
    every = world.slots
    return world._replace(slots=(*every[:index], slot, *every[index + 1 :]))


def charged(world: World, index: int, books: Attempt) -> World:
    """*world* after a request reached the PSP: a no that somebody still has in memory may be another charge's now."""
    was_declined = world.attempts[index].charge is Charge.DECLINED
    after = with_attempt(world, index, books)
    if not was_declined or books.charge is Charge.DECLINED:
        return after
    slots = tuple(
        slot._replace(earlier=True) if slot.attempt == index and slot.news is News.DECLINED else slot
        for slot in world.slots
    )
    return after._replace(slots=slots)


def in_flight(world: World, index: int) -> bool:
    """Whether a request for a charge under this attempt's key may still reach the PSP."""
    attempt = world.attempts[index]
    return bool(attempt.astray or attempt.astray_uncovered) or any(
        slot.task is Task.CALLING and slot.attempt == index for slot in world.slots
    )


def settled_down(world: World) -> World:
    """*world* without what no longer matters."""
    state = world.state
    changes: dict[str, object] = {}
    if world.card and (state not in CARD_MATTERS or is_pending(world)):
        changes["card"] = False
    if world.overdue and state not in UNCLEAR:
        changes["overdue"] = False
    if world.called_off and state is OrderState.FAILED:
        changes["called_off"] = False
    if world.crashes and state in TERMINAL:
        changes["crashes"] = 0
    slots = tuple(sorted(world.slots))
    if slots != world.slots:
        changes["slots"] = slots
    for index, attempt in enumerate(world.attempts):
        settled = _settled_down(world, index, attempt)
        if settled is not attempt:
            world = with_attempt(world, index, settled)
    return world._replace(**changes) if changes else world  # type: ignore[arg-type]


def is_pending(world: World) -> bool:
    """Whether the order waits for a payment that takes days: nobody sends it again, so its card is gone."""
    pending = AttemptState.PENDING
    return world.state is OrderState.CONFIRMING and any(one.outcome is pending for one in world.attempts)


def _settled_down(world: World, index: int, attempt: Attempt) -> Attempt:
    outcome = attempt.outcome
    is_refunded = outcome is AttemptState.CAPTURED and world.refund is Refund.ASKED
    telling = attempt.webhooks & (BIT[Charge.RETURNED] if is_refunded else _TELLING.get(outcome, 0))
    if telling != attempt.webhooks:
        attempt = attempt._replace(webhooks=telling)
    if attempt.earlier_no and outcome not in UNSETTLED:
        attempt = attempt._replace(earlier_no=False)
    if (attempt.aged or attempt.again) and outcome is not AttemptState.OPEN:
        attempt = attempt._replace(aged=False, again=False)
    if attempt.first_answer is not Charge.NONE and world.state in TERMINAL and not in_flight(world, index):
        attempt = attempt._replace(first_answer=Charge.NONE)
    return attempt


_ALL: Final = sum(BIT.values())
_TELLING: Final = {
    **dict.fromkeys(UNSETTLED, _ALL),
    AttemptState.ABSENT: BIT[Charge.CAPTURED],
    AttemptState.DECLINED: BIT[Charge.CAPTURED],
    AttemptState.RETURNING: BIT[Charge.RETURNED] | BIT[Charge.DECLINED],
}
"""Which webhooks still change anything for an attempt that stands so."""
