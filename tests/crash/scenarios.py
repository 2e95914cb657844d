"""How to get a process to each failpoint, and what everybody else does about its death.

A scenario leads an order to the step, lets a child take the step with the point armed, and returns the child's exit
code. What the client or the PSP would do next (repeat a POST, send a webhook again) it does; the rest is the
product's own recovery.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from uuid import uuid4

from pydantic import SecretStr
from sqlalchemy import text

from shared.domain.cards import Card
from shared.domain.money import Money
from shared.domain.offers import ArtifactGroup, ItemKind, Offer, OfferItem
from shared.failpoints import Failpoint
from shared.messages import Step
from shared.operate import actions
from shared.operate.asking import Asked
from shared.psp.factory import psp_for
from shared.psp.port import Channel, ChargeRequest
from shared.store import attempts
from shared.store.deliveries import CLAIMED_FOR
from shared.store.engine import statements
from shared.store.operator_actions import Outcome
from tests.support import event_receiver, lanes
from tests.support.crash_case import Case
from tests.support.desks import desk_beside
from tests.support.listening import listens, teller, until_heard
from tests.support.wire import GOOD_CARD, Document, fresh_card

Scenario = Callable[[Case, Failpoint], int]
P = Failpoint

KEPT: Final[Document] = {"storeMethodSuccessPayment": "always"}
DECLINED_CARD: Final = "4000000000000002"
SOFT_CARD: Final = "4000007700000018"
CHALLENGED_CARD: Final = "4000002760003184"
ABANDONED_CARD: Final = "4000007700000034"
ANSWER_LOST_CARD: Final = "4000007700000141"
METHODS: Final = "/api/v1/c2a/customer/payment/methods"
NOWHERE: Final = "redis://127.0.0.1:9/0"


def pay_with(number: str = GOOD_CARD) -> Document:
    """A typed card that is to be kept."""
    return fresh_card(number, **KEPT)


# The front door


def admission(case: Case, point: Failpoint) -> int:
    """The API dies; the client never hears, or not in time, and repeats its POST under the same key."""
    document = case.document(pay_with())
    code = case.heard_from(case.submitting(document, point), document)
    status, _, _ = case.submit(document)
    assert status == 202
    return code


def repeat(case: Case, point: Failpoint) -> int:
    """The API dies while it answers a repeat."""
    document = case.document(pay_with())
    case.submit(document)
    code = case.heard_from(case.submitting(document, point), document)
    status, _, headers = case.submit(document)
    assert (status, headers.get("Idempotent-Replayed")) == (202, "true")
    return code


def refusal(case: Case, point: Failpoint) -> int:
    """The API dies while it refuses: the repeat is refused, too, and the key is free for an order that can be had."""
    document = case.document(pay_with(), offer=case.seller.offer(life=timedelta(seconds=-1)))
    code = case.heard_from(case.submitting(document, point), document)
    status, _, _ = case.submit(document)
    assert status == 409, status
    again = case.document(pay_with(), key=document["order"]["correlationId"])
    status, _, _ = case.submit(again)
    assert status == 202
    return code


def late_admission(case: Case, point: Failpoint) -> int:
    """What stood in the way of an order goes away while it is judged: it is admitted after all, and the API dies."""
    offer = case.seller.offer()
    rival = case.accepted(pay_with(DECLINED_CARD), offer=offer)
    case.step(Step.LOCK_OFFER, rival)
    document = case.document(pay_with(), offer=offer)
    child = case.submitting(document, f"{Failpoint.REFUSAL_HOLDING_KEY}=stop,{point}")
    child.until_stopped()
    case.step(Step.PAY, rival)
    child.signal(signal.SIGCONT)
    code = case.heard_from(child, document)
    status, _, _ = case.submit(document)
    assert status == 202
    return code


# The engine room


def lock_offer(case: Case, point: Failpoint) -> int:
    """The worker that holds an offer dies."""
    return case.working(Step.LOCK_OFFER, case.accepted(pay_with()), point).ended()


def lock_refused(case: Case, point: Failpoint) -> int:
    """The worker that finds an offer sold dies."""
    offer = case.seller.offer()
    first, second = (case.accepted(pay_with(), offer=offer) for _ in range(2))
    case.step(Step.LOCK_OFFER, first)
    return case.working(Step.LOCK_OFFER, second, point).ended()


def paying(case: Case, point: Failpoint) -> int:
    """The worker that pays dies."""
    return case.working(Step.PAY, locked(case), point).ended()


def walking(case: Case, point: Failpoint) -> int:
    """The worker dies that takes an order through all its steps with one message."""
    return case.walking(case.accepted(pay_with()), point).ended()


def walking_lightly(case: Case, point: Failpoint) -> int:
    """The same with an order that stores no method."""
    return case.walking(case.accepted(fresh_card(GOOD_CARD)), point).ended()


def walking_into_a_row(case: Case, point: Failpoint) -> int:
    """The same while its PSP is away, so that it is given a place in its row; then the PSP is back."""
    number = case.accepted(pay_with())
    lanes.opens(case.floor.run.turns, lanes.of(case.account))
    code = case.walking(number, point).ended()
    case.forget_traffic()
    return code


def declined(case: Case, point: Failpoint) -> int:
    """The worker that hears a no dies."""
    return case.working(Step.PAY, locked(case, DECLINED_CARD), point).ended()


def declined_softly(case: Case, point: Failpoint) -> int:
    """The worker that hears a soft no, and finds nobody else to ask, dies."""
    return case.working(Step.PAY, locked(case, SOFT_CARD), point).ended()


def going_on(case: Case, point: Failpoint) -> int:
    """The worker dies over the second PSP, after the first softly said no."""
    case.open_second_account()
    case.floor.sandbox.set_faults(next=[{"kind": "declineSoft"}])
    return case.working(Step.PAY, locked(case), f"{point}#2").ended()


def paying_slowly(case: Case, point: Failpoint) -> int:
    """The worker dies at a beat of its heart, while the PSP has its call."""
    number = locked(case)
    case.floor.sandbox.set_faults(latencyMs=2_000)
    code = case.working(Step.PAY, number, point).ended()
    case.floor.sandbox.heal()
    return code


def paying_nothing(case: Case, point: Failpoint) -> int:
    """The worker dies over an order that costs nothing."""
    free = ArtifactGroup("bn", "Free", (OfferItem("it.00.42", ItemKind.BUNDLE, "Free", Money(0, "EUR"), 10),))
    number = locked(case, offer=case.seller.offer(groups=(free,), installments=()))
    return case.working(Step.PAY, number, point).ended()


def vault_away(case: Case, point: Failpoint) -> int:
    """The worker dies while it puts an order off whose card it cannot read now."""
    return case.working(Step.PAY, locked(case), point, vault_url=SecretStr(NOWHERE)).ended()


def psp_away(case: Case, point: Failpoint) -> int:
    """The worker dies while it gives an order its place in the row of a PSP that is away; then the PSP is back."""
    number = locked(case)
    lanes.opens(case.floor.run.turns, lanes.of(case.account))
    code = case.working(Step.PAY, number, point).ended()
    case.forget_traffic()
    return code


def card_lost(case: Case, point: Failpoint) -> int:
    """The worker dies while it fails an order whose card is gone."""
    number = locked(case)
    case.floor.run.vault.forget(case.seller.shop.tenant_id, number)
    return case.working(Step.PAY, number, point).ended()


def unanswered(case: Case, point: Failpoint) -> int:
    """The worker that asks what became of a charge dies."""
    return case.working(Step.LOOK_UP, confirming(case), point).ended()


def abandoned(case: Case, point: Failpoint) -> int:
    """The worker that cancels an abandoned challenge dies."""
    number = locked(case, ABANDONED_CARD)
    case.step(Step.PAY, number)
    assert case.state(number) == "challenge"
    case.let_pass(65)
    return case.working(Step.LOOK_UP, number, point).ended()


def returning(case: Case, point: Failpoint) -> int:
    """The worker that gives money back dies: a PSP that forgot its own no took the charge of a failed order."""
    number = captured_after_a_no(case)
    return case.working(Step.RETURN_MONEY, number, point).ended()


def refunding(case: Case, point: Failpoint) -> int:
    """The same, where it is too late for a void."""
    number = captured_after_a_no(case)
    case.floor.sandbox.set_faults(voidWindowSeconds=0)
    return case.working(Step.RETURN_MONEY, number, point).ended()


def refunded(case: Case, point: Failpoint) -> int:
    """The worker that gives an operator's refund dies."""
    number = captured(case)
    case.step(Step.TOKENIZE, number)
    case.floor.sandbox.set_faults(voidWindowSeconds=0)
    asked = Asked("Ana", "withdrawn", uuid4())
    actions.refund(desk_beside(case.floor.run), case.seller.shop.tenant_id, number, asked, None)
    return case.working(Step.RETURN_MONEY, number, point).ended()


