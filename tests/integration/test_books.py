"""A PSP's books against our attempts: every difference is found, and what is only news about money is settled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.doctor import books
from shared.doctor.books import NEWS_ON_THE_WAY
from shared.domain.outcomes import Unanswered
from shared.domain.states import OrderState
from shared.operate import actions
from shared.psp.port import ChargePage, Psp
from shared.store.attempts import AttemptState
from tests.support.acting import does
from tests.support.engine_room import EngineRoom
from tests.support.examined import (
    HOLD_AGAIN,
    captured,
    charge_without_us,
    charged_again,
    done,
    failed,
    findings,
    found,
    scope,
)
from tests.support.psp import Sandbox
from workers import examiner
from workers.return_money import return_money


@pytest.fixture
def room(own_room: EngineRoom) -> EngineRoom:
    """A tenant of this test's own."""
    return own_room


def test_a_charge_no_order_owns_is_told_with_its_reference_and_left_alone(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    """I11: no capture without an order, whether or not its merchant reference is one of ours."""
    number = done(room)
    orphans = {charge_without_us(room), charge_without_us(room, reference=number)}
    charge_without_us(room, "4000000000000002")  # A decline holds nothing.
    before = shared_psp.charges(room.account)
    assert set(found(room)) == {(books.ORPHAN, orphan) for orphan in orphans}
    assert number in "".join(one.detail for one in findings(room))
    assert shared_psp.charges(room.account) == before


def test_a_charge_that_may_still_become_money_is_an_orphan_too(room: EngineRoom) -> None:
    assert found(room) == []
    orphan = charge_without_us(room, "4000002760003184")
    assert found(room) == [(books.ORPHAN, orphan)]


def test_a_charge_of_another_amount_is_found(room: EngineRoom) -> None:
    number = done(room)
    room.sql("UPDATE payment_attempts SET amount_minor = 1 WHERE tracking_number = :n", n=number)
    room.sql("UPDATE orders SET amount_minor = 1 WHERE tracking_number = :n", n=number)
    assert found(room) == [(books.OTHER_AMOUNT, _reference(room, number))]


@pytest.mark.parametrize("thought", ["declined", "absent", "returned"])
def test_a_capture_we_do_not_count_is_found(room: EngineRoom, thought: str) -> None:
    """Planted bugs of this kind: a timeout taken as failed, a late success dropped."""
    number = failed(room)
    room.sql("UPDATE payment_attempts SET outcome = 'open' WHERE tracking_number = :n", n=number)
    reference = charged_again(room, number)
    room.sql("UPDATE payment_attempts SET outcome = :o WHERE tracking_number = :n", o=thought, n=number)
    assert found(room) == [(books.UNKNOWN_CAPTURE, reference)]


def test_a_capture_so_young_that_its_news_may_be_on_the_way_is_judged_later(room: EngineRoom) -> None:
    number = failed(room)
    charged_again(room, number)
    assert found(room, NEWS_ON_THE_WAY) == []


def test_a_second_capture_under_one_key_is_found(room: EngineRoom, shared_psp: Sandbox) -> None:
    """A PSP that forgot a key, asked with it again: the database has one capture, the PSP two."""
    number = done(room)
    shared_psp.set_faults(keyLifetimeSeconds=0)
    second = charged_again(room, number)
    assert found(room) == [(books.UNKNOWN_CAPTURE, second)]


@pytest.mark.parametrize("thought", ["declined", "absent"])
def test_a_capture_only_the_books_know_of_is_given_back_within_the_minute(
    room: EngineRoom, shared_psp: Sandbox, thought: str
) -> None:
    """Its worker died and its webhook was lost: reconciliation is the last to learn of it (C4)."""
    number = failed(room)
    charged_again(room, number)
    room.sql("UPDATE payment_attempts SET outcome = :o WHERE tracking_number = :n", o=thought, n=number)

    examiner.examine_alone(room.run, scope(room))
    return_money(room.run, number)

    assert room.attempt(number).outcome is AttemptState.RETURNED
    assert _states(room, shared_psp, number) == ["voided"]
    assert found(room) == []


def test_a_capture_only_the_books_know_of_pays_an_order_that_still_waits(room: EngineRoom) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=True)
    attempt = room.attempt(number)
    room.sql("UPDATE payment_attempts SET outcome = 'absent' WHERE tracking_number = :n", n=number)
    room.sql("UPDATE orders SET state = 'offer_locked', lease_until = NULL WHERE tracking_number = :n", n=number)

    examiner.examine_alone(room.run, scope(room))

    assert room.state(number) is OrderState.CAPTURED
    assert room.attempt(number).psp_key == attempt.psp_key
    assert room.attempt(number).outcome is AttemptState.CAPTURED


