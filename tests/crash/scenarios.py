"""How to get a worker or the upkeep process to each of its failpoints, and what everybody else does about its death.

A scenario leads an order to the step, lets a child take the step with the point armed, and returns the child's exit
code. What the client or the PSP would do next (repeat a POST, send a webhook again) it does; the rest is the
product's own recovery.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import uuid4

from pydantic import SecretStr

from shared.domain.money import Money
from shared.domain.offers import ArtifactGroup, ItemKind, OfferItem
from shared.failpoints import Failpoint
from shared.messages import Step
from shared.operate import actions
from shared.operate.asking import Asked
from shared.store.deliveries import CLAIMED_FOR
from tests.crash.beginnings import (
    ABANDONED_CARD,
    DECLINED_CARD,
    SOFT_CARD,
    captured,
    captured_after_a_no,
    captured_unheard,
    captured_untold,
    confirming,
    locked,
    locked_by,
    pay_with,
    with_early_news,
)
from tests.support import event_receiver, lanes
from tests.support.crash_case import Case
from tests.support.desks import desk_beside
from tests.support.listening import listens, teller, until_heard
from tests.support.wire import GOOD_CARD, fresh_card

Scenario = Callable[[Case, Failpoint], int]

NOWHERE: Final = "redis://127.0.0.1:9/0"


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


def rescuer(case: Case, point: Failpoint) -> int:
    """The upkeep process dies while it rings for an order whose message was lost."""
    case.accepted_unheard(pay_with())
    case.let_pass(65)
    return case.rescuing(point).ended()


def early_news(case: Case, point: Failpoint) -> int:
    """The upkeep process dies while it settles a webhook that came before its attempt was known."""
    with_early_news(case)
    return case.releasing(point).ended()


def reconciled(case: Case, point: Failpoint) -> int:
    """The upkeep process dies while it settles what only the PSP's books knew; the next examination finds it again."""
    captured_unheard(case)
    code = case.reconciling(point).ended()
    case.reconcile()
    return code


def telling(case: Case, point: Failpoint) -> int:
    """The upkeep process dies while it tells the storefront; another tells it, in order, what it heard under its id."""
    number, floor = captured(case), case.floor
    with event_receiver.running() as process:
        tenant_id = case.seller.shop.tenant_id
        listener = listens(floor.run.engine, floor.parts.keyring, tenant_id, process.storefront())
        case.step(Step.TOKENIZE, number)
        code = case.telling(point).ended()
        assert len(listener.at.heard) == (point in (Failpoint.TELLING_AFTER_CALL, Failpoint.TELLING_AFTER_RECORD))
        listener.let_pass(CLAIMED_FOR)
        with teller(floor.run) as other:
            heard = until_heard(other, listener, 3 if point is Failpoint.TELLING_AFTER_CALL else 2)
    told = [each.event["type"] for each in heard]
    assert told[-2:] == ["checkout.done", "payment_method.stored"]
    assert told[:-2] == (["checkout.done"] if point is Failpoint.TELLING_AFTER_CALL else [])
    assert len({each.id for each in heard}) == 2, "the same event has the same id"
    return code
