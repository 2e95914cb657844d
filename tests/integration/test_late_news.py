"""News that was true when it was asked for and comes too late: five races a model of the protocol found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from shared.domain.outcomes import Absent, Challenge, Challenged, LookUpOutcome, ReturnOutcome, Unanswered
from shared.domain.states import OrderState
from shared.psp.port import ChargeQuery, Psp
from shared.store.attempts import AttemptState
from tests.support.engine_room import EngineRoom, captured
from tests.support.psp import Sandbox
from tests.support.vaulted import card_of
from tests.support.wire import fresh_card
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money

THREE_DS = "4000002760003184"
DROPPED = "4000007700000133"


@dataclass(frozen=True, slots=True)
class _SlowToTell:
    """A PSP whose first look-up answers with what was true before *meanwhile* happened, and which voids a charge after
    *before_void* of it."""

    psp: Psp
    meanwhile: Callable[[], object]
    before_void: Callable[[str], object]
    told: list[LookUpOutcome]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.psp, name)

    def look_up(self, query: ChargeQuery) -> LookUpOutcome:
        """The truth, late the first time."""
        answer = self.psp.look_up(query)
        if not self.told:
            self.told.append(answer)
            self.meanwhile()
        return answer

    def void(self, reference: str, *, psp_key: str) -> ReturnOutcome:
        """Its answer, once what comes before it has happened."""
        self.before_void(reference)
        return self.psp.void(reference, psp_key=psp_key)


def look_up_while(
    room: EngineRoom,
    number: str,
    meanwhile: Callable[[], object],
    before_void: Callable[[str], object] = lambda _: None,
) -> LookUpOutcome:
    """Look an order up while something happens between the PSP's answer and its settling, and something else as a void
    of the charge it is told of is on its way; what the PSP said first."""
    slow = _SlowToTell(room.psp, meanwhile, before_void, [])
    look_up(replace(room.run, psp_for=lambda _: slow), number)
    return slow.told[0]


def a_challenge_whose_time_is_over(room: EngineRoom) -> tuple[str, str]:
    """Its tracking number and the page where the shopper could still pass it."""
    number = room.locked(fresh_card(THREE_DS))
    pay(room.run, number)
    room.sql("UPDATE orders SET deadline_at = now() WHERE tracking_number = :number", number=number)
    redirect = room.order(number).redirect
    assert redirect is not None
    return number, redirect["redirectUrl"]


def at_psp(psp: Sandbox, room: EngineRoom, number: str) -> str:
    """The state of the order's one charge in the PSP's ledger."""
    [charge] = [row for row in psp.charges(room.account) if row["merchantReference"] == number]
    return str(charge["state"])


def test_who_passes_a_challenge_while_it_is_given_up_is_failed_and_keeps_their_money(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    """The capture falls between "still challenged" and the void, and so does its webhook, which must not make the order
    done: it was given up in our row before it is at the PSP."""
    number, page = a_challenge_whose_time_is_over(room)
    voids: list[str] = []

    def its_webhook_comes(reference: str) -> None:
        voids.append(reference)
        room.tell(room.attempt(number), captured(room.attempt(number), reference), actor="webhook")

    said = look_up_while(room, number, lambda: shared_psp.click(page, "approve"), its_webhook_comes)
    assert isinstance(said, Challenged)
    assert voids == [said.reference]
    return_money(room.run, number)

    assert (room.state(number), room.order(number).failure) == (OrderState.FAILED, "CHALLENGE_EXPIRED")
    assert at_psp(shared_psp, room, number) in ("voided", "refunded")


def test_whose_capture_is_known_before_it_is_given_up_has_paid(room: EngineRoom, shared_psp: Sandbox) -> None:
    number, page = a_challenge_whose_time_is_over(room)

    def approved_and_told() -> None:
        shared_psp.click(page, "approve")
        look_up(room.run, number)

    look_up_while(room, number, approved_and_told)

    assert room.state(number) is OrderState.CAPTURED
    assert room.attempt(number).outcome is AttemptState.CAPTURED
    assert at_psp(shared_psp, room, number) == "captured"


def test_an_absence_told_after_a_new_claim_does_not_stop_it(room: EngineRoom) -> None:
    """Two look-ups prove absence; the first one lets the order be paid again; the second must not touch that."""
    number = room.locked(fresh_card(DROPPED))
    pay(room.run, number)
    stale = room.order(number).fence
    attempt = room.attempt(number)
    room.tell(attempt, Absent(), fence=stale, actor="look_up")
    room.dies_while_charging(number, after_the_charge=False)

    room.tell(attempt, Absent(), fence=stale, actor="look_up")

    assert room.state(number) is OrderState.PAYING
    assert room.attempt(number).outcome is AttemptState.OPEN


def test_absence_is_reckoned_from_the_last_request_not_the_first(room: EngineRoom) -> None:
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    room.sql(
        "UPDATE payment_attempts SET started_at = now() - interval '2 min', asked_at = now() - interval '2 min'"
        " WHERE tracking_number = :number",
        number=number,
    )
    room.until_lease_ended(number)
    room.dies_while_charging(number, after_the_charge=False)  # The heir asks again, under the same key.
    room.until_lease_ended(number)
    room.run.vault.forget(room.seller.shop.tenant_id, number)
    pay(room.run, number)  # Nothing left to repeat with: only the PSP knows.
    assert room.state(number) is OrderState.CONFIRMING

    look_up(room.run, number)

    assert room.attempt(number).outcome is AttemptState.OPEN


def test_a_lost_answer_told_late_does_not_end_a_challenge_that_has_time(room: EngineRoom) -> None:
    """The webhook brought the challenge; then the worker's own read times out."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    order, attempt = room.order(number), room.attempt(number)
    room.tell(attempt, Challenged("sb_x", Challenge("http://127.0.0.1/page")), actor="webhook")

    room.tell(attempt, Unanswered("timed out"), fence=order.fence, actor="pay")

    assert room.state(number) is OrderState.CHALLENGE
    assert room.order(number).redirect is not None


def test_a_look_up_that_comes_late_leaves_the_card_to_whoever_pays_now(room: EngineRoom) -> None:
    number = room.locked(fresh_card(DROPPED))
    pay(room.run, number)
    room.sql(
        "UPDATE payment_attempts SET asked_at = now() - interval '2 min' WHERE tracking_number = :number",
        number=number,
    )

    def paid_again() -> None:
        room.tell(room.attempt(number), Absent(), actor="look_up")
        room.dies_while_charging(number, after_the_charge=False)

    look_up_while(room, number, paid_again)

    assert room.state(number) is OrderState.PAYING
    assert room.attempt(number).outcome is AttemptState.OPEN
    assert card_of(room.run.vault, room.seller.shop.tenant_id, number) is not None


def test_an_order_that_moved_between_two_reads_is_left_alone(room: EngineRoom) -> None:
    """Confirming, and no attempt is out: its money is on its way back, and that will end it."""
    number, _ = a_challenge_whose_time_is_over(room)
    room.sql("UPDATE payment_attempts SET outcome = 'returning', due_at = now() WHERE tracking_number = :n", n=number)
    look_up(room.run, number)
    assert room.state(number) is OrderState.CHALLENGE