def test_a_second_capture_under_one_key_is_given_back_and_the_first_stays(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    """Compensation is decided by the charge, never by the attempt it was made under (design)."""
    number = done(room)
    shared_psp.set_faults(keyLifetimeSeconds=0)
    second = charged_again(room, number)

    for _ in range(2):  # The second examination finds it noted.
        examiner.examine_alone(room.run, scope(room))
    return_money(room.run, number)

    first, other = room.attempts(number)
    assert (first.outcome, other.outcome) == (AttemptState.CAPTURED, AttemptState.RETURNED)
    assert other.psp_reference == second
    assert _states(room, shared_psp, number) == ["captured", "voided"]
    assert room.state(number) is OrderState.DONE
    assert found(room) == []


def test_money_that_was_returned_and_is_held_all_the_same_is_asked_back_again(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    """Planted: our row says that it went back, and the PSP holds it."""
    number = captured(room)
    reference = _reference(room, number)
    room.sql("UPDATE payment_attempts SET outcome = 'returned' WHERE tracking_number = :n", n=number)
    room.sql(
        "UPDATE orders SET state = 'failed', failure = 'CANCELLED', due_at = NULL, finished_at = now()"
        " WHERE tracking_number = :n",
        n=number,
    )
    room.sql("DELETE FROM offer_holds WHERE tracking_number = :n", n=number)
    assert found(room) == [(books.UNKNOWN_CAPTURE, reference)]

    for _ in range(2):  # The second examination finds it on its way.
        examiner.examine_alone(room.run, scope(room))
    assert (room.attempt(number).outcome, room.attempt(number).refusals) == (AttemptState.RETURNING, 1)
    return_money(room.run, number)

    assert room.attempt(number).outcome is AttemptState.RETURNED
    assert _states(room, shared_psp, number) in (["voided"], ["refunded"])
    assert found(room) == []


def test_books_from_before_a_return_are_not_taken_for_money_that_is_still_held(room: EngineRoom) -> None:
    number = captured(room)
    page = room.psp.charges_since(datetime.now(UTC) - timedelta(hours=1))
    does(room, actions.cancel, number)
    return_money(room.run, number)
    before = room.attempt(number)
    assert before.outcome is AttemptState.RETURNED

    run = replace(room.run, psp_for=lambda _: _ShowsOld(room.psp, page))
    report = examiner.examine_alone(run, scope(room))

    assert report is not None
    assert report.findings == ()
    assert room.attempt(number) == before


@dataclass(frozen=True, slots=True)
class _ShowsOld:
    """A PSP whose books were read a moment ago; asked about one charge it tells how that stands."""

    psp: Psp
    page: ChargePage | Unanswered

    def __getattr__(self, name: str) -> Any:
        return getattr(self.psp, name)

    def charges_since(self, since: datetime, *, after: str | None = None) -> ChargePage | Unanswered:
        """As it was."""
        return self.page


def test_a_capture_the_psp_does_not_have_is_found(room: EngineRoom) -> None:
    number = failed(room)
    room.sql(
        "UPDATE payment_attempts SET outcome = 'captured', psp_reference = 'sb_none' WHERE tracking_number = :n",
        n=number,
    )
    room.sql("UPDATE orders SET state = 'done', failure = NULL WHERE tracking_number = :n", n=number)
    room.sql(HOLD_AGAIN, n=number)
    assert found(room) == [(books.MISSING_CAPTURE, number)]


def test_a_done_order_that_was_refunded_at_the_psp_is_an_alarm(room: EngineRoom) -> None:
    number = done(room)
    room.psp.void(_reference(room, number), psp_key="by hand")
    assert found(room) == [(books.WENT_BACK, number)]


def test_books_that_cannot_be_read_are_never_taken_for_clean(room: EngineRoom, shared_psp: Sandbox) -> None:
    done(room)
    shared_psp.set_faults(down="503")
    assert [check for check, _ in found(room)] == [books.NOT_ASKED]


def _states(room: EngineRoom, psp: Sandbox, number: str) -> list[str]:
    """The states of the order's charges at the PSP, the first one first."""
    reference = room.order(number).merchant_reference
    return [one["state"] for one in psp.charges(room.account) if one["merchantReference"] == reference]


def _reference(room: EngineRoom, number: str) -> str:
    reference = room.attempt(number).psp_reference
    assert reference is not None
    return reference
