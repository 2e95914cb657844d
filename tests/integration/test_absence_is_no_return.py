"""A charge its PSP says is not there went back only if nobody ever told that its money was taken.

The credentials of another account are put in the account's place, as by somebody who rotates them: that account knows
of no charge of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from shared.domain.outcomes import Absent, Returned
from shared.domain.states import OrderState
from shared.operate import actions
from shared.store import accounts
from shared.store.attempts import Attempt, AttemptState
from tests.support.acting import at_psp, challenged, does, paid
from tests.support.engine_room import EngineRoom, captured
from tests.support.psp import Sandbox
from tests.support.wire import channel
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money


@pytest.fixture
def room(own_room: EngineRoom) -> EngineRoom:
    """A tenant of this test's own, whose account may be spoilt."""
    return own_room


@contextmanager
def at_another_account(room: EngineRoom, psp: Sandbox) -> Iterator[None]:
    """The credentials are those of another account within."""
    ring, others = room.run.keyring, psp.account().credentials
    for account in (replace(room.account, credentials=others), room.account):
        with room.owner.begin() as conn:
            accounts.save(conn, ring, account)
        if account is not room.account:
            yield


def page_of(room: EngineRoom, number: str) -> str:
    redirect = room.order(number).redirect
    assert redirect is not None
    return str(redirect["redirectUrl"])


def reference(attempt: Attempt) -> str:
    assert attempt.psp_reference is not None
    return attempt.psp_reference


def its_time_is_up(room: EngineRoom, number: str) -> None:
    room.sql("UPDATE orders SET deadline_at = now() WHERE tracking_number = :n", n=number)


def given_up_unheard(room: EngineRoom, psp: Sandbox) -> tuple[str, str]:
    """An abandoned challenge whose void got no answer; its number, and its shopper's page."""
    number = challenged(room)
    page = page_of(room, number)
    its_time_is_up(room, number)
    psp.set_faults(next=[{"kind": "http500", "on": "void"}])
    look_up(room.run, number)
    psp.heal()
    assert (room.state(number), room.attempt(number).outcome) == (OrderState.CONFIRMING, AttemptState.RETURNING)
    return number, page


def test_a_capture_that_another_account_does_not_know_stays_open_until_its_own_gives_it_back(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number = paid(room)
    does(room, actions.cancel, number)

    with at_another_account(room, shared_psp):
        return_money(room.run, number)
        assert room.attempt(number).outcome is AttemptState.RETURNING
        assert room.state(number) is OrderState.CONFIRMING
        [(due,)] = room.sql("SELECT due_at > now() FROM payment_attempts WHERE tracking_number = :n", n=number)
        assert due, "it is asked for again"
    return_money(room.run, number)

    assert (room.attempt(number).outcome, room.state(number)) == (AttemptState.RETURNED, OrderState.FAILED)
    assert at_psp(shared_psp, room, number) == [("voided", 0)]


def test_a_capture_without_a_right_to_stay_is_not_taken_for_returned_either(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    """It was told late, after its order had failed."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=True)
    attempt = room.attempt(number)
    room.sql("UPDATE payment_attempts SET outcome = 'declined' WHERE tracking_number = :n", n=number)
    [row] = [one for one in shared_psp.charges(room.account) if one["idempotencyKey"] == attempt.psp_key]
    room.sql(
        "UPDATE orders SET state = 'failed', failure = 'CANCELLED', due_at = NULL, finished_at = now()"
        " WHERE tracking_number = :n",
        n=number,
    )
    room.tell(attempt, captured(attempt, row["pspReference"]), actor="webhook")

    with at_another_account(room, shared_psp):
        return_money(room.run, number)

    assert room.attempt(number).outcome is AttemptState.RETURNING
    assert at_psp(shared_psp, room, number) == [("captured", 0)]


def test_what_was_given_up_before_it_was_taken_holds_nothing_once_its_psp_has_no_such_charge(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    number, _ = given_up_unheard(room, shared_psp)

    with at_another_account(room, shared_psp):  # As from a PSP that let go of it.
        return_money(room.run, number)

    assert room.attempt(number).outcome is AttemptState.RETURNED
    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CHALLENGE_EXPIRED")


def test_once_its_capture_is_told_its_absence_proves_nothing_any_more(room: EngineRoom, shared_psp: Sandbox) -> None:
    """Its shopper was faster than the void."""
    number, page = given_up_unheard(room, shared_psp)
    shared_psp.click(page, "approve")
    attempt = room.attempt(number)
    room.tell(attempt, captured(attempt, reference(attempt)), actor="webhook")

    with at_another_account(room, shared_psp):
        return_money(room.run, number)
        assert room.attempt(number).outcome is AttemptState.RETURNING
    return_money(room.run, number)

    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CHALLENGE_EXPIRED")
    assert at_psp(shared_psp, room, number) == [("voided", 0)]


@pytest.mark.parametrize("how", ["its time was up", "called off"])
def test_a_challenge_that_was_taken_for_gone_and_is_passed_later_is_given_back(
    room: EngineRoom, shared_psp: Sandbox, how: str
) -> None:
    number = challenged(room)
    page = page_of(room, number)
    with at_another_account(room, shared_psp):
        if how == "called off":
            does(room, actions.cancel, number)
            return_money(room.run, number)
        else:
            its_time_is_up(room, number)
            look_up(room.run, number)
    assert (room.state(number), room.attempt(number).outcome) == (OrderState.FAILED, AttemptState.RETURNED)
    assert at_psp(shared_psp, room, number) == [("challenge", 0)]

    shared_psp.click(page, "approve")
    attempt = room.attempt(number)
    for _ in range(2):
        room.tell(attempt, captured(attempt, reference(attempt)), actor="webhook")
    assert room.attempt(number).outcome is AttemptState.RETURNING
    assert room.attempt(number).refusals == 1, "it is told of anew, and once"
    return_money(room.run, number)

    assert room.attempt(number).outcome is AttemptState.RETURNED
    [(state, _)] = at_psp(shared_psp, room, number)
    assert state in ("voided", "refunded")
    assert room.state(number) is OrderState.FAILED


def test_a_capture_told_after_its_return_was_proven_changes_nothing(room: EngineRoom) -> None:
    """Out of order: the void was quick, and the webhook of the capture before it is late."""
    number = challenged(room)
    its_time_is_up(room, number)
    look_up(room.run, number)
    attempt = room.attempt(number)
    assert attempt.outcome is AttemptState.RETURNED

    room.tell(attempt, captured(attempt, reference(attempt)), actor="webhook")

    assert room.attempt(number) == attempt


def test_a_payment_that_is_out_beside_a_finished_order_may_be_gone(room: EngineRoom, shared_psp: Sandbox) -> None:
    shared_psp.set_faults(settleSeconds=600)
    number = room.locked(channel("SEPA"))
    pay(room.run, number)
    attempt = room.attempt(number)
    assert attempt.outcome is AttemptState.PENDING

    room.tell(attempt, Absent(), actor="upkeep")
    assert room.attempt(number).outcome is AttemptState.PENDING, "its order still waits for it"
    room.sql(
        "UPDATE orders SET state = 'failed', failure = 'CANCELLED', due_at = NULL, finished_at = now(),"
        " deadline_at = NULL WHERE tracking_number = :n",
        n=number,
    )
    room.tell(attempt, Absent(), actor="upkeep")

    assert room.attempt(number).outcome is AttemptState.RETURNED
    room.tell(attempt, Returned(reference(attempt)), actor="webhook")
    assert room.attempt(number).outcome is AttemptState.RETURNED
