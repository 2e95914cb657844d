"""Takes the payment of an order: plan, claim, write ahead, call, settle; no transaction is open across the network.

The attempt is committed before the PSP is called, under a key that can be derived again. A worker that takes
over from a dead one repeats the same request under the same key, so the PSP answers with the first verdict; so does
one that is rung for because the PSP cannot be asked (look_up.py). A new attempt, at the same PSP or another, is made
only when the last one provably holds nothing (plan.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog

from shared.domain.outcomes import Captured, Declined, NotSent, PaymentOutcome, Unanswered
from shared.domain.states import OrderEvent, OrderState
from shared.failpoints import Failpoint, reach
from shared.ids import psp_key, return_state
from shared.kept import sealed_or_none
from shared.key_service import KeysAway
from shared.observe.metrics import parked
from shared.patience import CRASHES_TO_PARK, PSP_AWAY, STEP_PATIENCE, away_for
from shared.psp.port import TOTAL_TIMEOUT_S, ChargeRequest, Psp
from shared.psp.traffic.lane import LONGEST_WAIT_S, Errand, Later
from shared.psp.traffic.turns import AWAY
from shared.routing import MOST_PSPS
from shared.settle import News, settle
from shared.store import leases, moves
from shared.store.ahead import KeyTaken
from shared.store.attempts import Attempt, AttemptState
from shared.store.captures import captured_as_claimed
from shared.store.engine import statements
from shared.store.orders import Order
from shared.vault import VaultAway
from workers.plan import Ends, Plan, PspSilent, Waits, plan
from workers.runtime import Runtime
from workers.sight import Sight

log = structlog.get_logger(__name__)

PAYABLE: Final = frozenset({OrderState.OFFER_LOCKED, OrderState.PAYING, OrderState.CONFIRMING})

FAILED_BY: Final = {"CARD_DATA_UNAVAILABLE": OrderEvent.CARD_LOST, "CANCELLED": OrderEvent.CANCELLED}
"""What ended an order, where it was no refusal."""


def pay(
    run: Runtime,
    tracking_number: str,
    *,
    ends: bool = False,
    asked_now: frozenset[str] = frozenset(),
    stands: bool = False,
) -> bool:
    """Take the payment of an order, of one PSP after the other as far as that is safe; True if it is captured and its
    method is to be stored next.

    *ends*: an order that stores no method is ended with its capture. *asked_now*: the PSPs that this visit to the order
    has asked already; *stands*: whether it has a place in the row of one of them.
    """
    for _ in range(MOST_PSPS + 1):  # The last turn asks nobody: it says how the order goes on.
        sight = Sight.of(run.engine, tracking_number)
        if sight is None:
            return False
        order, earlier = sight.order, sight.earlier
        if order.state not in PAYABLE or order.is_leased or _stands(order, asked_now):
            return order.state is OrderState.CAPTURED
        if order.amount_minor == 0:
            return _skip(run, order)
        if order.state is OrderState.CONFIRMING and not any(one.outcome is AttemptState.OPEN for one in earlier):
            return False
        try:
            planned = plan(run, sight, asked_now=asked_now)
        except (VaultAway, KeysAway, PspSilent):
            return _wait(run, order, PSP_AWAY)
        if isinstance(planned, Ends):
            return False if stands else _fail(run, order, planned)  # Its place in a row may still come up.
        if isinstance(planned, Waits):
            # Whoever was asked in this visit has put it off already.
            return False if asked_now else _wait(run, order, away_for(order.seen_at - order.admitted_at))
        if order.state is OrderState.CONFIRMING and not _may_be_sent_again(run, order, planned):
            return False
        state = in_turn(run, order, planned, _claim, ends=ends)
        if isinstance(state, Later):
            stand_in_row(run, order, planned.account.provider, state)
            if state.why != AWAY or planned.repeats:
                return False
            stands = True  # Who is full has its row; of who is away somebody else may take the payment.
        elif state is not OrderState.OFFER_LOCKED:
            return state is OrderState.CAPTURED
        asked_now |= {planned.account.provider}
    return False


def _stands(order: Order, asked_now: frozenset[str]) -> bool:
    """Whether *order* waits in a PSP's row for its place to come up; not in the row that this very visit put it in,
    for somebody else may take it now."""
    return order.stands_in_row and order.waits_for not in asked_now


Claim = Callable[[Runtime, Order, Plan], Order | None]
"""How an order is claimed and its attempt written ahead; None if it is somebody else's. Raises KeyTaken."""


