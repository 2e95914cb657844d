"""Money an operator sends back arrives once, whatever worker dies over it: of done orders, and of orders called off.

The child is a real worker process that dies at the boundary; what follows is only what the product does by itself.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest

from shared.config import Settings
from shared.failpoints import KILLED
from shared.failpoints import Failpoint as P
from shared.messages import Step
from shared.operate import actions
from shared.operate.asking import Asked
from shared.store.operator_actions import Outcome
from tests.crash.beginnings import captured
from tests.support import commit_cutter
from tests.support.commit_cutter import Cutter
from tests.support.crash_case import Case
from tests.support.desks import desk_beside
from tests.support.operating import c2a, said

POINTS = (
    P.RETURN_BEFORE_CALL,
    P.RETURN_BEFORE_REFUND,
    P.RETURN_AFTER_CALL,
    P.RETURN_BEFORE_COMMIT,
    P.RETURN_AFTER_COMMIT,
)

REFUND_POINTS = (
    P.REFUND_BEFORE_CALL,
    P.REFUND_BEFORE_AHEAD,
    P.REFUND_AFTER_AHEAD,
    P.REFUND_AFTER_CALL,
    P.REFUND_BEFORE_REFUND,
    P.REFUND_BEFORE_COMMIT,
    P.REFUND_AFTER_COMMIT,
)


@pytest.fixture(scope="module")
def cutter(settings: Settings) -> Iterator[Cutter]:
    """A proxy before the database that the operator's commands go through."""
    with commit_cutter.before(settings.database_url.get_secret_value()) as running:
        yield running


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


@pytest.mark.parametrize("late", [False, True], ids=["answer lost", "statement late"])
def test_a_refund_cut_off_at_its_commit_is_asked_for_again_under_its_id_and_happens_once(
    case: Case, cutter: Cutter, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """The operator does not know whether it arrived, and is told how to ask again without asking twice."""
    number = captured(case)
    case.step(Step.TOKENIZE, number)
    settings = case.floor.settings
    monkeypatch.setenv("DATABASE_URL", cutter.url)
    monkeypatch.setenv("BROKER_URL", settings.broker_url.get_secret_value())
    monkeypatch.setenv("VAULT_URL", settings.vault_url.get_secret_value())
    monkeypatch.setenv("C2A_KEYRING", str(settings.keyring))
    asked_for = ("orders", "refund", number, "--amount", 500, "--why", "one came broken")

    cutter.cut_at("COMMIT", late=late)
    cut_off = c2a(*asked_for)
    cutter.arrived()

    assert cut_off.exit_code == 1
    found = re.search(r"--id ([0-9a-f-]{36})", cut_off.output)
    assert found is not None, cut_off.output
    case.drain.until_over()
    assert said(*asked_for, "--id", found[1])["outcome"] == "begun"
    assert case.violations() == []
    assert at_psp(case, number) == ("captured", 500)