def operating(case: Case, point: Failpoint) -> int:
    """The operator's own process dies over a refund, and is asked again under the same id."""
    number, action_id = captured(case), uuid4()
    case.step(Step.TOKENIZE, number)
    code = case.refunding(number, point, action_id=action_id, amount_minor=500).ended()
    again = case.refunding(number, "", action_id=action_id, amount_minor=500)
    assert again.ended() == 0
    assert again.answer() == Outcome.BEGUN
    return code


def ending(case: Case, point: Failpoint) -> int:
    """The worker that ends an order with nothing to store dies."""
    number = locked_by(case, fresh_card(GOOD_CARD))
    case.step(Step.PAY, number)
    return case.working(Step.TOKENIZE, number, point).ended()


def storing(case: Case, point: Failpoint) -> int:
    """The worker that stores a method dies."""
    return case.working(Step.TOKENIZE, captured(case), point).ended()


def storing_unanswered(case: Case, point: Failpoint) -> int:
    """The worker that has to ask for a method, and gets no answer, dies."""
    number = captured_untold(case)
    case.floor.sandbox.set_faults(next=[{"kind": "http500", "on": "lookUp"}])
    return case.working(Step.TOKENIZE, number, point).ended()


# News


def webhook(case: Case, point: Failpoint) -> int:
    """The API dies over a webhook; the PSP was not answered and sends it again."""
    hook = case.hook(challenged_and_approved(case), "charge.captured")
    code = case.tell(hook, point).ended()
    assert case.tell_here(hook) == 200
    return code


