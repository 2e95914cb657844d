"""The key service away: nothing is kept unsealed instead, whoever asks hears 503, and no payment is lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest
from redis import Redis

from shared.config import Settings
from shared.domain.outcomes import Captured, KeptMethod
from shared.domain.states import OrderState
from shared.keyring import Keyring
from shared.psp.port import EventKind, PspEvent
from shared.store import inbox
from tests.support import engine_room
from tests.support.adyen_fake.fake import running
from tests.support.adyen_room import AdyenRoom
from tests.support.engine_room import EngineRoom
from tests.support.key_services import SomeKms
from tests.support.psp import Sandbox
from tests.support.told import told_of
from tests.support.vaulted import card_of
from tests.support.wire import channel, fresh_card
from workers.look_up import look_up
from workers.pay import pay
from workers.release import Releases
from workers.tokenize import tokenize


@pytest.fixture(scope="module")
def kms() -> SomeKms:
    return SomeKms()


@pytest.fixture(scope="module")
def room(settings: Settings, vault_url: str, shared_psp: Sandbox, kms: SomeKms) -> Iterator[EngineRoom]:
    with engine_room.opened(settings, vault_url, shared_psp, keyring=Keyring(kms, bytes(32)), lease_s=1) as room:
        yield room


@pytest.fixture
def vault(vault_url: str) -> Iterator[Redis]:
    with Redis.from_url(vault_url) as client:
        client.flushdb()
        yield client


def cards(vault: Redis) -> list[bytes]:
    return cast("list[bytes]", vault.keys("card:*"))


def test_a_shopper_who_comes_back_meanwhile_loads_the_page_again_and_has_paid(
    settings: Settings, vault_url: str, kms: SomeKms
) -> None:
    """What their browser brought back is never kept unsealed."""
    ring = Keyring(kms, bytes(32))
    with running() as fake, engine_room.opened(settings, vault_url, fake, keyring=ring, lease_s=1) as room:
        adyen = AdyenRoom(room, fake)
        number = adyen.challenged()
        way_back = adyen.decides(number, "approve")
        with kms.away():
            busy = adyen.comes_back(way_back)
        assert (busy.status_code, room.attempt(number).brought) == (503, None)
        assert int(busy.headers["Retry-After"]) >= 1

        assert adyen.comes_back(way_back).status_code == 200
        look_up(room.run, number)
        assert adyen.held(number) == [(1499, "EUR")]


def test_a_fresh_card_is_503_and_neither_the_card_nor_the_order_is_kept(
    room: EngineRoom, kms: SomeKms, vault: Redis
) -> None:
    request, orders = room.seller.request(), room.seller.count("orders")
    with kms.away():
        refused = room.seller.post(request)
    assert (refused.status_code, refused.get_json()["status"]["messageCode"]) == (503, "SERVICE_UNAVAILABLE")
    assert int(refused.headers["Retry-After"]) >= 1
    assert "4111" not in refused.text
    assert (cards(vault), room.seller.count("orders")) == ([], orders)

    assert room.seller.post(request).status_code == 202
    assert len(cards(vault)) == 1


def test_an_order_without_a_card_is_admitted_all_the_same(room: EngineRoom, kms: SomeKms) -> None:
    with kms.away():
        assert room.seller.post(room.seller.request(channel("SEPA"))).status_code == 202


def test_a_payment_waits_for_the_keys_and_is_made_when_they_are_back(room: EngineRoom, kms: SomeKms) -> None:
    number = room.locked()
    with kms.away():
        assert not pay(room.run, number)
    assert (room.state(number), room.attempts(number)) == (OrderState.OFFER_LOCKED, [])

    assert pay(room.run, number)


def test_a_capture_is_written_down_without_the_keys_and_its_method_is_asked_for_later(
    room: EngineRoom, kms: SomeKms
) -> None:
    number = room.locked(fresh_card(storeMethodSuccessPayment="always"))
    room.dies_while_charging(number, after_the_charge=True)
    attempt = room.attempt(number)
    told = room.psp.look_up(attempt.query)
    assert isinstance(told, Captured)
    assert isinstance(told.kept, KeptMethod)

    with kms.away():
        room.tell(attempt, told)
    assert (room.state(number), room.attempt(number).kept_token) == (OrderState.CAPTURED, None)

    tokenize(room.run, number)
    assert room.state(number) is OrderState.DONE
    assert room.sql("SELECT 1 FROM stored_methods WHERE tracking_number = :n", n=number)


def test_early_news_waits_for_the_keys_and_upkeep_does_not_stop_for_it(room: EngineRoom, kms: SomeKms) -> None:
    numbers = [room.locked(), room.locked()]
    for number in numbers:
        room.dies_while_charging(number, after_the_charge=True)
        attempt = room.attempt(number)
        told = room.psp.look_up(attempt.query)
        assert isinstance(told, Captured)
        event = PspEvent(f"evt_{number}", EventKind.CHARGE, attempt.merchant_reference, attempt.psp_key, told)
        with room.run.engine.begin() as conn:
            inbox.keep(conn, room.run.keyring, attempt.tenant_id, attempt.provider, event)
    run = replace(room.run, keyring=Keyring(kms, bytes(32)))  # One that has opened nothing yet.

    with kms.away(), told_of("inbox") as lines:
        assert Releases().round(run) == 0

    assert [line["event"] for line in lines] == ["inbox.keys_away"], "once, for they are away for all"
    assert Releases().round(run) == len(numbers)
    assert {room.state(number) for number in numbers} == {OrderState.CAPTURED}


def test_one_order_is_sealed_by_one_call_to_the_key_service(room: EngineRoom, kms: SomeKms) -> None:
    request, before = room.seller.request(), kms.wrapped
    assert room.seller.post(request).status_code == 202
    assert kms.wrapped - before == 1


def test_two_installations_with_other_keys_read_nothing_of_each_other(room: EngineRoom) -> None:
    number, tenant = room.locked(), room.seller.shop.tenant_id
    other = replace(room.run.vault, keyring=Keyring(SomeKms(), bytes(32)))
    with pytest.raises(ValueError, match="does not belong"):
        card_of(other, tenant, number)
