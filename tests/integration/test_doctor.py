"""The doctor finds every promise that a planted fault breaks, and nothing where all of them hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from secrets import token_hex
from typing import Final

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from shared.config import Settings
from shared.doctor import books, checks
from shared.doctor.books import NEWS_ON_THE_WAY
from shared.doctor.examination import Scope, examine
from shared.doctor.findings import Check, Finding
from shared.domain.cards import Card
from shared.domain.money import Money
from shared.domain.states import OrderState
from shared.keyring import fresh
from shared.psp.port import Channel, ChargeRequest
from shared.store.attempts import AttemptState
from shared.store.engine import statements
from tests.support import engine_room
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from tests.support.wire import GOOD_CARD
from workers import examiner
from workers.pay import pay
from workers.return_money import return_money
from workers.tokenize import tokenize

HOUR: Final = timedelta(hours=1)


@pytest.fixture
def room(settings: Settings, vault_url: str, shared_psp: Sandbox) -> Iterator[EngineRoom]:
    """A tenant of this test's own."""
    shared_psp.heal()
    with engine_room.opened(settings, vault_url, shared_psp, lease_s=1) as made:
        yield made
    shared_psp.heal()


AT_ONCE: Final = timedelta(0)
"""For charges whose news would be on the way for a minute."""


HOLD_AGAIN: Final = (
    "INSERT INTO offer_holds SELECT tenant_id, offer_identifier, tracking_number FROM orders WHERE tracking_number = :n"
)


def scope(room: EngineRoom, news_within: timedelta = AT_ONCE, budget_s: float = 60.0) -> Scope:
    """This room's tenant."""
    return Scope(HOUR, budget_s, room.seller.shop.tenant_id, news_within)


def findings(room: EngineRoom, news_within: timedelta = AT_ONCE) -> list[Finding]:
    """What an examination of this room's tenant finds."""
    run = room.run
    return list(examine(run.engine, run.keyring, run.psp_for, scope(room, news_within)).findings)


def found(room: EngineRoom, news_within: timedelta = AT_ONCE) -> list[tuple[Check, str]]:
    """The same, as pairs of check and subject."""
    return [(one.check, one.subject) for one in findings(room, news_within)]


def done(room: EngineRoom) -> str:
    """An order that is done."""
    number = room.locked()
    assert pay(room.run, number)
    tokenize(room.run, number)
    assert room.state(number) is OrderState.DONE
    return number


def captured(room: EngineRoom) -> str:
    """An order that is paid and whose last step is still to come."""
    number = room.locked()
    assert pay(room.run, number)
    return number


