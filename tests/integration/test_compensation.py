"""Money without a right to stay goes back once, whatever gets lost on the way, and is shown as open until it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import Captured, Declined, DeclineReason
from shared.domain.states import OrderState
from shared.ids import first_number_at, new_tracking_number
from shared.messages import QUEUE_OF, Step
from shared.store.attempts import AttemptState
from shared.store.engine import statements
from shared.store.open_money import OpenMoney, open_money
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox, until
from workers.pay import pay
from workers.rescuer import rescue
from workers.return_money import return_money
from workers.tokenize import tokenize


def held(room: EngineRoom, since: str = "") -> list[OpenMoney]:
    """The open money of this room's tenant."""
    with statements(room.run.engine) as conn:
        return open_money(conn, tenant_id=room.seller.shop.tenant_id, since=since)


def of_order(room: EngineRoom, number: str) -> list[AttemptState]:
    """What of it belongs to one order."""
    return [one.outcome for one in held(room) if one.tracking_number == number]


def money_of_a_failed_order(room: EngineRoom, psp: Sandbox) -> str:
    """An order that failed, and whose capture came to light after it."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=True)
    attempt = room.attempt(number)
    room.tell(attempt, Declined(DeclineReason.GENERIC))
    [row] = [one for one in psp.charges(room.account) if one["idempotencyKey"] == attempt.psp_key]
    room.tell(attempt, Captured(row["pspReference"], attempt.money), actor="webhook")
    assert room.state(number) is OrderState.FAILED
    return number


@pytest.mark.parametrize("memory_s", [86_400, 0], ids=["the PSP remembers keys", "it forgets them at once"])
@pytest.mark.parametrize(
    ("verb", "window_s", "ends"), [("void", 86_400, "voided"), ("refund", 0, "refunded")], ids=["void", "refund"]
)
@pytest.mark.parametrize("kind", ["dropAfter", "http500After", "drop", "http500"])
def test_money_goes_back_once_though_the_answer_got_lost(
    room: EngineRoom, shared_psp: Sandbox, verb: str, window_s: int, ends: str, kind: str, memory_s: int
) -> None:
    number = money_of_a_failed_order(room, shared_psp)
    shared_psp.set_faults(voidWindowSeconds=window_s, keyLifetimeSeconds=memory_s, next=[{"kind": kind, "on": verb}])

    return_money(room.run, number)
    assert of_order(room, number) == [AttemptState.RETURNING]
    return_money(room.run, number)
    return_money(room.run, number)

    assert of_order(room, number) == []
    assert room.attempt(number).outcome is AttemptState.RETURNED
    [row] = [one for one in shared_psp.charges(room.account) if one["merchantReference"] == number]
    assert (row["state"], row["refundedMinor"]) == (ends, row["amountMinor"] if ends == "refunded" else 0)


def test_money_that_the_merchant_gave_back_in_part_goes_back_to_the_rest(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = money_of_a_failed_order(room, shared_psp)
    reference = room.attempt(number).psp_reference
    assert reference is not None
    room.psp.refund(reference, Money(500, "EUR"), psp_key="by the merchant")

    return_money(room.run, number)

    assert room.attempt(number).outcome is AttemptState.RETURNED
    [row] = [one for one in shared_psp.charges(room.account) if one["merchantReference"] == number]
    assert (row["state"], row["refundedMinor"]) == ("refunded", row["amountMinor"])


def test_while_nobody_can_say_whether_it_went_back_nothing_more_is_asked(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = money_of_a_failed_order(room, shared_psp)
    shared_psp.set_faults(next=[{"kind": "http500", "on": "lookUp"}])
    return_money(room.run, number)
    assert of_order(room, number) == [AttemptState.RETURNING]
    [row] = [one for one in shared_psp.charges(room.account) if one["merchantReference"] == number]
    assert row["state"] == "captured"


def test_the_rescuer_rings_for_money_that_waits_to_go_back(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = money_of_a_failed_order(room, shared_psp)
    before = room.run.depths.of(QUEUE_OF[Step.RETURN_MONEY])
    rescue(room.run)
    until(lambda: room.run.depths.of(QUEUE_OF[Step.RETURN_MONEY]) > before)
    [(due,)] = room.sql("SELECT due_at > now() FROM payment_attempts WHERE tracking_number = :n", n=number)
    assert due, "put off until the PSP had its chance"


def test_an_attempt_is_open_money_until_its_order_is_done(room: EngineRoom) -> None:
    number = room.locked()
    assert of_order(room, number) == []
    room.dies_while_charging(number, after_the_charge=True)
    assert of_order(room, number) == [AttemptState.OPEN]
    room.until_lease_ended(number)
    assert pay(room.run, number)
    assert of_order(room, number) == [AttemptState.CAPTURED]
    tokenize(room.run, number)
    assert room.state(number) is OrderState.DONE
    assert of_order(room, number) == []


def test_a_capture_of_a_failed_order_is_never_hidden(room: EngineRoom, shared_psp: Sandbox) -> None:
    """What settling never writes must still be seen if it stands there."""
    number = money_of_a_failed_order(room, shared_psp)
    room.sql("UPDATE payment_attempts SET outcome = 'captured' WHERE tracking_number = :n", n=number)
    assert of_order(room, number) == [AttemptState.CAPTURED]
    assert number not in {one.tracking_number for one in held(room, first_number_at(datetime.now(UTC)))}
    room.sql("UPDATE payment_attempts SET outcome = 'returned' WHERE tracking_number = :n", n=number)


def test_numbers_sort_by_the_moment_they_were_minted() -> None:
    now = datetime.now(UTC)
    assert (
        first_number_at(now - timedelta(seconds=1)) < new_tracking_number() < first_number_at(now + timedelta(hours=1))
    )
