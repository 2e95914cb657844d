"""What an operator sees and does at the console, by HTTP: for their tenant alone, on the API's own rights."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from flask import Flask
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from api.app import create_app
from api.ops.overview import LONGEST_BELIEVED_S
from shared.config import Settings
from shared.domain.states import OrderState
from shared.psp.port import EventKind, PspEvent
from shared.store import inbox
from shared.store.keys import KeyRole
from tests.support.adyen_room import AdyenRoom
from tests.support.console import Console, logged_in, said, said_of
from tests.support.engine_room import EngineRoom, captured
from tests.support.front_door import a_shop, api_parts
from tests.support.page_policy import check
from tests.support.psp import Sandbox, until
from tests.support.storefront import new_correlation
from workers.pay import pay
from workers.return_money import return_money
from workers.tokenize import tokenize

DECLINED = "4000000000000002"


@dataclass(frozen=True)
class Desk:
    """A room with a console beside it."""

    room: EngineRoom
    app: Flask
    at: Console

    def done(self) -> str:
        """An order that is paid and sold."""
        number = self.room.locked(correlationId=new_correlation())
        assert pay(self.room.run, number)
        tokenize(self.room.run, number)
        assert self.room.state(number) is OrderState.DONE
        return number


@contextmanager
def served(settings: Settings, vault_url: str, room: EngineRoom) -> Iterator[Flask]:
    """The front door with the rights that the API has, and the keys of *room*."""
    with api_parts(settings, vault_url, room.run.keyring) as parts:
        yield create_app(parts)


@pytest.fixture(scope="module")
def app(settings: Settings, vault_url: str, room_of_module: EngineRoom) -> Iterator[Flask]:
    """The front door beside the module's room."""
    with served(settings, vault_url, room_of_module) as made:
        yield made


@pytest.fixture
def desk(app: Flask, room: EngineRoom) -> Desk:
    key = a_shop(room.owner, room.seller.shop.tenant_id, role=KeyRole.OPERATOR).key
    return Desk(room, app, logged_in(app, key))


@pytest.fixture
def stranger(app: Flask, engine: Engine) -> Console:
    """Another tenant's operator."""
    return logged_in(app, a_shop(engine, role=KeyRole.OPERATOR).key)


# The overview.


def test_the_overview_tells_what_waits_what_is_out_and_how_psps_do(desk: Desk) -> None:
    number = desk.room.locked()
    desk.room.sql("UPDATE orders SET parked = true WHERE tracking_number = :n", n=number)
    desk.done()
    page = desk.at.get("/ops")
    check(dict(page.headers))
    text = said(page)
    assert "breaker closed" in text
    assert "1 parked" in text
    assert number in text
    assert "Until a PSP is asked" in text


def test_the_page_asks_for_its_panels_as_one_document(desk: Desk) -> None:
    document = desk.at.live()
    assert set(document["panels"]) == {"orders", "waiting", "times", "psps", "money", "stuck"}
    for name, html in document["panels"].items():
        assert f'id="h-{name}"' in html


def test_the_overview_is_of_ones_own_tenant(desk: Desk, stranger: Console) -> None:
    number = desk.room.locked()
    desk.room.sql("UPDATE orders SET parked = true WHERE tracking_number = :n", n=number)
    text = json.dumps(stranger.live())
    assert number not in text
    assert "sandbox" not in text
    assert "0 on their way" in stranger.text("/ops")


# Finding.


def test_an_order_is_found_by_every_name_it_has(desk: Desk) -> None:
    number = desk.done()
    order, attempt = desk.room.order(number), desk.room.attempt(number)
    for field, value in {
        "number": number,
        "correlation": order.correlation_id,
        "customer": order.customer_urn,
        "reference": attempt.psp_reference,
        "state": "done",
    }.items():
        assert value
        assert number in desk.at.text("/ops/orders", **{field: value})
    assert number not in desk.at.text("/ops/orders", state="failed")
    assert number not in desk.at.text("/ops/orders", until="2020-01-01T00:00", number=number)


def test_pages_follow_each_other_and_repeat_nothing(desk: Desk) -> None:
    made = {desk.room.admitted() for _ in range(52)}
    found: set[str] = set()
    query = {"state": "admitted"}
    for _ in range(3):
        page = desk.at.get("/ops/orders", **query)
        shown = {number for number in made if f"/ops/orders/{number}" in page.text}
        assert not shown & found
        found |= shown
        if "before=" not in page.text:
            break
        query["before"] = page.text.partition("before=")[2].partition('"')[0]
    assert found == made


@pytest.mark.parametrize("asked", [{"state": "gone"}, {"since": "yesterday"}, {"number": "x" * 256}])
def test_what_cannot_be_looked_for_is_said(desk: Desk, asked: dict[str, str]) -> None:
    assert desk.at.get("/ops/orders", **asked).status_code == 400


