"""Plans the next attempt to pay an order: of whom it is asked, and with what; or why it must wait, or end.

An attempt whose verdict is out is asked of its own PSP again and of no other, whatever the router would choose now: to
switch PSPs while the first is unknown is how shoppers pay twice. Only after proof that an attempt holds nothing is the
router asked for the next best: after a soft no, or after a PSP that provably took nothing. It is never asked twice in
one visit, so a visit goes down the ranking once and then lets the order wait.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from shared.domain.cards import Card
from shared.domain.outcomes import Absent, DeclineReason, Unanswered
from shared.ids import psp_key
from shared.patience import CRASHES_TO_PARK, NO_IN_HAND
from shared.psp import router
from shared.psp.port import Account, Channel
from shared.psp.router import Route
from shared.public_words import failure_of
from shared.routing import need_of
from shared.store import methods
from shared.store.attempts import NOT_FOUND, UNSETTLED, Attempt, AttemptState
from shared.store.engine import statements
from shared.store.methods import StoredToken
from shared.store.orders import Order
from shared.velocity import Shopper
from workers.runtime import Runtime
from workers.sight import Sight

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be asked of whom."""

    account: Account
    attempt: Attempt
    channel: Channel
    card: Card | None
    token: StoredToken | None
    names_stored_method: bool
    route: Route | None
    """Why it is asked of this account; None where nobody chose, for it is asked of it again."""

    @property
    def repeats(self) -> bool:
        """Whether a request for it may be on its way, from a worker that never told what became of it."""
        return self.route is None

    @property
    def has_instrument(self) -> bool:
        """Whether there is what the order named to charge: a stored method has its token or is gone, on any channel."""
        if self.names_stored_method:
            return self.token is not None
        return self.channel is not Channel.CREDIT_CARD or self.card is not None


@dataclass(frozen=True, slots=True)
class Ends:
    """The order cannot be paid: the public words, and whether a PSP's no is why."""

    failure: str
    was_declined: bool = False


class Waits:
    """Nobody takes the order now, and somebody may later."""


class PspSilent(RuntimeError):
    """A PSP did not say whether it knows a charge."""


def plan(run: Runtime, sight: Sight, *, asked_now: Collection[str]) -> Plan | Ends | Waits:
    """How to go on with an order; *asked_now*: the PSPs this visit asked. Raises VaultAway, KeysAway or PspSilent."""
    order, earlier = sight.order, sight.earlier
    out = next((one for one in earlier if _is_out(run, order, one)), None)
    # Asked before all that may raise, so that an order that cannot be planned ends as well.
    if out is None and (order.crashes >= CRASHES_TO_PARK or _has_waited_too_long(run, order)):
        return Ends("CANCELLED")
    token = _token(run, order)
    card, is_blocked = _card(run, order) if order.carries_card else (None, False)
    if out is not None:
        return _plan(order, out, run.account_at(order.tenant_id, out.provider), card, token, None)
    obstacle = _obstacle(order, card, token, is_blocked=is_blocked)
    if obstacle is not None:
        no = _no_of(order, earlier)
        is_lost = no is None and order.carries_card and card is None
        return (_charged_unknown(run, sight) if is_lost else None) or no or obstacle
    return _routed(run, sight, card, token, asked_now)


def _is_out(run: Runtime, order: Order, attempt: Attempt) -> bool:
    """Whether *attempt* may hold money for all we know: nobody told us, or "no such charge" is no proof there.

    Once its PSP keeps the key no longer it could not be sent again either: an index is behind by minutes, keys are kept
    for hours and more, so what is not there by then never was.
    """
    if attempt.outcome in UNSETTLED:
        return True
    if attempt.outcome is not AttemptState.ABSENT or attempt.reason != NOT_FOUND:
        return False
    can = run.psp_for(run.account_at(attempt.tenant_id, attempt.provider)).capabilities
    return not can.proves_absence and order.seen_at - attempt.started_at <= can.key_lifetime


def _has_waited_too_long(run: Runtime, order: Order) -> bool:
    return order.seen_at - order.admitted_at >= timedelta(seconds=run.settings.payment_patience_s)


def _token(run: Runtime, order: Order) -> StoredToken | None:
    if order.stored_method_urn is None:
        return None
    with statements(run.engine) as conn:
        return methods.token_of(conn, run.keyring, order.tenant_id, order.stored_method_urn)


def _card(run: Runtime, order: Order) -> tuple[Card | None, bool]:
    """The card that came with *order*, None if it is gone, and whether its shopper may try no further one now."""
    card, sizes = run.vault.look(order.tenant_id, order.tracking_number, sizes_of=Shopper.of(order).sets)
    return card, run.velocity.is_over(sizes)