def unclear(room: EngineRoom) -> str:
    """An order whose PSP gave no answer, and charged nothing."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    room.sql(
        "UPDATE orders SET state = 'confirming', lease_until = NULL, due_at = now() + interval '5 min'"
        " WHERE tracking_number = :n",
        n=number,
    )
    return number


def failed(room: EngineRoom) -> str:
    """An order that was declined."""
    number = room.locked()
    room.dies_while_charging(number, after_the_charge=False)
    room.sql("UPDATE payment_attempts SET outcome = 'declined' WHERE tracking_number = :n", n=number)
    room.sql(
        "UPDATE orders SET state = 'failed', failure = 'CANCELLED', due_at = NULL, finished_at = now()"
        " WHERE tracking_number = :n",
        n=number,
    )
    room.sql("DELETE FROM offer_holds WHERE tracking_number = :n", n=number)
    return number


def test_where_every_promise_holds_nothing_is_found(room: EngineRoom) -> None:
    """Done, failed, unclear, waiting and free orders, and a challenge."""
    done(room)
    failed(room)
    unclear(room)
    room.locked()
    room.admitted()
    assert findings(room) == []


PLANTED: Final[dict[str, tuple[Check, Callable[[EngineRoom], str], str]]] = {
    "a failed order with an attempt out": (
        checks.FAILED_HOLDS_NOTHING,
        failed,
        "UPDATE payment_attempts SET outcome = 'open' WHERE tracking_number = :n",
    ),
    "a failed order with a capture": (
        checks.FAILED_HOLDS_NOTHING,
        failed,
        "UPDATE payment_attempts SET outcome = 'captured' WHERE tracking_number = :n",
    ),
    "a done order that was never paid": (
        checks.DONE_IS_PAID,
        done,
        "UPDATE payment_attempts SET outcome = 'returned' WHERE tracking_number = :n",
    ),
    "a done order of another amount": (
        checks.DONE_IS_PAID,
        done,
        "UPDATE orders SET amount_minor = amount_minor + 1 WHERE tracking_number = :n",
    ),
    "a done order with an attempt out": (
        checks.DONE_IS_PAID,
        done,
        "INSERT INTO payment_attempts SELECT tenant_id, tracking_number, 2, provider, 'k2', merchant_reference,"
        " amount_minor, currency FROM payment_attempts WHERE tracking_number = :n",
    ),
    "a live order nobody looks after": (
        checks.LIVE_IS_LOOKED_AFTER,
        EngineRoom.locked,
        "UPDATE orders SET due_at = now() - interval '16 min' WHERE tracking_number = :n",
    ),
    "dropped work nobody takes up": (
        checks.LIVE_IS_LOOKED_AFTER,
        EngineRoom.locked,
        "UPDATE orders SET state = 'paying', due_at = now() - interval '2 min' WHERE tracking_number = :n",
    ),
    "a hold of a failed order": (
        checks.HOLDS_HAVE_ORDERS,
        failed,
        HOLD_AGAIN,
    ),
    "a live order whose offer is held by nobody": (
        checks.ORDERS_HAVE_HOLDS,
        EngineRoom.locked,
        "DELETE FROM offer_holds WHERE tracking_number = :n",
    ),
    "a done order whose offer is held by another": (
        checks.ORDERS_HAVE_HOLDS,
        done,
        "UPDATE offer_holds SET offer_identifier = 'of_another' WHERE tracking_number = :n",
    ),
    "a payment unclear for 16 minutes": (
        checks.UNCLEAR_TOO_LONG,
        unclear,
        "UPDATE orders SET changed_at = now() - interval '16 min' WHERE tracking_number = :n",
    ),
    "a pending payment past its time": (
        checks.UNCLEAR_TOO_LONG,
        unclear,
        "UPDATE orders SET changed_at = now() - interval '20 min', deadline_at = now() - interval '1 s'"
        " WHERE tracking_number = :n",
    ),
    "a challenge long past its time": (
        checks.UNCLEAR_TOO_LONG,
        unclear,
        "UPDATE orders SET state = 'challenge', deadline_at = now() - interval '16 min' WHERE tracking_number = :n",
    ),
    "an order that its PSP will not even take, rung for again and again": (
        checks.NOT_MOVING,
        EngineRoom.locked,
        "UPDATE orders SET admitted_at = now() - interval '121 min' WHERE tracking_number = :n",
    ),
    "a paid order that is never done": (
        checks.NOT_MOVING,
        captured,
        "UPDATE orders SET changed_at = now() - interval '16 min' WHERE tracking_number = :n",
    ),
    "a parked order": (
        checks.PARKED,
        unclear,
        "UPDATE orders SET parked = true, crashes = 5 WHERE tracking_number = :n",
    ),
    "money that takes long to go back": (
        checks.RETURNING_TOO_LONG,
        failed,
        "UPDATE payment_attempts SET outcome = 'returning', psp_reference = tracking_number, due_at = now(),"
        " settled_at = now() - interval '16 min' WHERE tracking_number = :n",
    ),
}


@pytest.mark.parametrize(("check", "order", "plant"), PLANTED.values(), ids=PLANTED.keys())
def test_a_broken_promise_is_found_by_its_own_check_alone(
    room: EngineRoom, check: Check, order: Callable[[EngineRoom], str], plant: str
) -> None:
    number = order(room)
    before = found(room)
    room.sql(plant, n=number)
    ours = [one for one in found(room) if one[0] in checks.CHECKS]
    assert before == []
    assert ours == [(check, number)]


def test_a_pending_payment_within_its_time_is_no_alarm(room: EngineRoom) -> None:
    number = unclear(room)
    room.sql(
        "UPDATE orders SET changed_at = now() - interval '3 days', deadline_at = now() + interval '11 days'"
        " WHERE tracking_number = :n",
        n=number,
    )
    assert findings(room) == []


def test_two_live_captures_are_found_even_if_their_index_is_gone(room: EngineRoom) -> None:
    number = done(room)
    room.sql("DROP INDEX payment_attempts_one_captured")
    room.sql(
        "INSERT INTO payment_attempts (tenant_id, tracking_number, attempt_no, provider, psp_key, merchant_reference,"
        " amount_minor, currency, outcome) SELECT tenant_id, tracking_number, 2, provider, 'k2', merchant_reference,"
        " amount_minor, currency, 'captured' FROM payment_attempts WHERE tracking_number = :n",
        n=number,
    )
    assert (checks.ONE_CAPTURE, number) in found(room)
    room.sql("DELETE FROM payment_attempts WHERE tracking_number = :n AND attempt_no = 2", n=number)
    room.sql(
        "CREATE UNIQUE INDEX payment_attempts_one_captured ON payment_attempts (tenant_id, tracking_number)"
        " WHERE outcome = 'captured'"
    )


def test_a_key_without_an_order_and_news_of_nobodys_charge_are_found(room: EngineRoom) -> None:
    tenant = room.seller.shop.tenant_id
    room.sql("INSERT INTO idempotency_keys VALUES (:t, 'k', 'trk_gone', '')", t=tenant)
    room.sql(
        "INSERT INTO psp_events VALUES (:t, 'sandbox', 'evt_1', NULL, 'k', 'charge', '', now() - interval '16 min')",
        t=tenant,
    )
    assert found(room) == [(checks.KEYS_HAVE_ORDERS, "trk_gone"), (checks.NEWS_OF_NOBODY, "evt_1")]


def charge_without_us(room: EngineRoom, card: str = GOOD_CARD, reference: str = "") -> str:
    """A charge at the tenant's account that no attempt of ours stands for; its PSP reference."""
    return _charge(room, token_hex(20), reference or token_hex(8), Money(1499, "EUR"), card)


