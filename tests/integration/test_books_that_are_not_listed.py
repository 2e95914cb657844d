"""A PSP that lists no charges and cannot be asked: the doctor says so, nobody is alarmed, what is out is let go of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from shared import keyring
from shared.cli.main import main
from shared.config import Settings
from shared.doctor import books, checks
from shared.domain.states import OrderState
from shared.store.attempts import AttemptState
from tests.support import engine_room
from tests.support.adyen_fake.fake import AdyenFake, running
from tests.support.adyen_room import AdyenRoom
from tests.support.attempt_rows import write_ahead
from tests.support.engine_room import captured
from tests.support.examined import found, scope
from tests.support.wire import fresh_card
from workers import reconcile
from workers.examiner import examine_alone
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money
from workers.tokenize import tokenize


@pytest.fixture(scope="module")
def fake() -> Iterator[AdyenFake]:
    with running() as started:
        yield started


@pytest.fixture
def own(settings: Settings, vault_url: str, fake: AdyenFake) -> Iterator[AdyenRoom]:
    """A tenant of this test's own."""
    fake.postman.loses = fake.holds_back = True
    with engine_room.opened(settings, vault_url, fake, lease_s=1) as room:
        yield AdyenRoom(room, fake)
    fake.heal()


def done(own: AdyenRoom) -> str:
    number = own.paid()
    tokenize(own.room.run, number)
    assert own.room.state(number) is OrderState.DONE
    return number


def test_the_doctor_says_that_the_books_are_not_compared_and_why(own: AdyenRoom) -> None:
    done(own)
    assert found(own.room) == [(books.NOT_LISTED, "adyen")]


def test_the_command_ends_with_0_and_shows_it(
    own: AdyenRoom, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(own)
    keyring.save(own.room.run.keyring, tmp_path / "keyring.json")
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("C2A_KEYRING", str(tmp_path / "keyring.json"))
    asked = ["doctor", "--tenant", str(own.room.seller.shop.tenant_id)]
    told = CliRunner().invoke(main, asked, env={"COLUMNS": "160"})
    assert told.exit_code == 0, told.output
    assert "NOTE 1" in told.output
    assert "this PSP lists no charges" in told.output
    document = json.loads(CliRunner().invoke(main, [*asked, "--json"]).stdout)
    [note] = [check for check in document["checks"] if check["findings"]]
    assert (note["name"], note["severity"]) == ("books-not-listed", "note")


def test_the_upkeep_raises_no_alarm_of_it(own: AdyenRoom) -> None:
    done(own)
    with capture_logs() as logs:
        report = examine_alone(own.room.run, scope(own.room))
    assert report is not None
    assert [line for line in logs if line["event"] == "doctor.found"] == []
    [told] = [line for line in logs if line["event"] == "doctor.examined"]
    assert (told["breaks"], told["alarms"]) == (0, 0)


def test_a_payment_that_is_sent_again_and_again_is_unclear_all_the_same(own: AdyenRoom) -> None:
    """Each repeat moves its order; its doubt began with the attempt."""
    number = own.unanswered("drop")
    own.room.sql(
        "UPDATE payment_attempts SET started_at = now() - interval '16 min' WHERE tracking_number = :n", n=number
    )
    own.fake.troubles.add("drop")
    look_up(own.room.run, number)
    pay(own.room.run, number)
    assert (checks.UNCLEAR_TOO_LONG, number) in found(own.room)


def test_a_chargeback_of_a_done_order_is_an_alarm_and_moves_nothing(own: AdyenRoom) -> None:
    number = done(own)
    event = {
        "eventCode": "CHARGEBACK",
        "pspReference": token_hex(8).upper(),
        "originalReference": own.room.attempt(number).psp_reference,
        "merchantReference": number,
        "amount": {"currency": "EUR", "value": 1499},
    }
    own.deliver(own.fake.body(own.room.account, event))
    assert (checks.DISPUTED, number) in found(own.room)
    assert own.room.state(number) is OrderState.DONE


@pytest.mark.parametrize(
    ("ago", "taken", "alarms"),
    [("16 min", False, True), ("16 min", True, False), ("73 hours", True, True)],
    ids=["not answered", "taken in hand", "taken in hand for too long"],
)
def test_money_on_its_way_back_alarms_when_it_is_late_by_its_psps_measure(
    own: AdyenRoom, ago: str, taken: bool, alarms: bool
) -> None:
    number = own.paid()
    own.room.sql(
        "UPDATE payment_attempts SET outcome = 'returning', settled_at = now() - cast(:ago AS interval),"
        " taken_at = CASE WHEN :taken THEN now() - cast(:ago AS interval) END WHERE tracking_number = :n",
        ago=ago,
        taken=taken,
        n=number,
    )
    assert ((checks.RETURNING_TOO_LONG, number) in found(own.room)) is alarms


@pytest.mark.parametrize(
    ("outcome", "named", "ends"),
    [
        ("challenged", False, AttemptState.DECLINED),
        ("challenged", True, AttemptState.RETURNING),
        ("pending", True, AttemptState.RETURNING),
        ("open", False, AttemptState.OPEN),
    ],
)
def test_what_is_still_out_beside_a_done_order_is_let_go_of_as_far_as_it_has_a_name(
    own: AdyenRoom, outcome: str, named: bool, ends: AttemptState
) -> None:
    number = own.unanswered("drop after", fresh_card())
    second = own.room.attempt(number)
    [payment] = own.payments(number)
    own.room.sql(
        "UPDATE payment_attempts SET attempt_no = 2, outcome = :o, psp_reference = :r,"
        " asked_at = now() - interval '3 min' WHERE tracking_number = :n",
        o=outcome,
        r=payment.psp_reference if named else None,
        n=number,
    )
    first = replace(second, attempt_no=1, psp_key=token_hex(20), outcome=AttemptState.ABSENT)
    with own.room.run.engine.begin() as conn:
        write_ahead(conn, first)
    own.room.sql(
        "UPDATE payment_attempts SET outcome = 'absent' WHERE tracking_number = :n AND attempt_no = 1", n=number
    )
    own.room.tell(first, captured(first, token_hex(8)), actor="webhook")
    tokenize(own.room.run, number)

    reconcile.settle_beside(own.room.run, own.room.seller.shop.tenant_id, ends_at=float("inf"))

    assert own.room.attempts(number)[1].outcome is ends
    if ends is AttemptState.RETURNING:
        return_money(own.room.run, number)
        own.fake.work()
        own.deliver_all("CANCEL_OR_REFUND")
        assert own.room.attempts(number)[1].outcome is AttemptState.RETURNED
        assert own.held(number) == []
    assert own.room.state(number) is OrderState.DONE