def in_turn(run: Runtime, order: Order, planned: Plan, claim: Claim, *, ends: bool) -> OrderState | Later | None:
    """Carry *planned* out when it is its turn at the PSP; where the order stands then, None if somebody else has it.
    Later: nobody was asked, and its place in the PSP's row comes up then."""
    if not planned.has_instrument:
        return _carry_out(run, order, planned, claim, ends=ends)  # Nobody is going to be called.
    keeps = _keeps(run, order, planned)
    turn = run.turn(planned.account, _errand(order, planned), card=planned.card is not None, keeps=keeps)
    if isinstance(turn, Later):
        return turn
    with turn:
        return _carry_out(run, order, planned, claim, ends=ends)


def _errand(order: Order, planned: Plan) -> Errand:
    """What is asked for goes first where money may be out already, and behind nobody who came later."""
    if planned.repeats:
        return Errand.AT_ONCE
    return Errand.PLACED if order.waits_for == planned.account.provider else Errand.NEW


def _carry_out(run: Runtime, order: Order, planned: Plan, claim: Claim, *, ends: bool) -> OrderState | None:
    """Claim *order* and ask its PSP; where it stands then, None if somebody else was faster."""
    claimed_at = time.monotonic()
    try:
        claimed = claim(run, order, planned)
    except KeyTaken:
        planned = _under_own_key(run, order, planned)
        claimed = claim(run, order, planned)
    if claimed is not None and claimed.parked and not order.parked:
        log.error("order.parked", tracking_number=order.tracking_number, crashes=claimed.crashes)
        parked()
    return None if claimed is None else _charge(run, claimed, planned, claimed_at, ends=ends)


def _under_own_key(run: Runtime, order: Order, planned: Plan) -> Plan:
    """*planned* for an order whose reference another order was paid under: correlationIds come again after 31 days."""
    own = psp_key(run.keyring, order.tenant_id, order.tracking_number, planned.attempt.attempt_no)
    return replace(planned, attempt=replace(planned.attempt, psp_key=own))


def _claim(run: Runtime, order: Order, planned: Plan) -> Order | None:
    """Hold the order and write the attempt ahead, in one statement; None if somebody was faster. Raises KeyTaken."""
    reach(Failpoint.PAY_BEFORE_CLAIM)
    route = planned.route.document() if planned.route else None
    claimed = leases.claim(run.engine, order, planned.attempt, owner=run.owner, terms=run.lease, route=route)
    reach(Failpoint.PAY_AFTER_CLAIM)
    return claimed


def _charge(run: Runtime, order: Order, planned: Plan, claimed_at: float, *, ends: bool) -> OrderState:
    with run.heartbeat.keeping(order, claimed_at=claimed_at) as lease_ends_at:
        outcome = _ask(run, order, planned, lease_ends_at)
        now = _captured(run, order, planned.attempt, outcome, ends=ends) if isinstance(outcome, Captured) else None
        now = now or _settled(run, order, planned, outcome)
    run.velocity.note(now)
    run.forget_spent_card(now)
    log.info("payment.answered", tracking_number=now.tracking_number, outcome=type(outcome).__name__, state=now.state)
    reach(Failpoint.PAY_BEFORE_CHAIN)
    return now.state


def _captured(run: Runtime, order: Order, attempt: Attempt, outcome: Captured, *, ends: bool) -> Order | None:
    """Write down the capture of an order to which nothing happened since its claim; None if that is not how it is."""
    if outcome.money != attempt.money:
        return None
    kept = sealed_or_none(run.keyring, attempt, outcome.kept)
    reach(Failpoint.PAY_BEFORE_CAPTURE)
    captured = captured_as_claimed(
        run.engine, order, attempt, reference=outcome.reference, kept_token=kept, due_in=STEP_PATIENCE, ends=ends
    )
    reach(Failpoint.PAY_AFTER_CAPTURE)
    return captured


def _settled(run: Runtime, order: Order, planned: Plan, outcome: PaymentOutcome) -> Order:
    remembers = run.psp_for(planned.account).capabilities.remembers_declines
    news = News(planned.attempt, outcome, actor="pay", fence=order.fence, remembers_declines=remembers)
    with run.engine.begin() as conn:
        now = settle(conn, news, run.terms)
        reach(Failpoint.PAY_BEFORE_COMMIT)
    reach(Failpoint.PAY_AFTER_COMMIT)
    return now


def _may_be_sent_again(run: Runtime, order: Order, planned: Plan) -> bool:
    """Whether a payment that is confirming is sent again: only where its PSP cannot be asked, and while it can be."""
    psp = run.psp_for(planned.account)
    return not psp.capabilities.looks_up and _why_not_sent(run, order, planned, psp) is None