def _charged(room: EngineRoom, number: str) -> str:
    """A capture at the PSP under the key of the order's attempt; its PSP reference."""
    attempt = room.attempt(number)
    return _charge(room, attempt.psp_key, attempt.merchant_reference, attempt.money)


def _charge(room: EngineRoom, psp_key: str, merchant_reference: str, money: Money, card: str = GOOD_CARD) -> str:
    made = room.psp.charge(
        ChargeRequest(
            psp_key=psp_key,
            merchant_reference=merchant_reference,
            money=money,
            channel=Channel.CREDIT_CARD,
            customer_urn="cu.00.482",
            return_url="https://shop.example/return",
            card=Card(number=card, holder_name="Jane Doe", expire_year="2029", expire_month="12", cvc="123"),
        )
    )
    return str(getattr(made, "reference", None))


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
    reference = _charged(room, number)
    room.sql("UPDATE payment_attempts SET outcome = :o WHERE tracking_number = :n", o=thought, n=number)
    assert found(room) == [(books.UNKNOWN_CAPTURE, reference)]


def test_a_capture_so_young_that_its_news_may_be_on_the_way_is_judged_later(room: EngineRoom) -> None:
    number = failed(room)
    _charged(room, number)
    assert found(room, NEWS_ON_THE_WAY) == []


def test_a_second_capture_under_one_key_is_found(room: EngineRoom, shared_psp: Sandbox) -> None:
    """A PSP that forgot a key, asked with it again: the database has one capture, the PSP two."""
    number = done(room)
    shared_psp.set_faults(keyLifetimeSeconds=0)
    second = _charged(room, number)
    assert found(room) == [(books.UNKNOWN_CAPTURE, second)]


@pytest.mark.parametrize("thought", ["declined", "absent"])
def test_a_capture_only_the_books_know_of_is_given_back_within_the_minute(
    room: EngineRoom, shared_psp: Sandbox, thought: str
) -> None:
    """Its worker died and its webhook was lost: reconciliation is the last to learn of it (C4)."""
    number = failed(room)
    _charged(room, number)
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
    second = _charged(room, number)

    for _ in range(2):  # The second examination finds it noted.
        examiner.examine_alone(room.run, scope(room))
    return_money(room.run, number)

    first, other = room.attempts(number)
    assert (first.outcome, other.outcome) == (AttemptState.CAPTURED, AttemptState.RETURNED)
    assert other.psp_reference == second
    assert _states(room, shared_psp, number) == ["captured", "voided"]
    assert room.state(number) is OrderState.DONE
    assert found(room) == []


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


def test_credentials_that_do_not_open_are_told(room: EngineRoom) -> None:
    report = examine(room.run.engine, fresh(), room.run.psp_for, scope(room))
    assert [one.check for one in report.findings] == [books.NOT_ASKED]


def test_an_examination_without_time_left_says_what_it_did_not_compare(room: EngineRoom) -> None:
    report = examine(room.run.engine, room.run.keyring, room.run.psp_for, scope(room, budget_s=-1.0))
    assert [(one.check, one.detail) for one in report.findings] == [
        (books.NOT_ASKED, "the time for this examination was up")
    ]


def test_another_tenants_breaks_are_not_shown(
    room: EngineRoom, settings: Settings, vault_url: str, shared_psp: Sandbox
) -> None:
    with engine_room.opened(settings, vault_url, shared_psp, lease_s=1) as other:
        charge_without_us(other)
        assert findings(room) == []
        assert len(findings(other)) == 1


def test_one_process_examines_at_a_time_and_logs_what_it_finds(room: EngineRoom) -> None:
    number = unclear(room)
    room.sql("UPDATE orders SET changed_at = now() - interval '16 min' WHERE tracking_number = :n", n=number)
    with statements(room.run.engine) as somebody:
        somebody.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": examiner.LOCK})
        assert examiner.examine_alone(room.run) is None
        somebody.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": examiner.LOCK})
    with capture_logs() as logs:
        assert examiner.examine_alone(room.run) is not None
    [alarm] = [line for line in logs if line["event"] == "doctor.found" and line["subject"] == number]
    assert (alarm["log_level"], alarm["check"], alarm["severity"]) == ("error", "unclear-too-long", "alarm")
    assert examiner.examine_alone(room.run) is not None, "it lets go of its lock"


def _states(room: EngineRoom, psp: Sandbox, number: str) -> list[str]:
    """The states of the order's charges at the PSP, the first one first."""
    reference = room.order(number).merchant_reference
    return [one["state"] for one in psp.charges(room.account) if one["merchantReference"] == reference]


def _reference(room: EngineRoom, number: str) -> str:
    reference = room.attempt(number).psp_reference
    assert reference is not None
    return reference
