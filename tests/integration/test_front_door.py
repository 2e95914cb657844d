"""Who may come in and how everything is answered, on real PostgreSQL and Redis (contract section 1)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest
from flask import Blueprint, Response
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from api import auth, limits
from api.envelope import answer
from api.errors import NotAuthenticated
from api.parts import Parts
from api.query import identifier
from shared.config import Settings
from shared.store import keys
from shared.store.engine import create_engine, statements
from shared.store.keys import KeyRole
from tests.support.front_door import Shop, a_shop, opened, parts_for
from tests.support.psp import until
from tests.support.statements import counting

STATUS: Final = f"/api/v1/c2a/offer/checkout/trk_{'0' * 26}/status"
CHECKOUT: Final = "/api/v1/c2a/offer/checkout"


def probe() -> Blueprint:
    """Routes that answer whatever gets through to them."""
    routes = Blueprint("probe", __name__)

    @routes.post("/probe")
    def change() -> Response:
        return answer({"tenant": str(auth.caller().tenant_id)}, code="SUCCESS")

    @routes.get("/probe/<tracking_number>")
    @auth.reads_status
    def read(tracking_number: str) -> Response:
        return answer({"polls": limits.polls(), "of": tracking_number}, code="SUCCESS")

    @routes.get("/ask")
    def ask() -> Response:
        return answer({"c": identifier("c")}, code="SUCCESS")

    return routes


@pytest.fixture
def client(parts: Parts) -> Iterator[FlaskClient]:
    """The real app, new, so that it remembers no key."""
    with opened(parts, probe()) as opened_client:
        yield opened_client


@pytest.fixture(scope="module")
def shop(engine: Engine) -> Shop:
    """A shop with a secret key."""
    return a_shop(engine)


def _revoked(engine: Engine) -> dict[str, str]:
    shop = a_shop(engine)
    with statements(engine) as conn:
        assert keys.revoke(conn, shop.tenant_id, keys.key_id_of(shop.key))
    return shop.headers


def _expired(engine: Engine) -> dict[str, str]:
    shop = a_shop(engine)
    with statements(engine) as conn:
        conn.execute(
            text("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE tenant_id = :of"),
            {"of": shop.tenant_id},
        )
    return shop.headers


NO_ENTRY: Final[dict[str, Any]] = {
    "nothing": lambda shop, engine: {},
    "no key": lambda shop, engine: {"x-tn": shop.headers["x-tn"]},
    "no tenant": lambda shop, engine: {"x-api-key": shop.key},
    "an unknown key": lambda shop, engine: shop.headers | {"x-api-key": f"sk_dev_{'A' * 43}"},
    "a key cut short": lambda shop, engine: shop.headers | {"x-api-key": shop.key[:-1]},
    "a key of another language": lambda shop, engine: shop.headers | {"x-api-key": "sk_dev_\xe9\xff"},
    "another tenant": lambda shop, engine: shop.headers | {"x-tn": str(uuid.uuid4())},
    "another real tenant": lambda shop, engine: shop.headers | {"x-tn": str(a_shop(engine).tenant_id)},
    "the zero tenant": lambda shop, engine: {"x-api-key": "", "x-tn": str(uuid.UUID(int=0))},
    "a tenant in braces": lambda shop, engine: shop.headers | {"x-tn": f"{{{shop.tenant_id}}}"},
    "a revoked key": lambda shop, engine: _revoked(engine),
    "an expired key": lambda shop, engine: _expired(engine),
}


@pytest.mark.parametrize("cause", NO_ENTRY)
def test_whatever_is_wrong_with_the_key_the_answer_is_one(
    client: FlaskClient, shop: Shop, engine: Engine, cause: str
) -> None:
    headers = NO_ENTRY[cause](shop, engine) | {"x-request-id": "one"}

    answers = [client.post("/probe", headers=headers), client.post(CHECKOUT, headers=headers, json={})]

    for told in answers:
        assert told.status_code == 401
        assert told.data == b""
        assert dict(told.headers) == {
            "WWW-Authenticate": "ApiKey",
            "x-request-id": "one",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Length": "0",
        }


def test_every_cause_costs_one_look_up(parts: Parts, shop: Shop, engine: Engine) -> None:
    for cause, headers in NO_ENTRY.items():
        callers = auth.Callers(engine, 60.0)
        sent = headers(shop, engine)
        counted = _statements(engine, callers, sent)
        assert counted == [1, 0], f"{cause}: one statement, then none while it is remembered"


def _statements(engine: Engine, callers: auth.Callers, headers: dict[str, str]) -> list[int]:
    """How many statements the first and the second call with *headers* cost."""
    counted = []
    for _ in range(2):
        with counting(engine) as asked, pytest.raises(NotAuthenticated):
            callers.authenticate(headers.get("x-api-key", ""), headers.get("x-tn", ""))
        counted.append(len(asked))
    return counted


def test_the_tenant_may_be_written_in_capitals(client: FlaskClient, shop: Shop) -> None:
    told = client.post("/probe", headers=shop.headers | {"x-tn": str(shop.tenant_id).upper()})

    assert told.json == {"tenant": str(shop.tenant_id), "status": {"messageCode": "SUCCESS"}}


def test_without_a_mark_a_revoked_key_is_believed_no_longer_than_the_cache_lives(shop: Shop, engine: Engine) -> None:
    now = [0.0]
    callers = auth.Callers(engine, 2.0, clock=lambda: now[0])
    mine = a_shop(engine)
    assert callers.authenticate(mine.key, str(mine.tenant_id)).tenant_id == mine.tenant_id
    with statements(engine) as conn:
        keys.revoke(conn, mine.tenant_id, keys.key_id_of(mine.key))

    now[0] = 1.9
    callers.authenticate(mine.key, str(mine.tenant_id))
    now[0] = 2.0
    with pytest.raises(NotAuthenticated):
        callers.authenticate(mine.key, str(mine.tenant_id))


def test_a_flood_of_keys_does_not_grow_the_cache(shop: Shop, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MOST_REMEMBERED", 8)
    callers = auth.Callers(engine, 60.0)

    for number in range(20):
        with pytest.raises(NotAuthenticated):
            callers.authenticate(f"sk_dev_{number}", str(shop.tenant_id))

    assert len(callers._seen) <= 8


def test_a_publishable_key_reads_a_status_and_nothing_else(client: FlaskClient, engine: Engine) -> None:
    browser = a_shop(engine, role=KeyRole.READ_ONLY)

    assert client.get("/probe/trk_1", headers=browser.headers).status_code == 200
    assert client.get(STATUS, headers=browser.headers).status_code == 404
    changed = client.post(CHECKOUT, headers=browser.headers, json={})
    asked = client.get("/ask?c=1", headers=browser.headers)
    for refused in (changed, asked):
        assert refused.status_code == 403
        assert refused.json is not None
        assert refused.json["status"] == {"messageCode": "FORBIDDEN"}


@pytest.mark.parametrize("prefix", ["/api/v1", "/api"])
@pytest.mark.parametrize("path", ["/c2a/offer/checkout", "/c2a/offer/bundles", "/c2a/customer/payment/methods/add"])
def test_every_route_answers_under_both_prefixes(client: FlaskClient, shop: Shop, prefix: str, path: str) -> None:
    assert client.post(prefix + path, headers=shop.headers, json={}).status_code == 400


UNKNOWN: Final = ("/", "/api", "/api/v2/c2a/offer/checkout", f"{CHECKOUT}/", "//healthz", "/static/x", "/console")


@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_path_is_404_with_or_without_a_key(client: FlaskClient, shop: Shop, path: str) -> None:
    for headers in ({}, shop.headers):
        told = client.get(path, headers=headers)
        assert (told.status_code, told.json) == (404, {"status": {"messageCode": "NOT_FOUND"}})


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_wrong_method_is_405_in_the_envelope(client: FlaskClient, method: str) -> None:
    told = client.open(CHECKOUT, method=method)

    assert (told.status_code, told.headers["Allow"]) == (405, "POST")
    assert told.json == {"status": {"messageCode": "METHOD_NOT_ALLOWED"}}


@pytest.mark.parametrize("given", ["a", "~" * 128, "order 7 / try 2"])
def test_a_request_id_of_the_caller_comes_back(client: FlaskClient, given: str) -> None:
    assert client.get("/healthz", headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "~" * 129, "\xe9", "a\tb"])
def test_any_other_request_id_is_minted_anew(client: FlaskClient, given: str) -> None:
    minted = client.get("/nowhere", headers={"x-request-id": given}).headers["x-request-id"]

    assert re.fullmatch(r"req_[0-9A-Z]{26}", minted)


@pytest.mark.parametrize(
    ("accept", "told"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/clientOutput+Json", "application/clientOutput+Json"),
        ("application/clientoutput+json;q=0.9, */*;q=0.1", "application/clientOutput+Json"),
        ("text/html", "application/json"),
    ],
)
def test_the_media_type_is_the_one_asked_for(client: FlaskClient, shop: Shop, accept: str | None, told: str) -> None:
    headers = shop.headers | ({"Accept": accept} if accept else {})

    assert client.post("/probe", headers=headers).content_type == told
    assert client.post(CHECKOUT, headers=headers, json={}).content_type == told


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"data": b"{}"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"data": b"{}", "content_type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"data": b"{}", "content_type": "application/x-www-form-urlencoded"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"data": b"{}", "content_type": "application/json; charset=utf-16"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"data": b"{}", "content_type": "application/json", "headers": {"Content-Encoding": "gzip"}}, 415, None),
        ({"data": b" " * 65_537, "content_type": "application/json"}, 413, "REQUEST_TOO_LARGE"),
        ({"data": b" " * 65_536, "content_type": "application/json"}, 400, "BAD_REQUEST"),
        ({"data": b"", "content_type": "application/json"}, 400, "BAD_REQUEST"),
        ({"data": b"{", "content_type": "application/json"}, 400, "BAD_REQUEST"),
        ({"data": b"[]", "content_type": "application/json"}, 400, "INVALID_REQUEST"),
        ({"data": b'{"order": NaN}', "content_type": "application/json"}, 400, "INVALID_REQUEST"),
        ({"data": b"{}", "content_type": "Application/JSON; Charset=UTF-8"}, 400, "INVALID_REQUEST"),
    ],
)
def test_a_body_that_is_not_what_we_take_is_refused_by_name(
    client: FlaskClient, shop: Shop, sent: dict[str, Any], status: int, code: str | None
) -> None:
    told = client.post(CHECKOUT, **{**sent, "headers": shop.headers | sent.get("headers", {})})

    assert told.status_code == status
    assert told.json is not None
    assert code is None or told.json["status"] == {"messageCode": code}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "query.c: is required"),
        ("c=", "query.c: is not an identifier"),
        ("c=1&c=1", "query.c: must be given once"),
        ("c=" + "x" * 256, "query.c: is not an identifier"),
        ("c=a%00b", "query.c: is not an identifier"),
        ("c=a%0Ab", "query.c: is not an identifier"),
        ("c=%E2%80%AE", "query.c: is not an identifier"),
    ],
)
def test_a_query_parameter_is_required_once_and_bounded(
    client: FlaskClient, shop: Shop, query: str, message: str
) -> None:
    told = client.get(f"/ask?{query}", headers=shop.headers)

    assert (told.status_code, told.json) == (400, {"message": message, "status": {"messageCode": "INVALID_REQUEST"}})
    assert client.get("/ask?c=cu.00.482", headers=shop.headers).json == {
        "c": "cu.00.482",
        "status": {"messageCode": "SUCCESS"},
    }


def test_without_a_database_a_good_key_is_sent_away_for_a_moment_and_not_for_good(
    parts: Parts, settings: Settings, shop: Shop
) -> None:
    nowhere = settings.model_copy(
        update={"database_url": type(settings.database_url)("postgresql://u:p@127.0.0.1:9/x")}
    )
    engine = create_engine(nowhere)
    away = parts_for(settings, engine, parts.redis)

    with opened(away, probe()) as client:
        told = client.post("/probe", headers=shop.headers)
        ready = until(lambda: ready_once(client, postgres="away", vault="up", broker="up"))
    engine.dispose()

    assert (told.status_code, told.headers["Retry-After"]) == (503, "2")
    assert told.json == {"message": "try again", "status": {"messageCode": "SERVICE_UNAVAILABLE"}}
    assert ready is not None
    assert ready.status_code == 503


def ready_once(client: FlaskClient, **checks: str) -> TestResponse | None:
    """What /readyz says once all its *checks* are so: a probe waits for a slow broker for a moment only."""
    ready = client.get("/readyz")
    return ready if ready.json is not None and ready.json["checks"] == checks else None


def test_ready_means_postgres_and_vault_answer(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": {"messageCode": "SUCCESS"}}
    ready = until(lambda: ready_once(client, postgres="up", vault="up", broker="up"))
    assert ready is not None
    assert ready.status_code == 200
