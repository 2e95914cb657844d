"""The quick way answers as Flask does: the same status, the same headers, the same body, whatever is asked."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from redis import Redis
from sqlalchemy import Engine
from werkzeug.test import Client, TestResponse
from werkzeug.wrappers import Response

from api.app import create_app
from api.follow_up import document_of, result_of
from api.quick import Quick
from shared.config import Settings
from shared.domain.states import CheckoutCode
from shared.store.keys import KeyRole
from shared.store.status import Status
from shared.store.tenants import TenantSettings
from tests.support.front_door import Shop, a_shop, parts_for
from tests.support.selling import Seller, a_seller
from tests.support.wire import Document, a_request, an_order, fresh_card

SUBMIT: Final = "/api/v1/c2a/offer/checkout"
A_SECOND_LATER: Final = 1
UNKNOWN: Final = f"{SUBMIT}/trk_{'0' * 26}/status"


class Doors:
    """One application, by the quick way and by Flask alone; *taken* counts what the quick way answered itself."""

    def __init__(self, seller: Seller) -> None:
        self.seller = seller
        app = create_app(seller.parts)
        quick = app.wsgi_app
        assert isinstance(quick, Quick)
        self.taken = 0
        self._flask = Client(quick.behind, Response)
        self._quick = Client(self._counted(quick), Response)
        self.each = (self._flask, self._quick)

    def _counted(self, quick: Quick) -> Callable[..., Any]:
        behind = quick.behind

        def handed_on(environ: Any, start_response: Any) -> Any:
            self.taken -= 1
            return behind(environ, start_response)

        quick.behind = handed_on

        def call(environ: Any, start_response: Any) -> Any:
            self.taken += 1
            return quick(environ, start_response)

        return call

    def both(self, method: str, path: str, shop: Shop | None = None, **request: Any) -> tuple[TestResponse, ...]:
        """The same request by Flask and by the quick way; the key is known by then."""
        headers = (shop or self.seller.shop).headers | request.pop("headers", {})
        return tuple(door.open(path, method=method, headers=headers, **request) for door in self.each)


@pytest.fixture(scope="module")
def seller(settings: Settings, engine: Engine, vault_url: str) -> Iterator[Seller]:
    with Redis.from_url(vault_url) as redis:
        made = a_seller(parts_for(settings.model_copy(update={"key_cache_s": 600.0}), engine, redis))
        yield made
        made.parts.doorbell.close()


@pytest.fixture(scope="module")
def doors(seller: Seller) -> Doors:
    return Doors(seller)


def told(answer: TestResponse) -> tuple[int, dict[str, str], Any]:
    """What an answer says, but for what no two answers share."""
    own = {"x-request-id", "date", "ratelimit"}
    headers = {name.lower(): _alike(value) for name, value in answer.headers if name.lower() not in own}
    assert answer.headers.get("x-request-id", "").startswith("req_")
    return answer.status_code, headers, json.loads(_alike(answer.text)) if answer.text else None


def _alike(text: str) -> str:
    return re.sub(
        r'"currentRetryAttempt":\d+|"remainingRetryCount":\d+', '"polls":0', re.sub(r"trk_\w{26}", "trk", text)
    )


def same(doors: Doors, answers: tuple[TestResponse, ...], status: int) -> None:
    by_flask, quickly = map(told, answers)
    if status == 429:  # A second may begin between the two.
        waits = [int(headers.pop("retry-after")) for _, headers, _ in (by_flask, quickly)]
        assert 0 <= waits[0] - waits[1] <= A_SECOND_LATER
    assert quickly == by_flask
    assert quickly[0] == status


def test_an_order(doors: Doors) -> None:
    before = doors.taken
    same(doors, doors.both("POST", SUBMIT, json=doors.seller.request()), 202)
    same(doors, doors.both("POST", "/api/c2a/offer/checkout", json=doors.seller.request()), 202)
    assert doors.taken == before + 2


def test_a_repeat(doors: Doors) -> None:
    document = doors.seller.request(correlationId=uuid.uuid4().hex)
    doors.seller.post(document)
    before = doors.taken

    same(doors, doors.both("POST", SUBMIT, json=document), 202)
    assert doors.taken == before + 1


def test_a_poll_and_one_that_finds_nothing_new(doors: Doors) -> None:
    path = f"{SUBMIT}/{doors.seller.accepted()}/status"
    before = doors.taken

    answers = doors.both("GET", path)
    same(doors, answers, 200)
    face = answers[0].headers["ETag"].removeprefix("W/")
    for etag in (f"W/{face}", face, f'"7", W/{face}', "*"):
        same(doors, doors.both("GET", path, headers={"If-None-Match": etag}), 304)
    same(doors, doors.both("GET", path, headers={"If-None-Match": 'W/"another"'}), 200)
    assert doors.taken == before + 6


def test_polls_are_counted_in_one_place(doors: Doors) -> None:
    path = f"{SUBMIT}/{doors.seller.accepted()}/status"

    answers = [one.get_json() for one in doors.both("GET", path)]
    counts = [one["followUpInstructions"]["currentRetryAttempt"] for one in answers]

    assert counts == [1, 2]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"offer": "of_nobodys"}, 409),
        ({"items": []}, 400),
        ({"card": "4111111111111112"}, 400),
        ({"key": "k" * 256}, 400),
    ],
)
def test_what_is_refused(doors: Doors, changed: dict[str, Any], status: int) -> None:
    offer = changed.get("offer") or doors.seller.offer().offer_identifier
    order = an_order(offer, "cu.00.482") | ({"items": []} if "items" in changed else {})
    card = fresh_card()
    card["creditCard"] |= {"cardNumber": changed["card"]} if "card" in changed else {}
    headers = {"Idempotency-Key": changed["key"]} if "key" in changed else {}

    same(doors, doors.both("POST", SUBMIT, json=a_request(order, card), headers=headers), status)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b'{"order":1,"order":2}', {}, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Encoding": "gzip"}, 415),
        (b"{}", {"Content-Type": "application/json; charset=latin1"}, 415),
        (b" " * 65_537, {}, 413),
    ],
)
def test_what_is_no_order(doors: Doors, body: bytes, headers: dict[str, str], status: int) -> None:
    sent = {"Content-Type": "application/json"} | headers
    same(doors, doors.both("POST", SUBMIT, data=body, headers=sent), status)


def test_an_order_nobody_knows(doors: Doors) -> None:
    same(doors, doors.both("GET", UNKNOWN), 404)


def test_another_media_type(doors: Doors) -> None:
    path = f"{SUBMIT}/{doors.seller.accepted()}/status"
    same(doors, doors.both("GET", path, headers={"Accept": "application/clientOutput+Json"}), 200)
    same(doors, doors.both("GET", path, headers={"Accept": "text/html, application/json"}), 200)


def test_another_method(doors: Doors) -> None:
    path = f"{SUBMIT}/{doors.seller.accepted()}/status"
    same(doors, doors.both("HEAD", path), 200)
    same(doors, doors.both("DELETE", path), 405)


def test_a_key_that_may_not(doors: Doors, engine: Engine) -> None:
    shop = a_shop(engine, doors.seller.shop.tenant_id, role=KeyRole.READ_ONLY)
    doors.both("GET", UNKNOWN, shop)
    same(doors, doors.both("POST", SUBMIT, shop, json=doors.seller.request()), 403)


def test_a_tenant_that_is_not_the_keys(doors: Doors) -> None:
    stranger = {"x-tn": str(uuid.uuid4())}
    answers = doors.both("GET", UNKNOWN, headers=stranger)
    assert [(one.status_code, one.data) for one in answers] == [(401, b"")] * 2


def test_a_call_that_is_refused_takes_one_token_by_either_way(doors: Doors, engine: Engine) -> None:
    shop = a_shop(engine, limits=TenantSettings(changes_per_minute=1, changes_burst=4))
    invalid: Document = {"order": {}}
    answers = [one for _ in range(2) for one in doors.both("POST", SUBMIT, shop, json=invalid)]
    left = [one.headers["RateLimit"].split(";")[1] for one in answers]

    assert left == ["r=3", "r=2", "r=1", "r=0"]
    same(doors, doors.both("POST", SUBMIT, shop, json=invalid), 429)


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"order":1,"order":2}', b" " * 65_536])
def test_who_is_over_the_limit_hears_so_whatever_they_send(doors: Doors, engine: Engine, body: bytes) -> None:
    shop = a_shop(engine, limits=TenantSettings(changes_per_minute=1, changes_burst=1))
    sent = {"data": body, "headers": {"Content-Type": "application/json"}}
    by_flask, quickly = doors.both("POST", SUBMIT, shop, **sent)

    assert (by_flask.status_code, quickly.status_code) == (400, 429)
    same(doors, doors.both("POST", SUBMIT, shop, **sent), 429)


def test_the_body_of_who_is_over_the_limit_is_not_read(doors: Doors, engine: Engine) -> None:
    shop = a_shop(engine, limits=TenantSettings(changes_per_minute=1, changes_burst=1))
    doors.both("POST", SUBMIT, shop, json={})
    bodies = [io.BytesIO(b'{"order": 1}') for _ in range(2)]

    for body, door in zip(bodies, doors.each, strict=True):
        headers = shop.headers | {"Content-Type": "application/json"}
        told = door.post(SUBMIT, headers=headers, input_stream=body, content_length=12)
        assert told.status_code == 429
    assert [body.tell() for body in bodies] == [0, 0]


@pytest.mark.parametrize("polls", [0, 1, 29, 31])
@pytest.mark.parametrize(
    "now",
    [
        Status("trk_1", CheckoutCode.PROCESSING, 1, is_final=False, message=None, redirect=None),
        Status("trk_1", CheckoutCode.CHALLENGED, 3, is_final=False, message=None, redirect=None),
        Status(
            "trk_1", CheckoutCode.CHALLENGED, 3, is_final=False, message=None, redirect={"redirectUrl": "https://x"}
        ),
        Status("trk_1", CheckoutCode.DONE, 6, is_final=True, message=None, redirect=None),
        Status("trk_1", CheckoutCode.FAILED, 6, is_final=True, message="CANCELLED", redirect=None),
    ],
    ids=lambda now: f"{now.code}-{bool(now.redirect)}" if isinstance(now, Status) else None,
)
def test_what_is_put_together_by_hand_is_the_published_answer(seller: Seller, now: Status, polls: int) -> None:
    by_hand = json.dumps(document_of(seller.parts, now, polls=polls))
    assert by_hand == json.dumps(result_of(seller.parts, now, polls=polls).wire())
