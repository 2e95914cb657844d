"""Money an operator sends back arrives once, whatever worker dies over it: of done orders, and of orders called off.

The child is a real worker process that dies at the boundary; what follows is only what the product does by itself.
"""

from __future__ import annotations

import uuid

import pytest

from shared.failpoints import KILLED
from shared.failpoints import Failpoint as P
from shared.messages import Step
from shared.operate import actions
from shared.operate.asking import Asked
from shared.store.operator_actions import Outcome
from tests.crash.scenarios import captured
from tests.support.crash_case import Case
from tests.support.operating import desk_beside

POINTS = (
    P.RETURN_BEFORE_CALL,
    P.RETURN_BEFORE_REFUND,
    P.RETURN_AFTER_CALL,
    P.RETURN_BEFORE_COMMIT,
    P.RETURN_AFTER_COMMIT,
)

REFUND_POINTS = (
    P.REFUND_BEFORE_CALL,
    P.REFUND_AFTER_CALL,
    P.REFUND_BEFORE_REFUND,
    P.REFUND_BEFORE_COMMIT,
    P.REFUND_AFTER_COMMIT,
)


def asked() -> Asked:
    return Asked("Ana", "withdrawn", uuid.uuid4())


def at_psp(case: Case, number: str) -> tuple[str, int]:
    [row] = [
        one for one in case.floor.sandbox.charges(case.account) if one["merchantReference"] == case.reference(number)
    ]
    return row["state"], row["refundedMinor"]


@pytest.mark.parametrize("point", REFUND_POINTS)
@pytest.mark.parametrize(("amount_minor", "left"), [(None, ("refunded", 1499)), (500, ("captured", 500))])
def test_a_refund_happens_once_though_its_worker_dies(
    case: Case, point: P, amount_minor: int | None, left: tuple[str, int]
) -> None:
    number = captured(case)
    case.step(Step.TOKENIZE, number)
    case.floor.sandbox.set_faults(voidWindowSeconds=0)
    acted = actions.refund(desk_beside(case.floor.run), case.seller.shop.tenant_id, number, asked(), amount_minor)
    assert acted.outcome is Outcome.BEGUN

    assert case.working(Step.RETURN_MONEY, number, point).ended() == KILLED, "the point was not reached"

    assert case.violations() == []
    assert at_psp(case, number) == left
    assert case.drain.left() == 0


@pytest.mark.parametrize("window_s", [86_400, 0], ids=["void", "refund"])
@pytest.mark.parametrize("point", POINTS)
def test_a_called_off_order_fails_with_nothing_held_though_its_worker_dies(case: Case, point: P, window_s: int) -> None:
    if window_s and point is P.RETURN_BEFORE_REFUND:
        window_s = 0  # A void is no refund: it is reached where it is too late for one.
    number = captured(case)
    case.floor.sandbox.set_faults(voidWindowSeconds=window_s)
    actions.cancel(desk_beside(case.floor.run), case.seller.shop.tenant_id, number, asked())

    assert case.working(Step.RETURN_MONEY, number, point).ended() == KILLED, "the point was not reached"

    assert case.violations() == []
    assert case.state(number) == "failed"
    assert at_psp(case, number) == (("voided", 0) if window_s else ("refunded", 1499))