@pytest.mark.parametrize("number", ["%00", "trk_%00", "trk_01M89PY73E23D3TE4D3MZHNWA%00", "%ff", "a%0ab"])
def test_a_number_that_nobody_mints_is_as_unknown_as_any(desk: Desk, number: str) -> None:
    assert desk.at.get(f"/ops/orders/{number}").status_code == 404
    assert desk.at.act(number, "retry").status_code == 404


@pytest.mark.parametrize(
    "query", ["/ops/orders?number=%00", "/ops/orders?before=a%00", "/ops/webhooks?at=2026-01-31T14:05&after=%00"]
)
def test_a_query_that_no_page_of_ours_asks_is_refused(desk: Desk, query: str) -> None:
    assert desk.at.get(query).status_code == 400


@pytest.mark.parametrize("field", ["number", "provider", "event", "why", "attempt"])
def test_a_form_that_no_page_of_ours_sends_is_refused(desk: Desk, field: str) -> None:
    form = {"form_token": desk.at.token(), "action_id": str(uuid.uuid4()), "why": "it was told twice"}
    form |= {"provider": "sandbox", "event": "evt_1"} | {field: "a\0"}
    assert desk.at.client.post("/ops/webhooks", data=form).status_code == 400


# One order.


def test_an_orders_page_tells_its_story_and_what_may_be_done(desk: Desk) -> None:
    number = desk.done()
    page = desk.at.get(f"/ops/orders/{number}")
    check(dict(page.headers))
    text = said(page)
    for part in (
        "It is done: paid and sold.",
        "The money was captured at sandbox, attempt 1.",
        "Yes: 1499 EUR (minor units) at sandbox, attempt 1 was captured.",
        "14.99 EUR",
        str(desk.room.attempt(number).psp_reference),
        "Not cancel: it is done: its money can be refunded",
        "Refund all",
    ):
        assert part in text
    assert "Jane Doe" not in page.text


def test_an_action_is_done_once_and_recorded_with_who_and_why(desk: Desk, shared_psp: Sandbox) -> None:
    number = desk.done()
    form = {"action_id": "6f1c0f6e-2f7e-4e8e-9a51-1f2e3d4c5b6a", "amount": "5.00"}
    for _ in range(2):
        answer = desk.at.act(number, "refund-part", "one came broken", **form)
        assert answer.status_code == 303
    text = desk.at.text(answer.location.partition("#")[0])
    assert "Refund: begun. 500 EUR (minor units) go back" in text
    # An earlier look is believed for a while.
    until(lambda: "being refunded 5.00 EUR" in said_of(desk.at.live()["panels"]["money"]), seconds=LONGEST_BELIEVED_S)
    [(who, why, what)] = desk.room.sql(
        "SELECT who, why, what FROM operator_actions WHERE tracking_number = :n", n=number
    )
    assert who.startswith("Ana, key ")
    assert (why, what) == ("one came broken", {"amountMinor": 500})
    return_money(desk.room.run, number)
    ours = desk.room.attempt(number).psp_reference
    rows = [one for one in shared_psp.charges(desk.room.account) if one["pspReference"] == ours]
    assert [row["refundedMinor"] for row in rows] == [500]


def test_a_live_order_is_cancelled_and_a_parked_one_unparked(desk: Desk) -> None:
    number = desk.room.locked()
    desk.room.sql("UPDATE orders SET parked = true, crashes = 5 WHERE tracking_number = :n", n=number)
    assert desk.at.act(number, "unpark").status_code == 303
    assert not desk.room.order(number).parked
    assert desk.at.act(number, "cancel").status_code == 303
    order = desk.room.order(number)
    assert (order.state, order.failure) == (OrderState.FAILED, "CANCELLED")


def test_what_is_not_allowed_is_refused_and_recorded(desk: Desk) -> None:
    number = desk.done()
    answer = desk.at.act(number, "cancel")
    assert "Not done: it is done: its money can be refunded." in desk.at.text(answer.location.partition("#")[0])
    assert desk.room.state(number) is OrderState.DONE


@pytest.mark.parametrize("amount", ["", "5.001", "-1", "NaN", "1e400", "all"])
def test_an_amount_that_is_none_does_nothing(desk: Desk, amount: str) -> None:
    number = desk.done()
    answer = desk.at.act(number, "refund-part", amount=amount)
    assert answer.status_code == 400
    assert "amount: say it as 5.00" in said(answer)
    assert desk.room.sql("SELECT 1 FROM operator_actions WHERE tracking_number = :n", n=number) == []


def test_without_why_nothing_is_done(desk: Desk) -> None:
    number = desk.room.locked()
    answer = desk.at.act(number, "cancel", why=" ")
    assert answer.status_code == 400
    assert "why: say it" in said(answer)
    assert desk.room.state(number) is OrderState.OFFER_LOCKED


