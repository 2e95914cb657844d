"""Takes the payment of an order: claim, write ahead, call, settle; no transaction is open across the network.

The attempt is committed before the PSP is called, under a key that can be derived again. A worker that takes
over from a dead one repeats the same request under the same key, so the PSP answers with the first verdict. A
new attempt is made only when the last one provably holds nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import structlog

from shared.domain.cards import Card
from shared.domain.outcomes import Declined, DeclineReason, NotSent, PaymentOutcome, Unanswered
from shared.domain.states import OrderEvent, OrderState
from shared.failpoints import Failpoint, reach
from shared.ids import psp_key, return_state
from shared.key_service import KeysAway
from shared.patience import CRASHES_TO_PARK, PSP_AWAY, STEP_PATIENCE
from shared.psp import router
from shared.psp.port import TOTAL_TIMEOUT_S, Account, Channel, ChargeRequest
from shared.psp.router import Route
from shared.routing import need_of
from shared.settle import News, failure_of, settle
from shared.store import attempts, leases, methods, orders
from shared.store.attempts import UNSETTLED, Attempt, AttemptState, KeyTaken
from shared.store.engine import statements
from shared.store.methods import StoredToken
from shared.store.orders import Order
from shared.vault import VaultAway
from shared.velocity import Shopper
from workers.runtime import Runtime

log = structlog.get_logger(__name__)

PAYABLE: Final = frozenset({OrderState.OFFER_LOCKED, OrderState.PAYING})

FAILED_BY: Final = {"CARD_DATA_UNAVAILABLE": OrderEvent.CARD_LOST, "CANCELLED": OrderEvent.CANCELLED}
"""What ended an order, where it was no refusal."""


@dataclass(frozen=True, slots=True)
class _Plan:
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
        """Whether the attempt may have been sent before, by a worker that never told what became of it."""
        return self.route is None

    @property
    def has_instrument(self) -> bool:
        """Whether there is what the order named to charge: a stored method has its token or is gone, on any channel."""
        if self.names_stored_method:
            return self.token is not None
        return self.channel is not Channel.CREDIT_CARD or self.card is not None


def pay(run: Runtime, tracking_number: str) -> bool:
    """Take the payment of an order; True if it is captured and its method is to be stored next."""
    with statements(run.engine) as conn:
        order = orders.get(conn, tracking_number)
        if order is None or order.state not in PAYABLE or order.is_leased:
            return order is not None and order.state is OrderState.CAPTURED
        earlier = attempts.of_order(conn, order.tenant_id, order.tracking_number)
    if order.amount_minor == 0:
        return _skip(run, order)
    try:
        plan = _plan(run, order, earlier)
    except (VaultAway, KeysAway):
        return _wait(run, order)
    if isinstance(plan, str):
        return _fail(run, order, plan)
    claimed_at = time.monotonic()
    try:
        claimed = _claim(run, order, plan)
    except KeyTaken:
        plan = _under_own_key(run, order, plan)
        claimed = _claim(run, order, plan)
    if claimed is not None and claimed.parked and not order.parked:
        log.error("order.parked", tracking_number=tracking_number, crashes=claimed.crashes)
    return claimed is not None and _charge(run, claimed, plan, claimed_at)


def _plan(run: Runtime, order: Order, earlier: list[Attempt]) -> _Plan | str:
    """How to pay *order*, or the public words for why it cannot be paid at all. Raises VaultAway or KeysAway."""
    unsettled = next((one for one in earlier if one.outcome in UNSETTLED), None)
    if unsettled is None and (order.crashes >= CRASHES_TO_PARK or _has_waited_too_long(run, order)):
        return "CANCELLED"  # Asked before all that may raise, so that an order that cannot be planned ends as well.
    token = None
    if order.stored_method_urn is not None:
        with statements(run.engine) as conn:
            token = methods.token_of(conn, run.keyring, order.tenant_id, order.stored_method_urn)
        if token is None and unsettled is None:
            return failure_of(order, DeclineReason.METHOD_GONE)
    card = run.vault.get(order.tenant_id, order.tracking_number) if order.carries_card else None
    if order.carries_card and card is None and unsettled is None:
        return "CARD_DATA_UNAVAILABLE"
    if card is not None and unsettled is None and run.velocity.blocks(Shopper.of(order)):
        log.warning("velocity.blocked", tracking_number=order.tracking_number)
        return failure_of(order, DeclineReason.GENERIC)
    channel = Channel(order.channel)
    names_stored = order.stored_method_urn is not None
    if unsettled is not None:
        account = run.account_at(order.tenant_id, unsettled.provider)
        return _Plan(account, unsettled, channel, card, token, names_stored, route=None)
    need = need_of(order, earlier, token_at=token.provider if token else None)
    route = router.choose(run.candidates_of(order.tenant_id), need)
    if route.best is None:
        return failure_of(order, DeclineReason.NO_PROVIDER)
    attempt = _next_attempt(run, order, earlier, route.best)
    return _Plan(route.best, attempt, channel, card, token, names_stored, route)


def _has_waited_too_long(run: Runtime, order: Order) -> bool:
    return order.seen_at - order.admitted_at >= timedelta(seconds=run.settings.payment_patience_s)


def _next_attempt(run: Runtime, order: Order, earlier: list[Attempt], account: Account) -> Attempt:
    """A fresh attempt; one that was proven never to have been made is made again under its own key."""
    last = earlier[-1] if earlier else None
    if last is not None and last.outcome is AttemptState.ABSENT and last.provider == account.provider:
        return last
    assert order.amount_minor is not None, "the offer is held, so the amount is fixed"
    assert order.currency is not None, "and its currency with it"
    number = last.attempt_no + 1 if last else 1
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


def _under_own_key(run: Runtime, order: Order, plan: _Plan) -> _Plan:
    """*plan* for an order whose reference another order was paid under: correlationIds come again after 31 days."""
    own = psp_key(run.keyring, order.tenant_id, order.tracking_number, plan.attempt.attempt_no)
    return replace(plan, attempt=replace(plan.attempt, psp_key=own))


def _claim(run: Runtime, order: Order, plan: _Plan) -> Order | None:
    """Hold the order and write the attempt ahead, in one commit; None if somebody else was faster. Raises KeyTaken."""
    reach(Failpoint.PAY_BEFORE_CLAIM)
    with run.engine.begin() as conn:
        claimed = leases.claim(conn, order, owner=run.owner, terms=run.lease, attempt_no=plan.attempt.attempt_no)
        if claimed is not None:
            attempts.write_ahead(conn, plan.attempt, route=plan.route.document() if plan.route else None)
        reach(Failpoint.PAY_BEFORE_CLAIM_COMMIT)
    reach(Failpoint.PAY_AFTER_CLAIM_COMMIT)
    return claimed


def _charge(run: Runtime, order: Order, plan: _Plan, claimed_at: float) -> bool:
    with run.heartbeat.keeping(order, claimed_at=claimed_at) as lease_ends_at:
        outcome = _ask(run, order, plan, lease_ends_at)
        news = News(plan.attempt, outcome, actor="pay", fence=order.fence)
        with run.engine.begin() as conn:
            now = settle(conn, news, run.terms)
            reach(Failpoint.PAY_BEFORE_COMMIT)
        reach(Failpoint.PAY_AFTER_COMMIT)
    run.velocity.note(now)
    run.forget_spent_card(now)
    run.outages.heard(run.engine, plan.attempt, outcome)
    log.info("payment.answered", tracking_number=now.tracking_number, outcome=type(outcome).__name__, state=now.state)
    reach(Failpoint.PAY_BEFORE_CHAIN)
    return now.state is OrderState.CAPTURED


def _ask(run: Runtime, order: Order, plan: _Plan, lease_ends_at: float) -> PaymentOutcome:
    if not plan.has_instrument or order.crashes >= CRASHES_TO_PARK:
        return Unanswered("the request cannot be repeated; only the PSP knows what became of it")
    psp = run.psp_for(plan.account)
    # Under this lease the request may reach the PSP until the lease's limit.
    if order.seen_at + run.lease.limit - plan.attempt.started_at > psp.capabilities.key_lifetime:
        return Unanswered("the PSP may have forgotten the key; only a look-up is safe")
    if time.monotonic() + TOTAL_TIMEOUT_S > lease_ends_at:
        return Unanswered("this worker was held up for so long that its lease may end within the call")
    reach(Failpoint.PAY_BEFORE_CALL)
    outcome = psp.charge(_request(run, order, plan))
    reach(Failpoint.PAY_AFTER_CALL)
    if plan.repeats and _made_no_charge(outcome):
        return Unanswered("this request made no charge, but an earlier one may have")
    return outcome


def _made_no_charge(outcome: PaymentOutcome) -> bool:
    """Whether *outcome* is about this very request alone: it never left, or the PSP would not even look at it."""
    return isinstance(outcome, NotSent) or (isinstance(outcome, Declined) and outcome.reference is None)


def _request(run: Runtime, order: Order, plan: _Plan) -> ChargeRequest:
    state = return_state(run.keyring, order.tenant_id, order.tracking_number, plan.attempt.attempt_no)
    keeps = order.keeps_method and plan.token is None and run.psp_for(plan.account).capabilities.keeps_methods
    base = f"{run.settings.public_url}/api/v1/c2a/offer/checkout/{order.tracking_number}"
    return ChargeRequest(
        psp_key=plan.attempt.psp_key,
        merchant_reference=plan.attempt.merchant_reference,
        money=plan.attempt.money,
        channel=plan.channel,
        customer_urn=order.customer_urn,
        return_url=f"{base}/return?state={state}",
        card=plan.card,
        token=plan.token.token if plan.token else None,
        keep_method=keeps,
        ip_address=order.request["order"]["customer"].get("ipAddress"),
    )


def _skip(run: Runtime, order: Order) -> bool:
    """An order that costs nothing is paid as it stands; a PSP would refuse to charge it."""
    reach(Failpoint.PAY_BEFORE_SKIP)
    with statements(run.engine) as conn:
        paid = orders.advance(conn, order, OrderEvent.NOTHING_TO_PAY, actor="pay", due_in=STEP_PATIENCE)
    reach(Failpoint.PAY_AFTER_SKIP)
    if paid is not None:
        run.forget_spent_card(paid)
    return paid is not None


def _wait(run: Runtime, order: Order) -> bool:
    reach(Failpoint.PAY_BEFORE_WAIT)
    with statements(run.engine) as conn:
        orders.look_again(conn, order, due_in=PSP_AWAY)
    reach(Failpoint.PAY_AFTER_WAIT)
    return False


def _fail(run: Runtime, order: Order, failure: str) -> bool:
    event = FAILED_BY.get(failure, OrderEvent.PAYMENT_DECLINED)
    reach(Failpoint.PAY_BEFORE_FAILURE)
    with statements(run.engine) as conn:
        failed = orders.advance(conn, order, event, actor="pay", failure=failure)
    reach(Failpoint.PAY_AFTER_FAILURE)
    if failed is not None:
        run.forget_spent_card(failed)
        log.info("order.failed", tracking_number=order.tracking_number, failure=failure)
    return False