def webhook_lost(case: Case, point: Failpoint) -> int:
    """The API dies over a webhook, and the PSP never sends it again."""
    hook = case.hook(challenged_and_approved(case), "charge.captured")
    return case.tell(hook, point).ended()


def browser_return(case: Case, point: Failpoint) -> int:
    """The API dies while a shopper comes back, and no webhook ever comes."""
    number = locked(case, CHALLENGED_CARD)
    case.step(Step.PAY, number)
    back = case.floor.sandbox.click(case.redirect(number), "approve").headers["location"]
    path = back.removeprefix(case.floor.settings.public_url)
    return case.calling("GET", path, point).ended()


def rescuer(case: Case, point: Failpoint) -> int:
    """The upkeep process dies while it rings for an order whose message was lost."""
    case.accepted_unheard(pay_with())
    case.let_pass(65)
    return case.rescuing(point).ended()


def early_news(case: Case, point: Failpoint) -> int:
    """The upkeep process dies while it settles a webhook that came before its attempt was known."""
    number = confirming(case)
    hook = case.hook(number, "charge.captured")
    _change(case, "UPDATE payment_attempts SET psp_key = 'x' || psp_key WHERE tracking_number = :number", number)
    assert case.tell_here(hook) == 200
    _change(case, "UPDATE payment_attempts SET psp_key = substr(psp_key, 2) WHERE tracking_number = :number", number)
    return case.releasing(point).ended()


def telling(case: Case, point: Failpoint) -> int:
    """The upkeep process dies while it tells the storefront; another tells it, in order, what it heard under its id."""
    number, floor = captured(case), case.floor
    with event_receiver.running() as process:
        tenant_id = case.seller.shop.tenant_id
        listener = listens(floor.run.engine, floor.parts.keyring, tenant_id, process.storefront())
        case.step(Step.TOKENIZE, number)
        code = case.telling(point).ended()
        assert len(listener.at.heard) == (point in (P.TELLING_AFTER_CALL, P.TELLING_AFTER_RECORD))
        listener.let_pass(CLAIMED_FOR)
        with teller(floor.run) as other:
            heard = until_heard(other, listener, 3 if point is P.TELLING_AFTER_CALL else 2)
    told = [each.event["type"] for each in heard]
    assert told[-2:] == ["checkout.done", "payment_method.stored"]
    assert told[:-2] == (["checkout.done"] if point is P.TELLING_AFTER_CALL else [])
    assert len({each.id for each in heard}) == 2, "the same event has the same id"
    return code


