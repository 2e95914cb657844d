"""An attempt whose order was paid or ended by another one is looked up all the same, and holds no money in the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from secrets import token_hex

import pytest
from sqlalchemy.exc import DataError
from structlog.testing import capture_logs

from shared.doctor.examination import Scope
from shared.domain.states import OrderState
from shared.store.attempts import Attempt, AttemptState
from tests.support.attempt_rows import write_ahead
from tests.support.engine_room import EngineRoom, captured
from tests.support.psp import Sandbox
from tests.support.wire import fresh_card
from workers import reconcile
from workers.examiner import examine_alone
from workers.return_money import return_money
from workers.runtime import Runtime
from workers.tokenize import tokenize

THREE_DS = "4000002760003184"
TAKES_DAYS = "4000007700000067"


def done_beside(room: EngineRoom, psp: Sandbox, outcome: str, charge: str | None) -> tuple[str, Attempt]:
    """An order that an earlier attempt paid after all, while the verdict on its second one was out.

    The second attempt is *outcome* in our row; at the PSP it is *charge*, made with that card, or was never made.
    """
    number = room.locked(fresh_card(charge) if charge else None)
    room.dies_while_charging(number, after_the_charge=charge is not None)
    second = room.attempt(number)
    room.sql(
        "UPDATE payment_attempts SET attempt_no = 2, outcome = :o, asked_at = now() - interval '2 min'"
        " WHERE tracking_number = :n",
        o=outcome,
        n=number,
    )
    first = replace(second, attempt_no=1, psp_key=token_hex(20), outcome=AttemptState.ABSENT)
    with room.run.engine.begin() as conn:
        write_ahead(conn, first)
    room.sql("UPDATE payment_attempts SET outcome = 'absent' WHERE tracking_number = :n AND attempt_no = 1", n=number)
    room.tell(first, captured(first, f"sb_{token_hex(8)}"), actor="webhook")
    tokenize(room.run, number)
    assert room.state(number) is OrderState.DONE
    return number, second


@pytest.mark.parametrize(
    ("outcome", "charge", "ends"),
    [
        ("open", "4111111111111111", AttemptState.RETURNED),
        ("open", THREE_DS, AttemptState.RETURNED),
        ("challenged", THREE_DS, AttemptState.RETURNED),
        ("open", TAKES_DAYS, AttemptState.RETURNED),
        ("pending", TAKES_DAYS, AttemptState.RETURNED),
        ("open", None, AttemptState.ABSENT),
    ],
    ids=["captured", "challenged unheard", "challenged", "pending unheard", "pending", "never made"],
)
def test_what_is_still_out_beside_a_done_order_is_asked_about_and_given_back(
    room: EngineRoom, shared_psp: Sandbox, outcome: str, charge: str | None, ends: AttemptState
) -> None:
    shared_psp.set_faults(settleSeconds=600)
    number, second = done_beside(room, shared_psp, outcome, charge)

    reconcile.settle_beside(room.run, room.seller.shop.tenant_id, ends_at=float("inf"))
    return_money(room.run, number)

    first, beside = room.attempts(number)
    assert (first.outcome, beside.outcome) == (AttemptState.CAPTURED, ends)
    held = [one for one in shared_psp.charges(room.account) if one["idempotencyKey"] == second.psp_key]
    assert [one["state"] for one in held] == (["voided"] if charge else [])
    assert room.state(number) is OrderState.DONE


@pytest.mark.parametrize("outcome", ["challenged", "pending"])
def test_what_its_psp_knows_no_more_holds_nothing(room: EngineRoom, shared_psp: Sandbox, outcome: str) -> None:
    """A PSP lets go of a challenge that nobody passed; that is no attempt that was never made."""
    number, _ = done_beside(room, shared_psp, outcome, None)
    room.sql(
        "UPDATE payment_attempts SET psp_reference = :gone WHERE tracking_number = :n AND attempt_no = 2",
        gone=f"sb_{token_hex(8)}",
        n=number,
    )

    reconcile.settle_beside(room.run, room.seller.shop.tenant_id, ends_at=float("inf"))

    assert room.attempts(number)[1].outcome is AttemptState.RETURNED
    assert room.state(number) is OrderState.DONE


def test_an_attempt_that_somebody_may_still_be_at_is_left_to_them(room: EngineRoom, shared_psp: Sandbox) -> None:
    number, _ = done_beside(room, shared_psp, "open", None)
    room.sql("UPDATE payment_attempts SET asked_at = now() WHERE tracking_number = :n AND attempt_no = 2", n=number)
    reconcile.settle_beside(room.run, room.seller.shop.tenant_id, ends_at=float("inf"))
    assert room.attempts(number)[1].outcome is AttemptState.OPEN


@pytest.mark.parametrize("error", [ValueError(), DataError(None, None, ValueError())], ids=["a bug", "its rows"])
def test_one_that_cannot_be_settled_does_not_stand_in_the_way_of_the_others(
    room: EngineRoom, shared_psp: Sandbox, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    numbers = [done_beside(room, shared_psp, "open", None)[0] for _ in range(2)]
    ask = reconcile._ask_about

    def first_fails(run: Runtime, attempt: Attempt, since: timedelta) -> None:
        if attempt.tracking_number == numbers[0]:
            raise error
        ask(run, attempt, since)

    monkeypatch.setattr(reconcile, "_ask_about", first_fails)
    with capture_logs() as logs:
        examine_alone(room.run, Scope(timedelta(hours=1), 60.0, room.seller.shop.tenant_id))
    assert [room.attempts(number)[1].outcome for number in numbers] == [AttemptState.OPEN, AttemptState.ABSENT]
    assert [line["tracking_number"] for line in logs if line["event"] == "payment.not_reconciled"] == numbers[:1]
