"""A done order's money goes back when an operator says so: once, at most what was captured, until the PSP proves it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from shared.doctor import books, checks
from shared.domain.money import Money
from shared.domain.outcomes import Captured, Returned, ReturnOutcome
from shared.domain.states import OrderState
from shared.messages import QUEUE_OF, Step
from shared.operate import actions
from shared.operate.asking import Asked
from shared.psp.port import Psp
from shared.store import refunds
from shared.store.attempts import AttemptState
from shared.store.operator_actions import Acted, Outcome
from shared.store.refunds import Refund, RefundState
from tests.support.adyen_room import AdyenRoom
from tests.support.engine_room import EngineRoom, Killed
from tests.support.examined import found
from tests.support.operating import a_desk, at_a_shell, c2a, said
from tests.support.psp import Sandbox, until
from workers import examiner
from workers.pay import pay
from workers.release import release
from workers.rescuer import rescue
from workers.return_money import return_money
from workers.tokenize import tokenize


def done(room: EngineRoom) -> str:
    number = room.locked()
    assert pay(room.run, number)
    tokenize(room.run, number)
    assert room.state(number) is OrderState.DONE
    return number


def refund(room: EngineRoom, number: str, amount_minor: int | None = None, action_id: uuid.UUID | None = None) -> Acted:
    own = a_desk(room)
    by = Asked("Ana", "withdrawn", action_id or uuid.uuid4())
    return actions.refund(own, room.seller.shop.tenant_id, number, by, amount_minor)


def of_order(room: EngineRoom, number: str) -> list[Refund]:
    with room.run.engine.begin() as conn:
        return refunds.of_order(conn, room.seller.shop.tenant_id, number)


def stands(room: EngineRoom, number: str) -> list[tuple[int, RefundState]]:
    return [(one.amount_minor, one.state) for one in of_order(room, number)]


def reserved(room: EngineRoom, number: str) -> int:
    [(minor,)] = room.sql(
        "SELECT refunded_minor FROM payment_attempts WHERE tracking_number = :n AND outcome = 'captured'", n=number
    )
    return int(minor)


def at_psp(psp: Sandbox, room: EngineRoom, number: str) -> tuple[str, int]:
    [row] = [one for one in psp.charges(room.account) if one["merchantReference"] == number]
    return row["state"], row["refundedMinor"]


@pytest.mark.parametrize(("window_s", "ends"), [(86_400, ("voided", 0)), (0, ("refunded", 1499))])
def test_a_full_refund_is_a_void_while_that_is_possible_and_the_order_stays_done(
    room: EngineRoom, shared_psp: Sandbox, window_s: int, ends: tuple[str, int]
) -> None:
    number = done(room)
    moves = room.events(number)
    shared_psp.set_faults(voidWindowSeconds=window_s)
    assert refund(room, number).outcome is Outcome.BEGUN
    assert at_psp(shared_psp, room, number) == ("captured", 0), "written ahead: nobody was called yet"
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ends
    assert stands(room, number) == [(1499, RefundState.GIVEN)]
    assert (room.state(number), room.attempt(number).outcome) == (OrderState.DONE, AttemptState.CAPTURED)
    assert room.events(number) == moves
    assert "all of it went back" in refund(room, number).told


def test_parts_go_back_one_after_the_other_and_never_more_than_was_captured(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = done(room)
    refund(room, number, 500)
    assert "one at a time" in refund(room, number, 100).told
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("captured", 500)
    assert "999 EUR (minor units) are left" in refund(room, number, 1000).told
    refund(room, number)
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("refunded", 1499)
    assert stands(room, number) == [(500, RefundState.GIVEN), (999, RefundState.GIVEN)]
    assert reserved(room, number) == 1499


def test_the_database_itself_refuses_to_give_back_more_than_was_captured(room: EngineRoom) -> None:
    number = done(room)
    with pytest.raises(IntegrityError, match="refunds_at_most_all"), room.run.engine.begin() as conn:
        refunds.write_ahead(conn, room.attempt(number), action_id=uuid.uuid4(), amount_minor=1500)
    refund(room, number, 100)
    with pytest.raises(IntegrityError, match="refunds_one_at_a_time"), room.run.engine.begin() as conn:
        refunds.write_ahead(conn, room.attempt(number), action_id=uuid.uuid4(), amount_minor=100)
    assert reserved(room, number) == 100


def test_only_a_done_order_that_cost_something_is_refunded(room: EngineRoom) -> None:
    number = room.locked()
    assert "cancel it instead" in refund(room, number).told
    assert pay(room.run, number)
    assert "cancel it instead" in refund(room, number).told
    free = room.locked()
    room.sql("UPDATE orders SET amount_minor = 0 WHERE tracking_number = :n", n=free)
    pay(room.run, free)
    tokenize(room.run, free)
    assert "it cost nothing" in refund(room, free).told
    assert stands(room, number) == stands(room, free) == []


def test_two_operators_at_once_refund_once(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = done(room)
    together = threading.Barrier(2)

    def refunds_it(_: int) -> Acted:
        together.wait(10)
        return refund(room, number, 800)

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(acted.outcome for acted in pool.map(refunds_it, range(2)))
    assert outcomes == [Outcome.BEGUN, Outcome.REFUSED]
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("captured", 800)


def test_a_call_repeated_under_its_id_refunds_once_whenever_it_comes(room: EngineRoom, shared_psp: Sandbox) -> None:
    number, action_id = done(room), uuid.uuid4()
    first = refund(room, number, 500, action_id)
    assert refund(room, number, 500, action_id) == first
    return_money(room.run, number)
    assert refund(room, number, 500, action_id) == first
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("captured", 500)
    with pytest.raises(actions.OtherAction):
        refund(room, number, 501, action_id)


@pytest.mark.parametrize("amount_minor", [None, 500], ids=["full", "part"])
@pytest.mark.parametrize("kind", ["dropAfter", "http500After", "drop", "http500"])
@pytest.mark.parametrize("window_s", [86_400, 0], ids=["void", "refund"])
def test_money_goes_back_once_though_answers_get_lost(
    room: EngineRoom, shared_psp: Sandbox, kind: str, amount_minor: int | None, window_s: int
) -> None:
    number = done(room)
    verb = "void" if window_s and amount_minor is None else "refund"
    shared_psp.set_faults(voidWindowSeconds=window_s, next=[{"kind": kind, "on": verb}])
    refund(room, number, amount_minor)
    return_money(room.run, number)
    assert [one.state for one in of_order(room, number)] == [RefundState.ASKED]
    return_money(room.run, number)
    return_money(room.run, number)
    expected = {("void", None): ("voided", 0), ("refund", None): ("refunded", 1499), ("refund", 500): ("captured", 500)}
    assert at_psp(shared_psp, room, number) == expected[verb, amount_minor]
    assert [one.state for one in of_order(room, number)] == [RefundState.GIVEN]


def test_while_the_psp_is_away_the_refund_waits_and_a_retry_asks_at_once(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = done(room)
    refund(room, number, 500)
    with room.unreachable():
        return_money(room.run, number)
    room.forget_traffic()
    [one] = of_order(room, number)
    assert one.state is RefundState.ASKED
    assert one.due_at is not None
    run = room.run
    own = a_desk(room)
    acted = actions.retry(own, room.seller.shop.tenant_id, number, Asked("Ana", "it is back"))
    assert acted.outcome is Outcome.DONE
    with run.engine.begin() as conn:
        assert number in refunds.overdue(conn, limit=100)
    return_money(run, number)
    assert at_psp(shared_psp, room, number) == ("captured", 500)


def test_the_rescuer_rings_for_a_refund(room: EngineRoom) -> None:
    number = done(room)
    refund(room, number, 500)
    until(lambda: not room.run.doorbell.waiting)
    before = room.run.depths.of(QUEUE_OF[Step.RETURN_MONEY])
    rescue(room.run)
    until(lambda: room.run.depths.of(QUEUE_OF[Step.RETURN_MONEY]) > before)
    [one] = of_order(room, number)
    [(put_off,)] = room.sql("SELECT due_at > now() FROM refunds WHERE action_id = :a", a=one.action_id)
    assert put_off


@dataclass(frozen=True, slots=True)
class _Dying:
    """A PSP whose caller dies, before or after it gave back what it was asked for."""

    psp: Psp
    after: bool

    def __getattr__(self, name: str) -> Any:
        return getattr(self.psp, name)

    def void(self, reference: str, *, psp_key: str) -> ReturnOutcome:
        if self.after:
            self.psp.void(reference, psp_key=psp_key)
        raise Killed

    def refund(self, reference: str, money: Money, *, psp_key: str) -> ReturnOutcome:
        if self.after:
            self.psp.refund(reference, money, psp_key=psp_key)
        raise Killed


@pytest.mark.parametrize("amount_minor", [None, 500], ids=["full", "part"])
@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after it"])
def test_a_worker_that_dies_over_a_refund_leaves_it_to_the_next(
    room: EngineRoom, shared_psp: Sandbox, amount_minor: int | None, after: bool
) -> None:
    number = done(room)
    refund(room, number, amount_minor)
    for _ in range(2):
        with pytest.raises(Killed):
            return_money(replace(room.run, psp_for=lambda _: _Dying(room.psp, after)), number)
        if after and amount_minor is None:
            break  # The next one finds that it went back.
    return_money(room.run, number)
    assert [one.state for one in of_order(room, number)] == [RefundState.GIVEN]
    assert at_psp(shared_psp, room, number) == (("voided", 0) if amount_minor is None else ("captured", 500))


def test_two_workers_at_one_refund_give_it_once(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = done(room)
    refund(room, number, 500)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: return_money(room.run, number), range(4)))
    assert at_psp(shared_psp, room, number) == ("captured", 500)
    assert reserved(room, number) == 500


def test_a_webhook_that_proves_it_ends_it_and_one_told_late_undoes_nothing(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = done(room)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    refund(room, number)
    room.tell(attempt, Returned(attempt.psp_reference), actor="webhook")
    assert stands(room, number) == [(1499, RefundState.GIVEN)]
    room.tell(attempt, Captured(attempt.psp_reference, attempt.money), actor="webhook")
    assert (room.state(number), room.attempt(number).outcome) == (OrderState.DONE, AttemptState.CAPTURED)
    assert stands(room, number) == [(1499, RefundState.GIVEN)]


def test_a_part_that_the_merchant_gave_back_beside_us_is_not_taken_for_ours(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = done(room)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    refund(room, number, 500)
    room.tell(attempt, Returned(attempt.psp_reference, Money(500, "EUR")), actor="webhook")
    assert stands(room, number) == [(500, RefundState.ASKED)]
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("captured", 500)


def test_what_the_merchant_gave_back_leaves_the_rest_for_us(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = done(room)
    reference = room.attempt(number).psp_reference
    assert reference is not None
    room.psp.refund(reference, Money(500, "EUR"), psp_key=f"merchant-{number}")
    refund(room, number)
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("refunded", 1499)


@dataclass(frozen=True, slots=True)
class _Refusing:
    """A PSP that will not give the money back."""

    psp: Psp

    def __getattr__(self, name: str) -> Any:
        return getattr(self.psp, name)

    def refund(self, reference: str, money: Money, *, psp_key: str) -> ReturnOutcome:
        return Captured(reference, money)


def test_what_the_psp_refuses_is_told_and_may_be_asked_for_again(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = done(room)
    refund(room, number, 500)
    return_money(replace(room.run, psp_for=lambda _: _Refusing(room.psp)), number)
    assert stands(room, number) == [(500, RefundState.REFUSED)]
    assert reserved(room, number) == 0
    refund(room, number)
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("voided", 0)


def test_a_part_whose_key_may_be_forgotten_is_not_asked_for_again_and_raises_an_alarm(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = done(room)
    refund(room, number, 500)
    age = "UPDATE refunds SET asked_at = now() - interval '25 h', key_since = now() - interval '25 h'"
    room.sql(f"{age} WHERE tracking_number = :n", n=number)
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("captured", 0)
    assert stands(room, number) == [(500, RefundState.ASKED)]
    assert (checks.REFUND_TOO_LONG, number) in found(room)


def test_a_whole_refund_needs_no_memory_of_its_key(room: EngineRoom, shared_psp: Sandbox) -> None:
    number = done(room)
    refund(room, number)
    room.sql("UPDATE refunds SET key_since = now() - interval '25 h' WHERE tracking_number = :n", n=number)
    return_money(room.run, number)
    assert at_psp(shared_psp, room, number) == ("voided", 0)


def test_the_books_agree_with_refunds_and_nobody_undoes_them(room: EngineRoom, shared_psp: Sandbox) -> None:
    full, part, asked = done(room), done(room), done(room)
    for number, amount in ((full, None), (part, 500), (asked, 500)):
        refund(room, number, amount)
    return_money(room.run, full)
    return_money(room.run, part)
    charged = {room.attempt(number).psp_reference for number in (full, part, asked)}
    assert not {subject for _, subject in found(room)} & {full, part, asked, *charged}
    examiner.examine_alone(room.run)
    release(room.run)
    rescue(room.run)
    return_money(room.run, full)
    assert at_psp(shared_psp, room, full) == ("voided", 0)
    assert at_psp(shared_psp, room, part) == ("captured", 500)
    assert room.state(full) is OrderState.DONE


def test_a_refund_made_at_the_psp_beside_us_is_still_an_alarm(room: EngineRoom) -> None:
    number = done(room)
    reference = room.attempt(number).psp_reference
    assert reference is not None
    refund(room, number, 500)
    return_money(room.run, number)
    assert isinstance(room.psp.refund(reference, Money(999, "EUR"), psp_key=f"merchant-{number}"), Returned)
    assert (books.WENT_BACK, number) in found(room)


def test_refunds_that_do_not_add_up_are_a_broken_promise(room: EngineRoom) -> None:
    number = done(room)
    refund(room, number, 500)
    room.sql("UPDATE payment_attempts SET refunded_minor = 499 WHERE tracking_number = :n", n=number)
    assert (checks.REFUNDS_ADD_UP, number) in found(room)
    room.sql("UPDATE payment_attempts SET refunded_minor = 500 WHERE tracking_number = :n", n=number)


# A PSP that takes refunds in hand and tells later.


def done_there(adyen: AdyenRoom) -> str:
    number = adyen.paid()
    tokenize(adyen.room.run, number)
    assert adyen.room.state(number) is OrderState.DONE
    adyen.deliver_all("AUTHORISATION")
    return number


@pytest.mark.parametrize(
    ("amount_minor", "code", "left"), [(None, "CANCEL_OR_REFUND", []), (500, "REFUND", [(999, "EUR")])]
)
def test_taken_in_hand_is_not_given_and_its_notification_proves_it(
    adyen: AdyenRoom, amount_minor: int | None, code: str, left: list[tuple[int, str]]
) -> None:
    number = done_there(adyen)
    refund(adyen.room, number, amount_minor)
    return_money(adyen.room.run, number)
    [one] = of_order(adyen.room, number)
    assert one.state is RefundState.ASKED
    assert one.taken_at is not None
    return_money(adyen.room.run, number)
    adyen.fake.work()
    adyen.deliver_all(code)
    assert [one.state for one in of_order(adyen.room, number)] == [RefundState.GIVEN]
    assert adyen.held(number) == left
    assert adyen.room.state(number) is OrderState.DONE


def test_a_refund_that_failed_there_is_asked_for_again_under_another_key(adyen: AdyenRoom) -> None:
    number = done_there(adyen)
    refund(adyen.room, number, 500)
    adyen.fake.till.refuses_returns = 1
    return_money(adyen.room.run, number)
    adyen.fake.work()
    adyen.deliver_all("REFUND")
    [one] = of_order(adyen.room, number)
    assert (one.state, one.refusals, one.taken_at) == (RefundState.ASKED, 1, None)
    assert one.due_at is not None
    return_money(adyen.room.run, number)
    adyen.fake.work()
    adyen.deliver_all("REFUND")
    assert [one.state for one in of_order(adyen.room, number)] == [RefundState.GIVEN]
    assert adyen.held(number) == [(999, "EUR")]
    keys = {call[3]["Idempotency-Key"] for call in adyen.fake.calls if call[1].endswith("refunds")}
    assert len([key for key in keys if one.action_id.hex in key]) == 2


def test_a_part_there_is_not_asked_for_by_a_key_that_may_be_forgotten(adyen: AdyenRoom) -> None:
    number = done_there(adyen)
    refund(adyen.room, number, 500)
    aged = "UPDATE refunds SET key_since = now() - interval '8 days' WHERE tracking_number = :n"
    adyen.room.sql(aged, n=number)
    before = len(adyen.fake.calls)
    return_money(adyen.room.run, number)
    assert len(adyen.fake.calls) == before


# The command.


@pytest.fixture
def shell(room: EngineRoom, tmp_path: Path) -> Iterator[None]:
    with at_a_shell(room, tmp_path):
        yield


@pytest.mark.usefixtures("shell")
def test_the_command_refunds_and_the_story_tells_it(room: EngineRoom) -> None:
    number = done(room)
    assert said("orders", "refund", number, "--amount", 500, "--why", "one came broken")["outcome"] == "begun"
    assert "A refund of 500 EUR (minor units) is on its way" in c2a("orders", "explain", number).output
    return_money(room.run, number)
    told = c2a("orders", "explain", number).output
    for sentence in ("The refund of 500 EUR (minor units) went back", "500 EUR (minor units) of it went back"):
        assert sentence in told
    [one] = said("orders", "show", number)["refunds"]
    assert (one["amountMinor"], one["state"]) == (500, "given")
    assert c2a("orders", "refund", number, "--amount", 1000, "--why", "x").exit_code == 1
    assert said("orders", "refund", number, "--full", "--why", "withdrawn")["told"].startswith("999 EUR")


def test_a_refund_says_how_much(room: EngineRoom) -> None:
    for wrong in ([], ["--full", "--amount", "5"], ["--amount", "0"], ["--amount", "-5"], ["--amount", "1.5"]):
        assert c2a("orders", "refund", "trk_none", "--why", "x", *wrong).exit_code == 2
    told = c2a("orders", "refund", "--help").output
    assert "Exit codes" in told
    assert "c2a orders refund trk_" in told
