"""Contract section 1, row by row: what every call has in common, whatever it is about."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest

from shared.store.keys import KeyRole
from shared.store.tenants import TenantSettings
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import Storefront, code_of, new_customer
from tests.support.wire import a_request, an_order, fresh_card

CHECKOUT = "/c2a/offer/checkout"
CLIENT_OUTPUT = "application/clientOutput+Json"
OpenShop = Callable[[str, str], Storefront]


@pytest.fixture
def raw(stack: Stack) -> Iterator[httpx.Client]:
    """A client that sends nothing of its own."""
    with httpx.Client(base_url=stack.base_url, trust_env=False, timeout=10) as client:
        yield client


def send(shop: Storefront, body: bytes, content_type: str = "application/json") -> httpx.Response:
    return shop.call("POST", CHECKOUT, content=body, headers={"content-type": content_type})


def test_links_are_minted_under_v1_whichever_prefix_was_called(shop: Storefront) -> None:
    customer = new_customer()
    order = an_order(shop.offer(customer)["offerIdentifier"], customer)

    answer = shop.submit(a_request(order, fresh_card()), prefix="/api")

    assert answer.headers["location"].startswith(f"{shop.base_url}/api/v1/c2a/offer/checkout/trk_")


@pytest.mark.parametrize(
    "wrong",
    [
        {"x-api-key": None},
        {"x-api-key": ""},
        {"x-api-key": "sk_dev_unknown"},
        {"x-tn": None},
        {"x-tn": "not a uuid"},
        {"x-tn": str(uuid.uuid4())},
        {"x-api-key": None, "x-tn": None},
    ],
    ids=["no key", "empty key", "unknown key", "no tenant", "no uuid", "another tenant", "nothing"],
)
def test_every_cause_of_a_401_gets_the_same_empty_answer(
    stack: Stack, raw: httpx.Client, wrong: dict[str, str | None]
) -> None:
    headers = {name: value for name, value in (stack.headers | wrong).items() if value is not None}

    answer = raw.post(f"/api/v1{CHECKOUT}", json={}, headers=headers)

    assert (answer.status_code, answer.content) == (401, b"")
    told = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
    bare = raw.post(f"/api/v1{CHECKOUT}", json={}).headers.items()
    assert told == {name: value for name, value in bare if name not in ("date", "x-request-id")}


@pytest.mark.parametrize(("role", "live", "prefix"), [
    (KeyRole.STOREFRONT, False, "sk_dev_"),
    (KeyRole.STOREFRONT, True, "sk_live_"),
    (KeyRole.OPERATOR, False, "sk_dev_"),
])  # fmt: skip
def test_every_secret_key_may_order(
    stack: Stack, rows: StackRows, open_shop: OpenShop, role: KeyRole, live: bool, prefix: str
) -> None:
    key = rows.new_key(role, live=live)
    assert key.startswith(prefix)

    shop = open_shop(stack.tenant, key)

    assert shop.order(fresh_card()).startswith("trk_")


@pytest.mark.parametrize("live", [False, True])
def test_a_publishable_key_may_read_a_status_and_nothing_else(
    stack: Stack, shop: Storefront, rows: StackRows, open_shop: OpenShop, live: bool
) -> None:
    key = rows.new_key(KeyRole.READ_ONLY, live=live)
    assert key.startswith("pk_live_" if live else "pk_dev_")
    reader = open_shop(stack.tenant, key)

    tracking_number = shop.order(fresh_card())

    assert reader.poll(tracking_number).status_code == 200
    for method, path in (
        ("POST", CHECKOUT),
        ("POST", "/c2a/offer/bundles"),
        ("POST", "/c2a/offer/showcase"),
        ("POST", "/c2a/customer/payment/methods/add"),
        ("GET", "/c2a/customer/payment/methods/list?c=cu.00.482"),
        ("DELETE", "/c2a/customer/payment/methods/delete?p=pm.00.482.1"),
    ):
        refused = reader.call(method, path)
        assert (refused.status_code, code_of(refused.json())) == (403, "FORBIDDEN"), path


@pytest.mark.parametrize(("content_type", "expected"), [
    ("text/plain", "UNSUPPORTED_MEDIA_TYPE"),
    ("application/x-www-form-urlencoded", "UNSUPPORTED_MEDIA_TYPE"),
    ("application/json; charset=utf-16", "UNSUPPORTED_MEDIA_TYPE"),
])  # fmt: skip
def test_only_json_is_read(shop: Storefront, content_type: str, expected: str) -> None:
    answer = send(shop, b"{}", content_type)

    assert (answer.status_code, code_of(answer.json())) == (415, expected)


def test_a_body_over_64_kib_is_refused_however_it_is_framed(shop: Storefront) -> None:
    large = b'{"a": "' + b"x" * 65_536 + b'"}'

    def in_chunks() -> Iterator[bytes]:
        yield from (large[start : start + 4096] for start in range(0, len(large), 4096))

    whole = send(shop, large)
    chunked = shop.call("POST", CHECKOUT, content=in_chunks(), headers={"content-type": "application/json"})

    for answer in (whole, chunked):
        assert (answer.status_code, code_of(answer.json())) == (413, "REQUEST_TOO_LARGE")


@pytest.mark.parametrize(("body", "code"), [
    (b"", "BAD_REQUEST"),
    (b"order", "BAD_REQUEST"),
    (b'{"order": ', "BAD_REQUEST"),
    (b'{"order": {}, "order": {}}', "INVALID_REQUEST"),
    (b'{"order": NaN}', "INVALID_REQUEST"),
    (b'{"order": Infinity}', "INVALID_REQUEST"),
    (b'{"order": "\\u0000"}', "INVALID_REQUEST"),
    (b'{"order": "\\ud800"}', "INVALID_REQUEST"),
    (b"[" * 17 + b"]" * 17, "INVALID_REQUEST"),
    (b"[" * 30_000 + b"]" * 30_000, "INVALID_REQUEST"),
    (b"[]", "INVALID_REQUEST"),
    (b"{}", "INVALID_REQUEST"),
])  # fmt: skip
def test_json_we_do_not_take_is_a_400(shop: Storefront, body: bytes, code: str) -> None:
    answer = send(shop, body)

    assert (answer.status_code, code_of(answer.json())) == (400, code)


@pytest.mark.parametrize(("accept", "expected"), [
    ("application/json", "application/json"),
    ("*/*", "application/json"),
    (CLIENT_OUTPUT, CLIENT_OUTPUT),
    (f"{CLIENT_OUTPUT}, application/json;q=0.5", CLIENT_OUTPUT),
])  # fmt: skip
def test_answers_come_in_the_media_type_that_was_asked_for(shop: Storefront, accept: str, expected: str) -> None:
    good = shop.call("POST", "/c2a/offer/showcase", json={"context": {}}, headers={"accept": accept})
    bad = shop.call("POST", CHECKOUT, json={}, headers={"accept": accept})

    assert good.headers["content-type"] == expected
    assert bad.headers["content-type"] == expected


def test_a_request_id_is_echoed_when_it_is_printable_and_minted_when_not(shop: Storefront) -> None:
    def told(given: str | None) -> str:
        headers = {} if given is None else {"x-request-id": given}
        return shop.call("POST", CHECKOUT, json={}, headers=headers).headers["x-request-id"]

    assert told("a-callers-own-id") == "a-callers-own-id"
    assert told("x" * 128) == "x" * 128
    assert told(None)
    assert told("x" * 129) not in ("", "x" * 129)
    assert told("tab\tinside") != "tab\tinside"
    assert told(None) != told(None)


def test_an_unknown_path_and_a_wrong_method_speak_the_envelope(shop: Storefront) -> None:
    nowhere = shop.call("GET", "/c2a/offer/nowhere")
    wrong = shop.call("PUT", CHECKOUT, json={})

    assert (nowhere.status_code, code_of(nowhere.json())) == (404, "NOT_FOUND")
    assert (wrong.status_code, code_of(wrong.json())) == (405, "METHOD_NOT_ALLOWED")
    assert "POST" in wrong.headers["allow"]


def test_headers_that_are_too_large_are_refused(shop: Storefront) -> None:
    answer = shop.call("GET", f"{CHECKOUT}/trk_none/status", headers={"x-long": "x" * 20_000})

    assert (answer.status_code, code_of(answer.json())) == (431, "REQUEST_HEADERS_TOO_LARGE")


@pytest.mark.parametrize(("live", "changes", "status"), [(False, 100, 3_000), (True, 1_000, 30_000)])
def test_a_tenant_that_set_nothing_gets_the_default_limits(
    rows: StackRows, open_shop: OpenShop, live: bool, changes: int, status: int
) -> None:
    tenant = rows.new_tenant(TenantSettings())
    shop = open_shop(str(tenant), rows.new_key(KeyRole.STOREFRONT, tenant, live=live))

    assert shop.call("POST", CHECKOUT, json={}).headers["ratelimit-policy"] == f'"changes";q={changes};w=60'
    assert shop.poll("trk_none").headers["ratelimit-policy"] == f'"status";q={status};w=60'


def test_who_calls_too_often_is_told_when_to_come_back_and_may_still_poll(rows: StackRows, open_shop: OpenShop) -> None:
    tenant = rows.new_tenant(TenantSettings(changes_per_minute=6, changes_burst=2))
    shop = open_shop(str(tenant), rows.new_key(KeyRole.STOREFRONT, tenant))

    first, second, third = (shop.call("POST", CHECKOUT, json={}) for _ in range(3))

    assert [answer.status_code for answer in (first, second, third)] == [400, 400, 429]
    assert [answer.headers["ratelimit"].split(";")[1] for answer in (first, second, third)] == ["r=1", "r=0", "r=0"]
    assert code_of(third.json()) == "RATE_LIMITED"
    assert 1 <= int(third.headers["retry-after"]) <= 10
    assert shop.poll("trk_none").status_code == 404


def test_health_needs_no_key(raw: httpx.Client) -> None:
    assert raw.get("/healthz").status_code == 200
    assert raw.get("/readyz").json()["checks"] == {"postgres": "up", "vault": "up", "broker": "up"}
