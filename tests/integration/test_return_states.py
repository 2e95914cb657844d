"""A shopper's way back: signed for one attempt of one order, good for one question, and to one page (W5)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import quote

import pytest
from sqlalchemy import event
from werkzeug.test import TestResponse

from shared.domain.states import OrderState
from shared.ids import return_state
from shared.messages import Step
from shared.store import tenants
from shared.store.tenants import Tenant, TenantSettings
from tests.support.engine_room import EngineRoom
from tests.support.front_door import ROOMY
from tests.support.wire import fresh_card
from workers.pay import pay

THREE_DS: Final = "4000002760003184"
PAGE: Final = "https://shop.example/thanks?from=checkout"


def challenged(room: EngineRoom) -> str:
    """An order whose shopper is away."""
    number = room.locked(fresh_card(THREE_DS))
    pay(room.run, number)
    assert room.state(number) is OrderState.CHALLENGE
    return number


def state_for(room: EngineRoom, number: str, attempt_no: int = 1) -> str:
    return return_state(room.run.keyring, room.seller.shop.tenant_id, number, attempt_no)


def come_back(room: EngineRoom, number: str, query: str, **more: Any) -> TestResponse:
    """What a browser that was sent back is answered."""
    with room.seller.app.test_client() as client:
        return client.get(f"/api/v1/c2a/offer/checkout/{number}/return?{query}", **more)


@pytest.fixture
def rung(room: EngineRoom, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The orders for which the PSP was to be asked."""
    numbers: list[str] = []
    doorbell = type(room.seller.parts.doorbell)
    monkeypatch.setattr(doorbell, "ring", lambda _, step, number, *__: numbers.append(number) if step is Step.LOOK_UP
                        else None)  # fmt: skip
    return numbers


@pytest.fixture
def written(room: EngineRoom) -> Iterator[list[str]]:
    """What the front door wrote into the database for this thread; the engine's own tells of what came before."""
    told: list[str] = []
    mine = threading.get_ident()

    def note(*args: Any) -> None:
        if threading.get_ident() == mine and not args[2].lstrip().startswith("SELECT"):
            told.append(args[2])

    event.listen(room.seller.parts.engine, "before_cursor_execute", note)
    yield told
    event.remove(room.seller.parts.engine, "before_cursor_execute", note)


def row(room: EngineRoom, number: str) -> Any:
    [found] = room.sql("SELECT * FROM orders WHERE tracking_number = :number", number=number)
    return found


def test_a_state_asks_once_and_a_second_use_changes_nothing(room: EngineRoom, rung: list[str]) -> None:
    number = challenged(room)
    redis, counter = room.run.vault.redis, f"polls:{room.seller.shop.tenant_id}:{number}"

    first = come_back(room, number, f"state={state_for(room, number)}")
    after, _ = row(room, number), redis.set(counter, 7)
    again = [come_back(room, number, f"state={state_for(room, number)}") for _ in range(5)]

    assert rung == [number]
    assert row(room, number) == after
    assert redis.get(counter) == b"7", "the count of polls was begun again by the first use alone"
    assert {(one.status_code, one.text) for one in again} == {(first.status_code, first.text)} == {(200, first.text)}


def test_of_many_uses_at_once_one_asks(room: EngineRoom, rung: list[str]) -> None:
    number = challenged(room)

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: come_back(room, number, f"state={state_for(room, number)}"), range(24)))

    assert {one.status_code for one in told} == {200}
    assert rung == [number]


FORGED: Final = {
    "none": "",
    "an empty one": "state=",
    "a cut one": "state={good[:-1]}",
    "one of another order": "state={other}",
    "one of another attempt": "state={other_attempt}",
    "an attempt's number changed": "state=2{good[1:]}",
    "the signature alone": "state={signature}",
    "two, the second good": "state=x&state={good}",
    "a NUL": "state={good}%00",
    "another script's digit": "state=%D9%A1{good[1:]}",
    "half a surrogate": "state=%ED%A0%80",
    "a long one": "state={long}",
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_state_that_was_not_signed_for_this_order_is_refused_and_asks_nobody(
    room: EngineRoom, rung: list[str], written: list[str], forged: str
) -> None:
    number, other = challenged(room), challenged(room)
    good = state_for(room, number)
    values = {
        "good": good,
        "good[:-1]": good[:-1],
        "good[1:]": good[1:],
        "other": state_for(room, other),
        "other_attempt": "1" + state_for(room, number, 2)[1:],
        "signature": good.partition(".")[2],
        "long": quote("1." + "a" * 3_000),
    }
    query = FORGED[forged]
    for name, value in values.items():
        query = query.replace(f"{{{name}}}", value)
    written.clear()

    told = come_back(room, number, query)

    assert told.status_code == 400
    assert number not in told.text
    assert (rung, written) == ([], [])


def test_a_state_of_an_attempt_that_does_not_wait_asks_nobody(room: EngineRoom, rung: list[str]) -> None:
    number = challenged(room)

    assert come_back(room, number, f"state={state_for(room, number, 2)}").status_code == 200

    assert rung == []


def test_a_state_of_an_order_that_ended_asks_nobody(room: EngineRoom, rung: list[str], written: list[str]) -> None:
    number = challenged(room)
    room.sql(
        "UPDATE orders SET state = 'failed', failure = 'CHALLENGE_EXPIRED', finished_at = now(), due_at = NULL,"
        " deadline_at = NULL WHERE tracking_number = :number",
        number=number,
    )
    written.clear()

    assert come_back(room, number, f"state={state_for(room, number)}").status_code == 200
    assert (rung, written) == ([], [])


@pytest.fixture
def page(room: EngineRoom) -> Iterator[None]:
    """The tenant has a page of its own."""
    own = room.seller.shop.tenant_id
    settings = ROOMY.model_copy(update={"return_url": PAGE})
    for each in (settings, ROOMY):
        with room.run.engine.begin() as conn:
            tenants.save(conn, Tenant(own, "A shop", TenantSettings.model_validate(each.model_dump())))
        if each is settings:
            yield


@pytest.mark.parametrize(
    "more",
    [
        "", "&next=https://evil.example", "&returnUrl=https://evil.example/", "&url=//evil.example",
        "&trackingNumber=trk_other", "&redirect_uri=https://shop.example.evil.example",
    ],
)  # fmt: skip
def test_a_shopper_goes_to_the_tenants_page_exactly_whatever_the_address_says(
    room: EngineRoom, page: None, more: str
) -> None:
    number = challenged(room)

    told = come_back(
        room,
        number,
        f"state={state_for(room, number)}{more}",
        headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Referer": "https://evil.example/"},
    )

    assert (told.status_code, told.headers["Location"]) == (303, f"{PAGE}&trackingNumber={number}")