def keeping(case: Case, point: Failpoint) -> int:
    """The API dies while it stores a card without an order; the client adds it once more."""
    body = {"customerUrn": "cu.00.482", "paymentMethod": fresh_card()}
    headers = case.seller.shop.headers
    code = case.calling("POST", f"{METHODS}/add", point, json=body, headers=headers).ended()
    stored = 1 if point is P.KEEPING_AFTER_COMMIT else 0
    assert len(case.records().database.methods) == stored
    assert case.call("POST", f"{METHODS}/add", json=body)[0] == 200
    assert len(case.records().database.methods) == stored + 1
    return code


def deletion(case: Case, point: Failpoint) -> int:
    """The API dies while it deletes a stored card; the client deletes it once more."""
    body = {"customerUrn": "cu.00.482", "paymentMethod": fresh_card()}
    _, kept, _ = case.call("POST", f"{METHODS}/add", json=body)
    assert kept is not None
    path = f"{METHODS}/delete?p={kept['result']['paymentMethodUrn']}"
    code = case.calling("DELETE", path, point, headers=case.seller.shop.headers).ended()
    assert case.call("DELETE", path)[0] == (404 if point is P.DELETION_AFTER_STATEMENT else 200)
    assert case.call("DELETE", path)[0] == 404
    return code


# How an order gets to where a scenario begins


def locked(case: Case, card: str = GOOD_CARD, offer: Offer | None = None) -> str:
    """An order that holds its offer."""
    return locked_by(case, pay_with(card), offer=offer)


def locked_by(case: Case, payment: Document, offer: Offer | None = None) -> str:
    """The same, to be paid in any way."""
    number = case.accepted(payment, offer=offer)
    case.step(Step.LOCK_OFFER, number)
    return number


def captured(case: Case) -> str:
    """An order that is paid."""
    number = locked(case)
    case.step(Step.PAY, number)
    assert case.state(number) == "captured"
    return number


def captured_untold(case: Case) -> str:
    """The same, and what its PSP kept of the card was not told with the capture."""
    number = captured(case)
    _change(case, "UPDATE payment_attempts SET kept_token = NULL WHERE tracking_number = :number", number)
    return number


def confirming(case: Case) -> str:
    """An order whose PSP took the money and was cut off before it could say so."""
    number = locked(case, ANSWER_LOST_CARD)
    case.step(Step.PAY, number)
    assert case.state(number) == "confirming"
    return number


def challenged_and_approved(case: Case) -> str:
    """An order whose shopper has passed the challenge; nobody told us."""
    number = locked(case, CHALLENGED_CARD)
    case.step(Step.PAY, number)
    assert case.floor.sandbox.click(case.redirect(number), "approve").status_code == 303
    return number


def reconciled(case: Case, point: Failpoint) -> int:
    """The upkeep process dies while it settles what only the PSP's books knew; the next examination finds it again."""
    captured_unheard(case)
    code = case.reconciling(point).ended()
    case.reconcile()
    return code


def captured_after_a_no(case: Case) -> str:
    """A failed order whose request, sent a second time by a worker long dead, was captured by a forgetful PSP."""
    number = captured_unheard(case)
    assert case.tell_here(case.hook(number, "charge.captured")) == 200
    return number


def captured_unheard(case: Case) -> str:
    """The same order before its webhook came: only the PSP's books know of the capture."""
    case.floor.sandbox.set_faults(memory="successes", next=[{"kind": "decline"}])
    number = locked(case)
    case.step(Step.PAY, number)
    assert case.state(number) == "failed"
    send_again(case, number)
    return number


def send_again(case: Case, number: str) -> None:
    """The request of an order's only attempt, once more."""
    with statements(case.floor.run.engine) as conn:
        [attempt] = attempts.of_order(conn, case.seller.shop.tenant_id, number)
    psp_for(case.account).charge(
        ChargeRequest(
            psp_key=attempt.psp_key,
            merchant_reference=attempt.merchant_reference,
            money=attempt.money,
            channel=Channel.CREDIT_CARD,
            card=Card("Jane Doe", GOOD_CARD, "2029", "12", "123", None),
            customer_urn="cu.00.482",
            return_url="http://127.0.0.1:9/return",
        )
    )


def _change(case: Case, statement: str, number: str) -> None:
    with statements(case.floor.run.engine) as conn:
        conn.execute(text(statement), {"number": number})
