"""The doctor finds every promise that a planted fault breaks, and nothing where all of them hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from shared.config import Settings
from shared.doctor import books, checks
from shared.doctor.examination import examine
from shared.doctor.findings import Check
from shared.keyring import fresh
from shared.store.engine import statements
from tests.support import engine_room
from tests.support.engine_room import EngineRoom
from tests.support.examined import (
    HOLD_AGAIN,
    captured,
    charge_without_us,
    done,
    failed,
    findings,
    found,
    scope,
    unclear,
)
from tests.support.psp import Sandbox
from workers import examiner


@pytest.fixture
def room(own_room: EngineRoom) -> EngineRoom:
    """A tenant of this test's own."""
    return own_room


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


def test_credentials_that_do_not_open_are_told(room: EngineRoom) -> None:
    report = examine(room.run.engine, fresh(), room.run.psp_for, scope(room))
    assert [one.check for one in report.findings] == [books.NOT_ASKED]


def test_an_examination_without_time_left_says_what_it_did_not_compare(room: EngineRoom) -> None:
    report = examine(room.run.engine, room.run.keyring, room.run.psp_for, scope(room, budget_s=-1.0))
    assert [(one.check, one.detail) for one in report.findings] == [
        (books.NOT_REACHED, "the time for this examination was up")
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
