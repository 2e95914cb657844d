"""shared/settle.py and the moves of an order, as the model runs them.

Every move goes through the code's own table. `MOVES` remembers which rows were taken, so that a test can say which
rows of the table the model never needs.
"""

from __future__ import annotations

from typing import Final

from shared.domain.states import OrderEvent, OrderState, may, next_state
from shared.settling import MAY_HOLD_MONEY
from shared.store.attempts import UNSETTLED, AttemptState
from tests.model.bugs import Bug, Setting
from tests.model.world import Attempt, Charge, News, Refund, World, with_attempt

E, S, A = OrderEvent, OrderState, AttemptState

MOVES: Final[set[tuple[OrderState, OrderEvent]]] = set()
"""The rows of TRANSITIONS that some exploration of this process used."""

SENT_BACK: Final = "no shopper is sent back to a challenge that was passed for all we know"
ANOTHERS_NO: Final = "a charge that our row names is not ended by a no to another one"
LIVE: Final = frozenset({Charge.CHALLENGE, Charge.PENDING, Charge.CAPTURED})
_KNOWN: Final = (A.CAPTURED, A.RETURNING, A.RETURNED)


def advanced(world: World, event: OrderEvent, *, leased: bool = False) -> World:
    """moves.advance: the row moves and whatever lease it had ends. Raises IllegalMove outside the table."""
    MOVES.add((world.state, event))
    to = next_state(world.state, event)
    if to is S.CHALLENGE or event is E.PAYMENT_PENDING:
        return world._replace(state=to, leased=leased, overdue=False)
    return world._replace(state=to, leased=leased)


def moved(world: World, event: OrderEvent) -> World:
    """_Case.move: an event that means nothing to the present state moves nothing."""
    return advanced(world, event) if may(world.state, event) else world


def tones(news: News, setting: Setting) -> tuple[bool, ...]:
    """Whether *news* may be a soft no, and a hard one."""
    return (False, True) if news is News.DECLINED and setting.psps > 1 else (False,)


def settled(
    world: World,
    index: int,
    news: News,
    setting: Setting,
    *,
    stale: bool,
    earlier: bool = False,
    soft: bool = False,
) -> World:
    """settle(): make *news* of one attempt true, in one transaction. *stale*: its bringer's fence is past; *earlier*:
    it is of a charge before the attempt's present one; *soft*: it is a no that another PSP may not give."""
    bugs = setting.bugs
    if stale and Bug.NO_FENCING in bugs:
        stale = False
    attempt = world.attempts[index]
    match news:
        case News.CAPTURED:
            return _captured(world, index, attempt, bugs)
        case News.DECLINED:
            return _declined(world, index, attempt, setting, stale=stale, earlier=earlier, soft=soft)
        case News.CHALLENGED:
            return _challenged(world, index, attempt, bugs)
        case News.PENDING:
            return _pending(world, index, attempt)
        case News.UNANSWERED:
            return _unanswered(world, index, attempt, bugs, stale=stale)
        case News.NOT_SENT | News.ABSENT:
            return _not_made(world, index, attempt, stale=stale)
        case News.RETURNED:
            return _returned(world, index, attempt)
        case News.STILL_HELD:
            return marked(world, index, A.RETURNING) if attempt.outcome is A.RETURNED else world
        case _:
            raise AssertionError(f"nobody settles {news}")


def marked(world: World, index: int, outcome: AttemptState) -> World:
    """_Case.mark: write what became of an attempt."""
    return with_attempt(world, index, world.attempts[index]._replace(outcome=outcome))