def test_another_tenants_order_is_as_unknown_as_none(desk: Desk, stranger: Console) -> None:
    number, nobodys = desk.room.locked(), "trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA"
    for action in ("retry", "cancel", "refund", "replay", "unpark"):
        theirs, none = stranger.act(number, action), stranger.act(nobodys, action)
        assert (theirs.status_code, said(theirs)) == (none.status_code, said(none)) == (404, said(none))
    assert said(stranger.get(f"/ops/orders/{number}")) == said(stranger.get(f"/ops/orders/{nobodys}"))
    assert number not in stranger.text("/ops/orders", state="offer_locked")
    assert desk.room.sql("SELECT 1 FROM operator_actions WHERE tracking_number = :n", n=number) == []


def test_what_somebody_else_wrote_is_shown_and_never_run(desk: Desk) -> None:
    number = desk.room.admitted(correlationId="<script>alert(1)</script>")
    for page in (desk.at.get(f"/ops/orders/{number}"), desk.at.get("/ops/orders", number=number)):
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert(1)" in page.text


# Webhooks.


def parked_webhook(desk: Desk, psp: Sandbox, *, psp_key: bool = True) -> tuple[str, str]:
    """An order whose charge nobody told us of, and a webhook that does, kept and not settled."""
    number = desk.room.locked()
    psp.set_faults(next=[{"kind": "http500After", "on": "charge"}])
    pay(desk.room.run, number)
    attempt = desk.room.attempt(number)
    [row] = [one for one in psp.charges(desk.room.account) if one["merchantReference"] == number]
    key = attempt.psp_key if psp_key else None
    event = PspEvent(f"evt_{number}", EventKind.CHARGE, None, key, captured(attempt, row["pspReference"]))
    with desk.room.run.engine.begin() as conn:
        inbox.keep(conn, desk.room.run.keyring, desk.room.seller.shop.tenant_id, "sandbox", event)
    return number, event.event_id


def test_a_parked_webhook_is_replayed_from_its_orders_page(desk: Desk, shared_psp: Sandbox) -> None:
    number, event = parked_webhook(desk, shared_psp)
    assert "Replay this webhook" in desk.at.text(f"/ops/orders/{number}")

    answer = desk.at.act(number, "replay", provider="sandbox", event=event)

    assert answer.status_code == 303
    assert "Settled: the order is captured." in desk.at.text(answer.location.partition("#")[0])
    assert desk.room.state(number) is OrderState.CAPTURED
    again = desk.at.act(number, "replay", provider="sandbox", event=event)
    assert "it was settled and had its effect" in desk.at.text(again.location.partition("#")[0])


def test_a_webhook_that_names_nobody_is_settled_for_the_order_an_operator_names(
    desk: Desk, stranger: Console, shared_psp: Sandbox
) -> None:
    number, event = parked_webhook(desk, shared_psp, psp_key=False)
    assert event in desk.at.text("/ops/webhooks")
    assert event not in stranger.text("/ops/webhooks")

    def send(at: Console, **more: str) -> TestResponse:
        form = {"form_token": at.token(), "action_id": str(uuid.uuid4()), "why": "the PSP's console names it"}
        return at.client.post("/ops/webhooks", data=form | {"provider": "sandbox", "event": event} | more)

    assert send(stranger).status_code == 404
    assert send(desk.at, attempt="1").status_code == 400
    refused = send(desk.at)
    assert "Not done: no attempt of ours is known for it" in desk.at.text(refused.location.partition("#")[0])
    assert send(desk.at, number=number).location.startswith(f"/ops/orders/{number}?did=")
    assert desk.room.state(number) is OrderState.CAPTURED


# What only a person can know.


def test_what_the_psps_own_console_shows_is_entered_where_we_cannot_ask(
    settings: Settings, vault_url: str, adyen: AdyenRoom
) -> None:
    room, number = adyen.room, adyen.unanswered()
    [payment] = adyen.payments(number)
    with served(settings, vault_url, room) as app:
        at = logged_in(app, a_shop(room.owner, room.seller.shop.tenant_id, role=KeyRole.OPERATOR).key)
        assert "Say what the PSP knows" in at.text(f"/ops/orders/{number}")
        for wrong in ({"verdict": "perhaps"}, {"verdict": "captured", "reference": "x" * 256}):
            assert at.act(number, "prove", **wrong).status_code == 400
        assert room.state(number) is OrderState.CONFIRMING
        answer = at.act(number, "prove", "seen there", verdict="captured", reference=payment.psp_reference)
        assert "Settled as captured" in at.text(answer.location.partition("#")[0])
    assert room.state(number) is OrderState.CAPTURED