def _why_not_sent(run: Runtime, order: Order, planned: Plan, psp: Psp) -> Unanswered | None:
    """Why the request must not be sent under this claim; None if it may be."""
    if not planned.has_instrument or order.crashes >= CRASHES_TO_PARK:
        return Unanswered("the request cannot be repeated; only the PSP knows what became of it")
    # Under this lease the request may reach the PSP until the lease's limit.
    if order.seen_at + run.lease.limit - planned.attempt.started_at > psp.capabilities.key_lifetime:
        return Unanswered("the PSP may have forgotten the key; only a look-up is safe")
    return None


def _ask(run: Runtime, order: Order, planned: Plan, lease_ends_at: float) -> PaymentOutcome:
    psp = run.psp_for(planned.account)
    refusal = _why_not_sent(run, order, planned, psp)
    if refusal is not None:
        return refusal
    if time.monotonic() + LONGEST_WAIT_S + TOTAL_TIMEOUT_S > lease_ends_at:
        return Unanswered("this worker was held up for so long that its lease may end within the call")
    reach(Failpoint.PAY_BEFORE_CALL)
    outcome = psp.charge(_request(run, order, planned))
    reach(Failpoint.PAY_AFTER_CALL)
    if planned.repeats and _made_no_charge(outcome):
        return Unanswered("this request made no charge, but an earlier one may have")
    return outcome


def _made_no_charge(outcome: PaymentOutcome) -> bool:
    """Whether *outcome* is about this very request alone: it never left, or the PSP would not even look at it."""
    return isinstance(outcome, NotSent) or (isinstance(outcome, Declined) and outcome.reference is None)


def _keeps(run: Runtime, order: Order, planned: Plan) -> bool:
    """Whether the PSP is asked to keep the method with the charge."""
    return order.keeps_method and planned.token is None and run.psp_for(planned.account).capabilities.keeps_methods


def _request(run: Runtime, order: Order, planned: Plan) -> ChargeRequest:
    state = return_state(run.keyring, order.tenant_id, order.tracking_number, planned.attempt.attempt_no)
    base = f"{run.settings.public_url}/api/v1/c2a/offer/checkout/{order.tracking_number}"
    return ChargeRequest(
        psp_key=planned.attempt.psp_key,
        merchant_reference=planned.attempt.merchant_reference,
        money=planned.attempt.money,
        channel=planned.channel,
        customer_urn=order.customer_urn,
        return_url=f"{base}/return?state={state}",
        card=planned.card,
        token=planned.token.token if planned.token else None,
        keep_method=_keeps(run, order, planned),
        ip_address=order.request["order"]["customer"].get("ipAddress"),
    )


def _skip(run: Runtime, order: Order) -> bool:
    """An order that costs nothing is paid as it stands; a PSP would refuse to charge it."""
    reach(Failpoint.PAY_BEFORE_SKIP)
    paid = moves.advance(run.engine, order, OrderEvent.NOTHING_TO_PAY, actor="pay", due_in=STEP_PATIENCE)
    reach(Failpoint.PAY_AFTER_SKIP)
    if paid is not None:
        run.forget_spent_card(paid)
    return paid is not None


def _wait(run: Runtime, order: Order, due_in: timedelta) -> bool:
    reach(Failpoint.PAY_BEFORE_WAIT)
    with statements(run.engine) as conn:
        moves.look_again(conn, order, due_in=due_in)
    reach(Failpoint.PAY_AFTER_WAIT)
    return False


def stand_in_row(run: Runtime, order: Order, provider: str, turn: Later) -> None:
    """Give up thread and lease until its place at its PSP comes up: no attempt was begun."""
    reach(Failpoint.PAY_BEFORE_ROW)
    with statements(run.engine) as conn:
        if order.state is OrderState.CONFIRMING:
            moves.look_again(conn, order, due_in=turn.due_in)
        else:
            moves.stand_in_row(conn, order, provider, due_in=turn.due_in)
    reach(Failpoint.PAY_AFTER_ROW)
    due_in_ms = round(turn.due_in.total_seconds() * 1_000)
    log.info("payment.in_row", tracking_number=order.tracking_number, why=turn.why, due_in_ms=due_in_ms)


def _fail(run: Runtime, order: Order, end: Ends) -> bool:
    event = FAILED_BY.get(end.failure, OrderEvent.PAYMENT_DECLINED)
    reach(Failpoint.PAY_BEFORE_FAILURE)
    failed = moves.advance(run.engine, order, event, actor="pay", failure=end.failure)
    reach(Failpoint.PAY_AFTER_FAILURE)
    if failed is not None:
        if end.was_declined:
            run.velocity.note(failed)
        run.forget_spent_card(failed)
        log.info("order.failed", tracking_number=order.tracking_number, failure=end.failure)
    return False
