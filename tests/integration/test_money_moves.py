"""What becomes of news about money: counted once, never fenced away, and given back where it has no right to stay."""

from __future__ import annotations

import secrets

import pytest

from shared.domain.money import Money
from shared.domain.outcomes import Captured, Declined, DeclineReason, NotSent, Unanswered
from shared.domain.states import OrderState
from shared.store.attempts import Attempt, AttemptState
from tests.support.asked_beside import charge_at_psp
from tests.support.attempt_rows import write_ahead
from tests.support.engine_room import EngineRoom, captured
from tests.support.psp import Sandbox
from tests.support.wire import fresh_card
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money
from workers.tokenize import tokenize


def states_at(psp: Sandbox, room: EngineRoom, number: str) -> list[str]:
    """The states of the order's charges in the PSP's ledger, the first one first."""
    return [row["state"] for row in psp.charges(room.account) if row["merchantReference"] == number]


def two_workers(room: EngineRoom) -> tuple[str, Attempt, int]:
    """An order that a second worker took over from a stopped one; its attempt, and the stopped one's fence."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    stopped = room.order(number).fence
    room.until_lease_ended(number)
    room.dies_while_charging(number, after_the_charge=False)
    assert room.order(number).fence > stopped
    return number, room.attempt(number), stopped


@pytest.mark.parametrize("news", [
    Unanswered("timeout"), NotSent("refused"), Declined(DeclineReason.GENERIC),
], ids=["unanswered", "not sent", "declined"])  # fmt: skip
def test_a_worker_that_lost_its_lease_changes_nothing_by_what_it_did_not_get(
    room: EngineRoom, news: Unanswered | NotSent | Declined
) -> None:
    number, attempt, stopped = two_workers(room)
    before = room.order(number)

    room.tell(attempt, news, fence=stopped)

    assert room.order(number).version == before.version
    assert room.attempt(number).outcome is AttemptState.OPEN


def test_its_capture_counts_all_the_same(room: EngineRoom) -> None:
    number, attempt, stopped = two_workers(room)

    room.tell(attempt, captured(attempt, secrets.token_hex(8)), fence=stopped)

    assert room.state(number) is OrderState.CAPTURED
    assert room.attempt(number).outcome is AttemptState.CAPTURED


def test_the_same_capture_twice_changes_nothing(room: EngineRoom) -> None:
    number = room.locked()
    assert pay(room.run, number)
    before, attempt = room.order(number), room.attempt(number)
    assert attempt.psp_reference is not None

    room.tell(attempt, captured(attempt, attempt.psp_reference), actor="webhook")

    assert room.order(number).version == before.version
    tokenize(room.run, number)
    room.tell(attempt, captured(attempt, attempt.psp_reference), actor="webhook")
    assert room.state(number) is OrderState.DONE
    assert room.events(number).count("payment_captured") == 1


def test_another_charge_under_the_same_key_is_marked_once_to_be_returned(room: EngineRoom) -> None:
    """A webhook or a look-up that speaks of a charge we never heard of, though its attempt has one."""
    number = room.locked()
    assert pay(room.run, number)
    attempt = room.attempt(number)

    for _ in range(2):
        room.tell(attempt, captured(attempt, "sb_another"), actor="webhook")

    first, other = room.attempts(number)
    assert first == attempt
    assert (other.outcome, other.psp_reference) == (AttemptState.RETURNING, "sb_another")
    assert other.query.psp_key == attempt.psp_key


@pytest.mark.parametrize(("window_s", "ends"), [(86_400, "voided"), (0, "refunded")])
def test_a_capture_of_a_failed_order_is_given_back(
    room: EngineRoom, shared_psp: Sandbox, window_s: int, ends: str
) -> None:
    """A void while the PSP allows one, else a refund; the order stays failed."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    attempt = room.attempt(number)
    proof = charge_at_psp(room, attempt)
    room.tell(attempt, Declined(DeclineReason.GENERIC))
    assert room.state(number) is OrderState.FAILED
    shared_psp.set_faults(voidWindowSeconds=window_s)

    room.tell(attempt, proof, actor="webhook")
    assert room.attempt(number).outcome is AttemptState.RETURNING
    return_money(room.run, number)
    return_money(room.run, number)

    assert room.attempt(number).outcome is AttemptState.RETURNED
    assert states_at(shared_psp, room, number) == [ends]
    assert room.state(number) is OrderState.FAILED


