"""How to get the API, or an operator's own process, to each of its failpoints; workers and upkeep: scenarios.py."""

from __future__ import annotations

import signal
from datetime import timedelta
from typing import Final
from uuid import uuid4

from shared.failpoints import Failpoint
from shared.messages import Step
from shared.store.operator_actions import Outcome
from tests.crash.beginnings import (
    CHALLENGED_CARD,
    DECLINED_CARD,
    captured,
    challenged_and_approved,
    locked,
    pay_with,
    with_early_news,
)
from tests.support.crash_case import Case
from tests.support.wire import fresh_card

METHODS: Final = "/api/v1/c2a/customer/payment/methods"


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


def keeping(case: Case, point: Failpoint) -> int:
    """The API dies while it stores a card without an order; the client adds it once more."""
    body = {"customerUrn": "cu.00.482", "paymentMethod": fresh_card()}
    headers = case.seller.shop.headers
    code = case.calling("POST", f"{METHODS}/add", point, json=body, headers=headers).ended()
    stored = 1 if point is Failpoint.KEEPING_AFTER_COMMIT else 0
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
    assert case.call("DELETE", path)[0] == (404 if point is Failpoint.DELETION_AFTER_STATEMENT else 200)
    assert case.call("DELETE", path)[0] == 404
    return code


def operating(case: Case, point: Failpoint) -> int:
    """The operator's own process dies over a refund, and is asked again under the same id."""
    number, action_id = captured(case), uuid4()
    case.step(Step.TOKENIZE, number)
    code = case.refunding(number, point, action_id=action_id, amount_minor=500).ended()
    again = case.refunding(number, "", action_id=action_id, amount_minor=500)
    assert again.ended() == 0
    assert again.answer() == Outcome.BEGUN
    return code


def replaying(case: Case, point: Failpoint) -> int:
    """The operator's own process dies while it settles a webhook that waited, and is asked again under the same id."""
    number, hook, action_id = *with_early_news(case), uuid4()
    code = case.replaying(hook, point, action_id=action_id).ended()
    assert case.state(number) == ("captured" if point is Failpoint.REPLAY_AFTER_COMMIT else "confirming")
    again = case.replaying(hook, "", action_id=action_id)
    assert again.ended() == 0
    assert again.answer() == Outcome.DONE
    assert case.state(number) == "captured"
    return code
