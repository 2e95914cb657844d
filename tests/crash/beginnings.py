"""How an order gets to where a crash begins.

Each leads a new order of the case's tenant there and returns its tracking number.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import text

from shared.domain.offers import Offer
from shared.messages import Step
from shared.psp.factory import psp_for
from shared.store import attempts
from shared.store.engine import statements
from tests.support.asked_beside import request_of
from tests.support.crash_case import Case
from tests.support.psp import Hook
from tests.support.wire import GOOD_CARD, Document, fresh_card

KEPT: Final[Document] = {"storeMethodSuccessPayment": "always"}

DECLINED_CARD: Final = "4000000000000002"
SOFT_CARD: Final = "4000007700000018"
CHALLENGED_CARD: Final = "4000002760003184"
ABANDONED_CARD: Final = "4000007700000034"
ANSWER_LOST_CARD: Final = "4000007700000141"


def pay_with(number: str = GOOD_CARD) -> Document:
    """A typed card that is to be kept."""
    return fresh_card(number, **KEPT)


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
    change(case, "UPDATE payment_attempts SET kept_token = NULL WHERE tracking_number = :number", number)
    return number


def confirming(case: Case) -> str:
    """An order whose PSP took the money and was cut off before it could say so."""
    number = locked(case, ANSWER_LOST_CARD)
    case.step(Step.PAY, number)
    assert case.state(number) == "confirming"
    return number


def with_early_news(case: Case) -> tuple[str, Hook]:
    """Such an order, and the webhook that told of its charge before its attempt was known, and waits."""
    number = confirming(case)
    hook = case.hook(number, "charge.captured")
    change(case, "UPDATE payment_attempts SET psp_key = 'x' || psp_key WHERE tracking_number = :number", number)
    assert case.tell_here(hook) == 200
    change(case, "UPDATE payment_attempts SET psp_key = substr(psp_key, 2) WHERE tracking_number = :number", number)
    return number, hook


def challenged_and_approved(case: Case) -> str:
    """An order whose shopper has passed the challenge; nobody told us."""
    number = locked(case, CHALLENGED_CARD)
    case.step(Step.PAY, number)
    assert case.floor.sandbox.click(case.redirect(number), "approve").status_code == 303
    return number


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
    psp_for(case.account).charge(request_of(attempt))


def change(case: Case, statement: str, number: str) -> None:
    """Change rows of the order *number* as no code of ours would."""
    with statements(case.floor.run.engine) as conn:
        conn.execute(text(statement), {"number": number})