def test_money_that_could_not_be_given_back_is_asked_for_again(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    attempt = room.attempt(number)
    proof = charge_at_psp(room, attempt)
    room.tell(attempt, Declined(DeclineReason.GENERIC))
    room.tell(attempt, proof)

    shared_psp.set_faults(down="503")
    return_money(room.run, number)
    assert room.attempt(number).outcome is AttemptState.RETURNING
    [(due,)] = room.sql("SELECT due_at > now() FROM payment_attempts WHERE tracking_number = :number", number=number)
    assert due

    shared_psp.set_faults(down="no")
    return_money(room.run, number)
    assert room.attempt(number).outcome is AttemptState.RETURNED
    assert states_at(shared_psp, room, number) == ["voided"]


def test_of_two_captures_the_second_is_given_back(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    first = room.attempt(number)
    second = Attempt(**{name: getattr(first, name) for name in Attempt.__slots__} | {
        "attempt_no": 2, "psp_key": secrets.token_hex(20),
    })  # fmt: skip
    proofs = [charge_at_psp(room, first), charge_at_psp(room, second)]
    room.tell(first, proofs[0])
    with room.run.engine.begin() as conn:
        write_ahead(conn, second)

    room.tell(second, proofs[1], actor="webhook")
    return_money(room.run, number)

    assert [one.outcome for one in room.attempts(number)] == [AttemptState.CAPTURED, AttemptState.RETURNED]
    assert states_at(shared_psp, room, number) == ["captured", "voided"]
    assert room.state(number) is OrderState.CAPTURED


@pytest.mark.parametrize("wrong", [Money(1, "EUR"), Money(1499, "USD"), Money(1500, "EUR")])
def test_a_capture_of_another_amount_never_makes_an_order_done(room: EngineRoom, wrong: Money) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    attempt = room.attempt(number)

    room.tell(attempt, Captured("sb_wrong", wrong))
    assert room.state(number) is OrderState.CONFIRMING
    room.tell(attempt, Captured("sb_wrong", wrong), actor="webhook")

    assert room.state(number) is OrderState.CONFIRMING
    assert room.attempt(number).outcome is AttemptState.OPEN


@pytest.mark.parametrize("number", ["4000007700000166", "4000007700000174", "4000007700000182"])
def test_an_answer_that_lies_is_looked_up_and_the_truth_counts(
    room: EngineRoom, shared_psp: Sandbox, number: str
) -> None:
    """Another amount, another currency, another order's reference: the ledger behind them is right."""
    order = room.locked(fresh_card(number))

    assert not pay(room.run, order)
    assert room.state(order) is OrderState.CONFIRMING
    look_up(room.run, order)

    assert room.state(order) is OrderState.CAPTURED
    assert states_at(shared_psp, room, order) == ["captured"]


def test_a_late_capture_of_an_attempt_that_was_thought_never_made_is_taken(room: EngineRoom) -> None:
    """Absent was believed, the order waits to be paid again, and then the webhook of the first charge comes."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    attempt = room.attempt(number)
    room.tell(attempt, NotSent("refused"))
    assert room.state(number) is OrderState.OFFER_LOCKED

    room.tell(attempt, captured(attempt, secrets.token_hex(8)), actor="webhook")

    assert room.state(number) is OrderState.CAPTURED
    assert not pay(room.run, number) or room.state(number) is OrderState.CAPTURED
    assert len(room.attempts(number)) == 1