def _captured(world: World, index: int, attempt: Attempt, bugs: frozenset[Bug]) -> World:
    if attempt.outcome is A.CAPTURED and Bug.MESSENGER_DECIDES in bugs:
        return marked(world, index, A.RETURNING)
    if attempt.outcome in _KNOWN:
        return world  # Told twice.
    rival = any(one.outcome is A.CAPTURED for one in world.attempts)
    is_called_off = world.called_off and Bug.CALLED_OFF_PAID not in bugs
    if rival or is_called_off or not may(world.state, E.PAYMENT_CAPTURED):
        return world if Bug.LATE_SUCCESS_DROPPED in bugs else marked(world, index, A.RETURNING)
    return advanced(marked(world, index, A.CAPTURED), E.PAYMENT_CAPTURED)


def _declined(
    world: World, index: int, attempt: Attempt, setting: Setting, *, stale: bool, earlier: bool, soft: bool
) -> World:
    if attempt.outcome is A.RETURNING and not stale and not earlier and attempt.charge is Charge.DECLINED:
        return _returned(world, index, attempt)  # It was never taken. (A no that made no charge has no name.)
    if stale or attempt.outcome not in UNSETTLED:
        return world
    names_its_charge = attempt.outcome is not A.OPEN
    if earlier and names_its_charge and Bug.NEWS_OF_ANOTHER_CHARGE not in setting.bugs:
        return world
    if names_its_charge and attempt.charge in LIVE:
        world = world._replace(broken=ANOTHERS_NO)
    goes_on = soft and not names_its_charge and may(world.state, E.PAYMENT_DECLINED_SOFT)
    is_proof = setting.remembers_declines or not attempt.again or Bug.FAILOVER_WITHOUT_PROOF in setting.bugs
    event = E.PAYMENT_DECLINED_SOFT if goes_on and is_proof else E.PAYMENT_DECLINED
    return moved(marked(world, index, A.DECLINED), event)


def _challenged(world: World, index: int, attempt: Attempt, bugs: frozenset[Bug]) -> World:
    if attempt.outcome not in UNSETTLED:
        return world
    if attempt.outcome is A.PENDING:
        return world._replace(broken=SENT_BACK) if Bug.PASSED_CHALLENGE_SHOWN in bugs else world
    return moved(marked(world, index, A.CHALLENGED), E.SHOPPER_CHALLENGED)


def _pending(world: World, index: int, attempt: Attempt) -> World:
    if attempt.outcome not in UNSETTLED or attempt.outcome is A.PENDING:
        return world
    return moved(marked(world, index, A.PENDING), E.PAYMENT_PENDING)


def _unanswered(world: World, index: int, attempt: Attempt, bugs: frozenset[Bug], *, stale: bool) -> World:
    if stale or attempt.outcome not in UNSETTLED:
        return world
    if Bug.FAILOVER_ON_SILENCE in bugs:
        return moved(marked(world, index, A.ABSENT), E.PAYMENT_NOT_MADE)
    if Bug.TIMEOUT_IS_FAILURE in bugs:
        return moved(marked(world, index, A.DECLINED), E.PAYMENT_DECLINED)
    if world.state is S.CONFIRMING:
        return world  # Looked at again, later.
    if world.state is S.CHALLENGE and not world.overdue and Bug.TIMEOUT_ENDS_CHALLENGE not in bugs:
        return world  # Somebody learned more: the shopper is at it and still has time.
    return moved(world, E.PAYMENT_UNANSWERED)


def _not_made(world: World, index: int, attempt: Attempt, *, stale: bool) -> World:
    if stale or attempt.outcome is not A.OPEN:
        return world
    return moved(marked(world, index, A.ABSENT), E.PAYMENT_NOT_MADE)


def _returned(world: World, index: int, attempt: Attempt) -> World:
    if attempt.outcome is A.CAPTURED and world.refund is Refund.ASKED:
        return world._replace(refund=Refund.GIVEN)
    if attempt.outcome not in UNSETTLED and attempt.outcome is not A.RETURNING:
        return world  # A refund of a done order that we did not ask for, or told twice.
    after = marked(world, index, A.RETURNED)
    if any(one.outcome in MAY_HOLD_MONEY for one in after.attempts):
        return after  # Another attempt decides.
    return moved(after, E.CHALLENGE_EXPIRED)