def _obstacle(order: Order, card: Card | None, token: StoredToken | None, *, is_blocked: bool) -> Ends | None:
    """Why there is nothing to pay *order* with, whoever were asked."""
    if order.stored_method_urn is not None and token is None:
        return Ends(failure_of(order, DeclineReason.METHOD_GONE))
    if order.carries_card and card is None:
        return Ends("CARD_DATA_UNAVAILABLE")
    if card is not None and is_blocked:
        log.warning("velocity.blocked", tracking_number=order.tracking_number)
        return Ends(failure_of(order, DeclineReason.GENERIC))
    return None


def _charged_unknown(run: Runtime, sight: Sight) -> Plan | None:
    """The attempt for a charge that a PSP knows and we do not; None if there is none. Raises PspSilent.

    Asked for a card that is gone: it leaves the vault with the capture, and a failover to a database that was behind
    takes both the capture and its attempt back. A PSP that cannot be asked tells by its webhook.
    """
    order, earlier = sight.order, sight.earlier
    route = router.choose(sight.candidates(run), need_of(order, earlier, token_at=None))
    if route.may_come:
        raise PspSilent("a PSP that may know a charge is away")
    for account in (one.candidate.account for one in route.ranked):
        psp, attempt = run.psp_for(account), _next_attempt(run, order, earlier, account)
        answer = psp.look_up(attempt.query) if psp.capabilities.looks_up else Absent()
        if isinstance(answer, Unanswered):
            raise PspSilent(answer.why)
        if not isinstance(answer, Absent):
            return _plan(order, attempt, account, None, None, route)
    return None


def _routed(
    run: Runtime, sight: Sight, card: Card | None, token: StoredToken | None, asked_now: Collection[str]
) -> Plan | Ends | Waits:
    order, earlier = sight.order, sight.earlier
    need = need_of(order, earlier, token_at=token.provider if token else None, asked_now=asked_now)
    candidates = sight.candidates(run)
    route = router.choose(candidates, need)
    all_away = route.best is None and route.may_come
    if all_away:
        # Who is away is asked for a turn all the same: its gate says whether it still is, and gives a place in its row.
        route = router.choose([replace(one, record=replace(one.record, is_away=False)) for one in candidates], need)
    no = _no_of(order, earlier)
    is_last_hope = all_away or route.best is None or route.best.provider in need.again
    if no is not None and is_last_hope and order.seen_at - order.admitted_at >= NO_IN_HAND:
        return no
    if route.best is not None:
        return _plan(order, _next_attempt(run, order, earlier, route.best), route.best, card, token, route)
    if need.again.intersection(asked_now):
        return Waits()
    return no or Ends(failure_of(order, DeclineReason.NO_PROVIDER))


def _no_of(order: Order, earlier: Sequence[Attempt]) -> Ends | None:
    """How *order* ends by the last no it got, if it got one."""
    reasons = [one.reason for one in earlier if one.outcome is AttemptState.DECLINED and one.reason is not None]
    return Ends(failure_of(order, DeclineReason(reasons[-1])), was_declined=True) if reasons else None


def _plan(
    order: Order,
    attempt: Attempt,
    account: Account,
    card: Card | None,
    token: StoredToken | None,
    route: Route | None,
) -> Plan:
    names_stored = order.stored_method_urn is not None
    return Plan(account, attempt, Channel(order.channel), card, token, names_stored, route)


def _next_attempt(run: Runtime, order: Order, earlier: Sequence[Attempt], account: Account) -> Attempt:
    """A fresh attempt; one that was proven never to have been made is made again under its own key."""
    again = next((one for one in earlier if one.provider == account.provider), None)
    if again is not None:  # The router names no provider twice but those that took nothing: its key is as good as new.
        return replace(again, started_at=order.seen_at)
    assert order.amount_minor is not None, "the offer is held, so the amount is fixed"
    assert order.currency is not None, "and its currency with it"
    number = earlier[-1].attempt_no + 1 if earlier else 1
    return Attempt(
        tenant_id=order.tenant_id,
        tracking_number=order.tracking_number,
        attempt_no=number,
        provider=account.provider,
        psp_key=psp_key(run.keyring, order.tenant_id, order.merchant_reference, number),
        merchant_reference=order.merchant_reference,
        amount_minor=order.amount_minor,
        currency=order.currency,
        outcome=AttemptState.OPEN,
        psp_reference=None,
        kept_token=None,
        looks=0,
        started_at=order.seen_at,
        asked_at=order.seen_at,
    )
