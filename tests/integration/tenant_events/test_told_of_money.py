"""A tenant hears of what no move tells: money that went back, and a method that was stored without an order."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from shared.config import Settings
from shared.doctor.examination import Scope
from shared.domain.money import Money
from shared.domain.outcomes import Declined, DeclineReason, Returned, StillHeld
from shared.domain.states import OrderState
from shared.domain.tenant_events import EventKind, TenantEvent
from shared.operate import actions
from shared.operate.asking import Asked
from shared.store import methods
from shared.store.attempts import Attempt, AttemptState
from shared.store.engine import create_engine
from shared.store.operator_actions import Acted, Outcome
from shared.store.row_security import Role
from shared.store.telling import tell
from shared.store.tenancy import acting_for
from tests.support.acting import challenged, does
from tests.support.asked_beside import charge_at_psp
from tests.support.engine_room import EngineRoom, captured
from tests.support.event_receiver import Heard, Receivers
from tests.support.listening import Listener, listens, teller, until_heard
from tests.support.operating import a_desk
from tests.support.psp import Sandbox
from tests.support.refunding import of_order
from tests.support.wire import GOOD_CARD, fresh_card
from workers import examiner
from workers.look_up import look_up
from workers.pay import pay
from workers.return_money import return_money
from workers.telling import Teller
from workers.tokenize import tokenize


@pytest.fixture
def listener(room: EngineRoom, receivers: Receivers) -> Iterator[Listener]:
    made = listens(room.owner, room.run.keyring, room.seller.shop.tenant_id, receivers.storefront())
    yield made
    made.sql("UPDATE event_endpoints SET state = 'removed', secret = NULL WHERE tenant_id = :tenant")


@pytest.fixture
def one(room: EngineRoom) -> Iterator[Teller]:
    with teller(room.run) as made:
        yield made


def told(one: Teller, listener: Listener, count: int) -> list[Heard]:
    heard = until_heard(one, listener, count)
    assert all(each.verified_by == [0] for each in heard)
    assert len({each.id for each in heard}) == len(heard) == count
    return heard


@pytest.mark.parametrize(("window_s", "kind"), [(86_400, "payment.voided"), (0, "payment.refunded")])
def test_money_that_had_no_right_to_stay_is_told_of_after_its_orders_end(
    room: EngineRoom, listener: Listener, one: Teller, shared_psp: Sandbox, window_s: int, kind: str
) -> None:
    number = room.locked(correlationId=f"co-{uuid.uuid4()}")
    room.dies_while_charging(number, after_the_charge=False)
    attempt = room.attempt(number)
    proof = charge_at_psp(room, attempt)
    room.tell(attempt, Declined(DeclineReason.GENERIC))
    shared_psp.set_faults(voidWindowSeconds=window_s)
    room.tell(attempt, proof, actor="webhook")
    for _ in range(2):
        return_money(room.run, number)
    assert room.state(number) is OrderState.FAILED

    failed, returned = told(one, listener, 2)

    assert (failed.event["type"], returned.event["type"]) == ("checkout.failed", kind)
    assert returned.event["data"] == {
        "trackingNumber": number,
        "correlationId": room.order(number).correlation_id,
        "customerUrn": "cu.00.482",
        "amountMilpieces": 1499,
        "currency": "EUR",
    }


def kind_of_return(heard: list[Heard]) -> str:
    """What was said of the money, once."""
    [kind] = [each.event["type"] for each in heard if each.event["type"].startswith("payment.")]
    return str(kind)


def given_up(room: EngineRoom, psp: Sandbox) -> str:
    """An abandoned challenge whose void did nothing yet."""
    number = challenged(room)
    room.sql("UPDATE orders SET deadline_at = now() WHERE tracking_number = :n", n=number)
    psp.set_faults(next=[{"kind": "http500", "on": "void"}])
    look_up(room.run, number)
    psp.heal()
    assert room.attempt(number).outcome is AttemptState.RETURNING
    return number


@pytest.mark.parametrize("first", ["its worker", "its webhook"])
@pytest.mark.parametrize("end", ["voided", "declined"])
def test_what_was_never_taken_is_told_of_as_voided_whoever_learns_of_it_first(
    room: EngineRoom, listener: Listener, one: Teller, shared_psp: Sandbox, end: str, first: str
) -> None:
    number = challenged(room)
    redirect = room.order(number).redirect
    assert redirect is not None
    does(room, actions.cancel, number)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    if end == "declined":
        shared_psp.click(redirect["redirectUrl"], "cancel")
    elif first == "its webhook":
        room.psp.void(attempt.psp_reference, psp_key="a worker that died then")
    if first == "its webhook":
        room.tell(attempt, room.psp.look_up(attempt.query), actor="webhook")
    return_money(room.run, number)
    assert room.state(number) is OrderState.FAILED

    assert kind_of_return(told(one, listener, 3)) == "payment.voided"


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_return_of_which_its_psp_does_not_say_how_was_a_refund_if_any_money_was_taken(
    room: EngineRoom, listener: Listener, one: Teller, shared_psp: Sandbox, is_taken: bool
) -> None:
    number = given_up(room, shared_psp)
    attempt = room.attempt(number)
    assert attempt.psp_reference is not None
    if is_taken:
        room.tell(attempt, captured(attempt, attempt.psp_reference), actor="webhook")
    room.tell(attempt, Returned(attempt.psp_reference), actor="webhook")

    assert kind_of_return(told(one, listener, 3)) == ("payment.refunded" if is_taken else "payment.voided")


@pytest.mark.parametrize("first", ["its worker", "its webhook"])
def test_a_capture_that_somebody_refunded_at_the_psp_is_told_of_as_refunded(
    room: EngineRoom, listener: Listener, one: Teller, first: str
) -> None:
    number = room.locked()
    assert pay(room.run, number)
    attempt = room.attempt(number)
    does(room, actions.cancel, number)
    assert attempt.psp_reference is not None
    room.psp.refund(attempt.psp_reference, attempt.money, psp_key=f"hand-{attempt.psp_key}")
    if first == "its webhook":
        room.tell(attempt, room.psp.look_up(attempt.query), actor="webhook")
    return_money(room.run, number)

    assert kind_of_return(told(one, listener, 2)) == "payment.refunded"


def test_each_part_of_a_done_order_that_an_operator_gives_back_is_told_of(
    room: EngineRoom, listener: Listener, one: Teller
) -> None:
    number = room.locked()
    assert pay(room.run, number)
    tokenize(room.run, number)
    for part in (500, 999):
        assert refund(room, number, part).outcome is Outcome.BEGUN
        return_money(room.run, number)

    done, *parts = told(one, listener, 3)

    assert done.event["type"] == "checkout.done"
    assert [(each.event["type"], each.event["data"]["amountMilpieces"]) for each in parts] == [
        ("payment.refunded", 500),
        ("payment.refunded", 999),
    ]


def sold(room: EngineRoom) -> Attempt:
    """The paid attempt of an order that is done."""
    number = room.locked()
    assert pay(room.run, number)
    tokenize(room.run, number)
    return room.attempt(number)


def refund(room: EngineRoom, number: str, part: int | None) -> Acted:
    by = Asked("Ana", "withdrawn", uuid.uuid4())
    return actions.refund(a_desk(room), room.seller.shop.tenant_id, number, by, part)


def void_by_hand(room: EngineRoom, attempt: Attempt) -> Returned:
    """Somebody voids it at the PSP; what a webhook then tells of it."""
    assert attempt.psp_reference is not None
    assert isinstance(room.psp.void(attempt.psp_reference, psp_key=f"hand-{attempt.psp_key}"), Returned)
    return Returned(attempt.psp_reference)


@pytest.mark.parametrize("how", ["by its webhook", "in its books"])
def test_money_that_somebody_gave_back_at_the_psp_by_hand_is_told_of_once(
    room: EngineRoom, listener: Listener, one: Teller, how: str
) -> None:
    attempt = sold(room)
    news = void_by_hand(room, attempt)
    for _ in range(2):
        if how == "by its webhook":
            room.tell(attempt, news, actor="webhook")
        else:
            examiner.examine_alone(room.run, Scope(timedelta(hours=1), 60.0, listener.tenant_id))

    _, back = told(one, listener, 2)

    assert back.event["type"] == "payment.refunded"
    assert back.event["data"]["trackingNumber"] == attempt.tracking_number
    assert back.event["data"]["amountMilpieces"] == 1499
    assert room.state(attempt.tracking_number) is OrderState.DONE
    assert "all of it went back" in refund(room, attempt.tracking_number, None).told


def test_what_was_left_of_an_order_and_went_back_by_hand_is_told_of_alone(
    room: EngineRoom, listener: Listener, one: Teller
) -> None:
    attempt = sold(room)
    assert refund(room, attempt.tracking_number, 500).outcome is Outcome.BEGUN
    return_money(room.run, attempt.tracking_number)
    assert attempt.psp_reference is not None
    room.psp.refund(attempt.psp_reference, Money(999, "EUR"), psp_key=f"hand-{attempt.psp_key}")
    room.tell(attempt, Returned(attempt.psp_reference), actor="webhook")

    _, *parts = told(one, listener, 3)

    assert [each.event["data"]["amountMilpieces"] for each in parts] == [500, 999]


def test_of_all_that_went_back_beside_a_refund_under_way_either_part_is_told_of(
    room: EngineRoom, listener: Listener, one: Teller
) -> None:
    attempt = sold(room)
    assert refund(room, attempt.tracking_number, 500).outcome is Outcome.BEGUN
    room.tell(attempt, void_by_hand(room, attempt), actor="webhook")
    return_money(room.run, attempt.tracking_number)

    _, *parts = told(one, listener, 3)

    assert [each.event["data"]["amountMilpieces"] for each in parts] == [500, 999]


def test_a_refund_that_failed_after_it_was_told_of_is_told_of_once_more_when_it_is_given(
    room: EngineRoom, listener: Listener, one: Teller
) -> None:
    attempt = sold(room)
    for part in (500, 300):
        assert refund(room, attempt.tracking_number, part).outcome is Outcome.BEGUN
        return_money(room.run, attempt.tracking_number)
    first, _ = of_order(room, attempt.tracking_number)
    assert attempt.psp_reference is not None
    news = StillHeld(attempt.psp_reference, first.money, first.key, was_done=True)
    for _ in range(2):
        room.tell(attempt, news, actor="webhook")
    return_money(room.run, attempt.tracking_number)

    _, *parts = told(one, listener, 4)

    assert [each.event["data"]["amountMilpieces"] for each in parts] == [500, 300, 500]


@pytest.mark.parametrize("by_order", [True, False], ids=["with an order", "without one"])
def test_a_stored_method_is_told_of_without_its_token_or_number(
    room: EngineRoom, listener: Listener, one: Teller, by_order: bool
) -> None:
    if by_order:
        number = room.locked(fresh_card(storeMethodSuccessPayment="always"))
        assert pay(room.run, number)
        tokenize(room.run, number)
    else:
        room.a_stored_card()

    *_, stored = told(one, listener, 2 if by_order else 1)

    [(urn,)] = listener.sql(
        "SELECT method_urn FROM stored_methods WHERE tenant_id = :tenant ORDER BY stored_at DESC LIMIT 1"
    )
    with listener.owner.begin() as conn:
        token = methods.token_of(conn, room.run.keyring, listener.tenant_id, urn)
    assert stored.event["type"] == "payment_method.stored"
    assert stored.event["data"]["paymentMethodUrn"] == urn
    assert "." not in stored.id
    assert token is not None
    for secret in (token.token, "411111", GOOD_CARD[-4:] + '"'):
        assert secret not in json.dumps(stored.event)


def test_the_front_door_tells_with_what_little_it_may_see_of_endpoints(
    room: EngineRoom, listener: Listener, one: Teller, settings: Settings
) -> None:
    """Where a tenant listens, and under which secret, PostgreSQL does not show to it."""
    front_door = create_engine(settings, role=Role.API)
    event_id = f"evt_{uuid.uuid4().hex}"
    body = json.dumps({"type": "payment.voided", "timestamp": "", "data": {"trackingNumber": "trk_1"}})
    event = TenantEvent(listener.tenant_id, event_id, EventKind.VOIDED, "trk_1", 1, body)
    with acting_for(listener.tenant_id), front_door.begin() as conn:
        tell(conn, event)
    with acting_for(listener.tenant_id), front_door.connect() as conn, pytest.raises(ProgrammingError):
        conn.execute(text("SELECT secret FROM event_endpoints"))
    front_door.dispose()

    [heard] = told(one, listener, 1)

    assert heard.id == event_id


def test_what_happens_where_nobody_listens_leaves_nothing_behind(room: EngineRoom) -> None:
    room.a_stored_card()

    assert room.sql("SELECT 1 FROM tenant_events WHERE tenant_id = :t", t=room.seller.shop.tenant_id) == []
