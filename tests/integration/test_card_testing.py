"""Who tries one card after the other is stopped, whatever road the tries take, and learns nothing of any card (G7)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

import pytest
from redis import Redis

from shared.config import Settings
from shared.domain.offers import Offer
from shared.domain.outcomes import Declined, DeclineReason
from shared.domain.states import OrderState
from shared.vault import Vault
from shared.velocity import Limit, Shopper, Velocity
from tests.support import engine_room
from tests.support.engine_room import EngineRoom
from tests.support.own_redis import own_redis
from tests.support.psp import Sandbox, until
from tests.support.wire import Document, channel, fresh_card
from workers.lock_offer import lock_offer
from workers.look_up import look_up
from workers.pay import pay

DECLINED: Final = "4000000000000002"
CARDS: Final = 500
PER_CUSTOMER: Final = Settings.model_fields["declines_per_customer"].default
PER_ADDRESS: Final = Settings.model_fields["declines_per_address"].default


@pytest.fixture(scope="module")
def room_of_module(settings: Settings, vault_url: str, shared_psp: Sandbox) -> Iterator[EngineRoom]:
    """A tenant whose orders this module pays."""
    with engine_room.opened(settings, vault_url, shared_psp) as opened:
        yield opened


def a_customer() -> str:
    return f"cu.{uuid4().hex}"


def submit(
    room: EngineRoom,
    customer: str,
    number: str = DECLINED,
    *,
    ip: str | None = None,
    payment: Document | None = None,
    offer: Offer | None = None,
) -> Any:
    """Order, with a card unless *payment* says otherwise; the answer."""
    document = room.seller.request(payment or fresh_card(number), offer=offer)
    document["order"]["customer"] = {"customerUrn": customer, "ipAddress": ip}
    return room.seller.post(document)


def asked_of_psp(room: EngineRoom) -> int:
    """How many cards the PSP was ever asked about by this tenant."""
    [(count,)] = room.sql("SELECT count(*) FROM payment_attempts WHERE tenant_id = :t", t=room.seller.shop.tenant_id)
    return int(count)


def lock_and_pay(room: EngineRoom, number: str) -> None:
    assert lock_offer(room.run, number)
    pay(room.run, number)


def random_card() -> str:
    """A number with a good check digit that the sandbox declines whatever it is: see the fault that is set."""
    head = f"400000{secrets.randbelow(10**9):09}"
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in head[::-2])
    return head + str(-(doubled + sum(int(digit) for digit in head[-2::-2])) % 10)


def test_of_a_script_with_500_cards_no_more_reach_the_psp_than_the_limit(room: EngineRoom, shared_psp: Sandbox) -> None:
    """Each card under a customer of its own at one address, as a script that changes accounts would."""
    shared_psp.set_faults(rates={"decline": 1.0})
    before, told, offer = asked_of_psp(room), [], room.seller.offer(single_use=False)

    for _ in range(CARDS):
        answer = submit(room, a_customer(), random_card(), ip="198.51.100.7", offer=offer)
        told.append(answer.status_code)
        if answer.status_code == 202:
            lock_and_pay(room, answer.get_json()["trackingNumber"])

    assert told == [202] * PER_ADDRESS + [429] * (CARDS - PER_ADDRESS)
    assert asked_of_psp(room) - before == PER_ADDRESS


def test_orders_that_were_all_accepted_before_the_first_decline_reach_the_psp_no_more_often(room: EngineRoom) -> None:
    customer, before = a_customer(), asked_of_psp(room)
    numbers = [submit(room, customer).get_json()["trackingNumber"] for _ in range(2 * PER_CUSTOMER)]

    for number in numbers:
        lock_and_pay(room, number)

    assert asked_of_psp(room) - before == PER_CUSTOMER
    assert {room.order(number).failure for number in numbers} == {"CARD_DECLINED: generic_decline"}
    assert not room.run.vault.redis.exists(*(f"card:{room.seller.shop.tenant_id}:{number}" for number in numbers))


def blocked(room: EngineRoom, ip: str | None = None) -> str:
    """A customer who has tried too many cards."""
    customer = a_customer()
    shopper = Shopper(room.seller.shop.tenant_id, customer, ip)
    for _ in range(PER_CUSTOMER):
        room.run.velocity.count(shopper, secrets.token_hex(8))
    return customer


def test_the_answer_is_one_whatever_card_comes_next_and_says_when_to_come_back(room: EngineRoom) -> None:
    customer, offer = blocked(room), room.seller.offer()

    answers = [
        submit(room, customer, number, offer=offer) for number in ("4111111111111111", DECLINED, "4000000000009995")
    ]
    add = {"customerUrn": customer, "paymentMethod": fresh_card()}
    with room.seller.app.test_client() as client:
        path = "/api/v1/c2a/customer/payment/methods/add"
        added = client.post(path, json=add, headers=room.seller.shop.headers)

    assert {(one.status_code, one.text) for one in answers} == {(429, answers[0].text)}
    assert answers[0].get_json() == {
        "message": "too many cards were declined; come back later",
        "status": {"messageCode": "RATE_LIMITED"},
    }
    assert all(3_590 <= int(one.headers["Retry-After"]) <= 3_600 for one in (*answers, added))
    assert (added.status_code, added.get_json()["status"]) == (429, {"messageCode": "RATE_LIMITED"})


def test_neither_the_customers_nor_the_addresss_limit_can_be_told_from_the_other(room: EngineRoom) -> None:
    address = "198.51.100.8"
    for _ in range(PER_ADDRESS):
        room.run.velocity.count(Shopper(room.seller.shop.tenant_id, a_customer(), address), secrets.token_hex(8))

    by_address, by_customer = submit(room, a_customer(), ip=address), submit(room, blocked(room))

    assert (by_address.status_code, by_address.text) == (by_customer.status_code, by_customer.text)


def test_a_refused_card_is_not_kept_and_leaves_no_order(room: EngineRoom) -> None:
    orders, keys = room.seller.count("orders"), room.seller.count("idempotency_keys")

    assert submit(room, blocked(room)).status_code == 429

    assert (room.seller.count("orders"), room.seller.count("idempotency_keys")) == (orders, keys)
    kept = [number for _, number in room.run.vault.waiting()]
    assert kept == [number for number in kept if room.order(number)], "every card in the vault has an order"


def test_an_order_that_was_accepted_before_is_told_about_also_then(room: EngineRoom) -> None:
    """Contract section 2: the same order again is 202 under the same number, always."""
    customer = a_customer()
    request = room.seller.request(correlationId=uuid4().hex)
    request["order"]["customer"]["customerUrn"] = customer
    first = room.seller.post(request)
    for _ in range(PER_CUSTOMER):
        room.run.velocity.count(Shopper(room.seller.shop.tenant_id, customer), secrets.token_hex(8))

    again = room.seller.post(request)

    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert again.get_json()["trackingNumber"] == first.get_json()["trackingNumber"]


def test_what_carries_no_card_is_not_held_up(room: EngineRoom) -> None:
    assert submit(room, blocked(room), payment=channel("PayPal")).status_code == 202


def declines(room: EngineRoom, customer: str) -> int:
    [of_customer] = Shopper(room.seller.shop.tenant_id, customer).sets
    return int(room.run.vault.redis.scard(of_customer))


def test_one_decline_told_by_worker_webhook_and_look_up_counts_once(room: EngineRoom) -> None:
    customer = a_customer()
    number = submit(room, customer).get_json()["trackingNumber"]
    lock_and_pay(room, number)
    assert declines(room, customer) == 1

    for _ in range(3):
        room.run.velocity.note(room.order(number))

    assert declines(room, customer) == 1
    assert room.run.vault.redis.ttl(Shopper(room.seller.shop.tenant_id, customer).sets[0]) > 3_590


def test_a_decline_that_only_a_look_up_learns_of_counts(room: EngineRoom, shared_psp: Sandbox) -> None:
    customer = a_customer()
    shared_psp.set_faults(next=[{"kind": "dropAfter"}])
    number = submit(room, customer).get_json()["trackingNumber"]
    lock_and_pay(room, number)
    assert room.state(number) is OrderState.CONFIRMING

    look_up(room.run, number)

    assert room.state(number) is OrderState.FAILED
    assert declines(room, customer) == 1


def test_a_declined_add_counts_as_a_declined_order(room: EngineRoom) -> None:
    customer = a_customer()
    add: Document = {"customerUrn": customer, "paymentMethod": fresh_card(DECLINED)}
    path = "/api/v1/c2a/customer/payment/methods/add"

    with room.seller.app.test_client() as client:
        told = [
            client.post(path, json=add, headers=room.seller.shop.headers).status_code for _ in range(PER_CUSTOMER + 1)
        ]

    assert told == [409] * PER_CUSTOMER + [429]
    assert submit(room, customer).status_code == 429


@pytest.mark.parametrize("why", [DeclineReason.ISSUER_UNAVAILABLE, DeclineReason.SHOPPER_CANCELLED])
def test_what_is_no_fault_of_the_card_does_not_count(room: EngineRoom, why: DeclineReason) -> None:
    customer = a_customer()
    number = submit(room, customer, "4000002760003184").get_json()["trackingNumber"]
    lock_and_pay(room, number)
    assert room.state(number) is OrderState.CHALLENGE

    room.run.velocity.note(room.tell(room.attempt(number), Declined(why)))

    assert room.state(number) is OrderState.FAILED
    assert declines(room, customer) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("2001:db8::1", "2001:db8:0:0:ffff::9", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("203.0.113.7", "203.0.113.8", False),
    ],
)
def test_one_line_has_one_count_however_its_address_is_written(one: str, other: str, same: bool) -> None:
    tenant = uuid4()

    assert (Shopper(tenant, "cu.1", one).sets == Shopper(tenant, "cu.1", other).sets) is same


def test_no_tenants_declines_count_for_another(room: EngineRoom) -> None:
    customer = blocked(room)

    assert not room.run.velocity.blocks(Shopper(uuid4(), customer))
    assert room.run.velocity.blocks(Shopper(room.seller.shop.tenant_id, customer))


def test_declines_are_forgotten_when_the_window_of_the_first_is_over(vault_url: str) -> None:
    with Redis.from_url(vault_url) as redis:
        velocity, shopper = Velocity(redis, Limit(2, 2, window_s=3_600)), Shopper(uuid4(), "cu.1")
        [declined] = shopper.sets
        velocity.count(shopper, "a")
        assert 3_500 < redis.ttl(declined) <= 3_600

        redis.expire(declined, 60)  # Most of the window is over.
        velocity.count(shopper, "b")
        assert velocity.blocks(shopper)
        assert 0 < redis.ttl(declined) <= 60, "the second opens none of its own"

        redis.pexpire(declined, 1)
        until(lambda: not velocity.blocks(shopper))


def test_without_redis_a_card_is_tried_and_an_alarm_tells(
    room: EngineRoom, tmp_path: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with own_redis(tmp_path) as server, server.client() as client:
        server.kill()
        run = replace(room.run, vault=Vault(client, room.run.keyring, 900))

        assert not run.velocity.blocks(Shopper(uuid4(), "cu.1"))
        run.velocity.count(Shopper(uuid4(), "cu.1"), "a")

    told = capfd.readouterr().err
    assert "velocity.open" in told
    assert "velocity.not_counted" in told
