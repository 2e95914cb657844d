"""Who gets into the console, how long they stay, and what a form of somebody else's comes to."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import Engine

from api.app import create_app
from api.ops import sessions
from api.parts import Parts
from shared.config import Mode
from shared.domain.states import OrderState
from shared.store import keys, orders
from shared.store.engine import statements
from shared.store.keys import KeyRole
from tests.support.console import log_in, logged_in, said, token_of
from tests.support.front_door import Shop, a_shop
from tests.support.order_rows import an_order
from tests.support.page_policy import check

COOKIE = "c2a_ops"


@pytest.fixture
def app(parts: Parts) -> Flask:
    return create_app(parts)


@pytest.fixture(scope="module")
def operator(engine: Engine) -> Shop:
    return a_shop(engine, role=KeyRole.OPERATOR)


def kept(parts: Parts) -> dict[bytes, bytes]:
    """What the volatile Redis knows of sessions."""
    return {place: parts.redis.get(place) for place in parts.redis.scan_iter(match="ops:*")}  # type: ignore[misc]


def test_the_cookie_is_for_this_host_and_no_script(app: Flask, operator: Shop) -> None:
    _, answer = log_in(app, operator.key)
    [cookie] = [one for one in answer.headers.getlist("Set-Cookie") if one.startswith(f"{COOKIE}=")]
    told = {part.strip() for part in cookie.split(";")[1:]}
    assert told == {"HttpOnly", "SameSite=Strict", "Path=/"}
    assert answer.location == "/ops"


def test_in_production_the_cookie_travels_over_tls_alone_and_a_development_key_opens_nothing(
    parts: Parts, engine: Engine, operator: Shop
) -> None:
    settings = parts.settings.model_copy(update={"mode": Mode.PRODUCTION})
    app = create_app(Parts(settings, parts.engine, parts.redis, parts.keyring, parts.clock))
    live = a_shop(engine, role=KeyRole.OPERATOR, live=True)
    client = app.test_client()
    page = client.get("/ops/login", base_url="https://shop.test")
    for key, status in ((operator.key, 403), (live.key, 303)):
        form = {"form_token": token_of(page), "key": key, "name": "Ana"}
        answer = client.post("/ops/login", data=form, base_url="https://shop.test")
        assert answer.status_code == status
        page = answer if status == 403 else page
    cookies = [one for one in answer.headers.getlist("Set-Cookie") if one.startswith("__Host-c2a_ops=")]
    assert len(cookies) == 1
    assert "; Secure; HttpOnly; Path=/; SameSite=Strict" in cookies[0]


@pytest.mark.parametrize("role", [KeyRole.STOREFRONT, KeyRole.READ_ONLY, None])
def test_every_key_that_is_no_operators_is_answered_alike(app: Flask, engine: Engine, role: KeyRole | None) -> None:
    key = "sk_dev_nobody" if role is None else a_shop(engine, role=role).key
    console, answer = log_in(app, key)
    assert answer.status_code == 403
    assert "This key does not open the console." in said(answer)
    assert key not in answer.text
    assert console.get("/ops").status_code == 303


def test_neither_the_key_nor_the_cookie_is_kept(app: Flask, parts: Parts, operator: Shop) -> None:
    parts.redis.flushdb()
    console = logged_in(app, operator.key)
    cookie = console.client.get_cookie(COOKIE)
    assert cookie is not None
    [(place, value)] = kept(parts).items()
    for secret in (operator.key, cookie.value):
        assert secret.encode() not in place + value
    for page in (console.get("/ops"), console.get("/ops/orders")):
        check(dict(page.headers))
        assert operator.key not in page.text
        assert cookie.value not in page.text


def test_without_a_session_every_page_leads_to_the_login_and_back(app: Flask, operator: Shop) -> None:
    answer = app.test_client().get("/ops/orders", query_string={"state": "stuck"})
    assert (answer.status_code, answer.location) == (303, "/ops/login?next=/ops/orders%3Fstate%3Dstuck")
    assert app.test_client().get("/ops/live").status_code == 401
    _, answer = log_in(app, operator.key, next="/ops/orders?state=stuck")
    assert answer.location == "/ops/orders?state=stuck"


@pytest.mark.parametrize("where", ["https://evil.test/ops", "//evil.test", "/ops/../api", "/ops\\@evil.test", "/opsx"])
def test_the_way_back_leads_to_no_other_place(app: Flask, operator: Shop, where: str) -> None:
    _, answer = log_in(app, operator.key, next=where)
    assert answer.location == "/ops"


def test_logged_out_is_logged_out_whoever_still_has_the_cookie(app: Flask, operator: Shop) -> None:
    console = logged_in(app, operator.key)
    cookie = console.client.get_cookie(COOKIE)
    assert cookie is not None
    assert console.client.post("/ops/logout", data={"form_token": console.token()}).location == "/ops/login"
    thief = app.test_client()
    thief.set_cookie(COOKIE, cookie.value)
    assert thief.get("/ops").status_code == 303


def test_a_session_ends_with_its_key(app: Flask, engine: Engine) -> None:
    shop = a_shop(engine, role=KeyRole.OPERATOR)
    console = logged_in(app, shop.key)
    with statements(engine) as conn:
        assert keys.revoke(conn, shop.tenant_id, keys.key_id_of(shop.key))
    assert console.get("/ops").status_code == 303


def test_a_session_ends_unused_and_a_page_that_refreshes_itself_is_no_use(
    app: Flask, parts: Parts, operator: Shop
) -> None:
    parts.redis.flushdb()
    console = logged_in(app, operator.key)
    [place] = kept(parts)
    assert 0 < parts.redis.ttl(place) <= sessions.IDLE.total_seconds()
    parts.redis.expire(place, 60)
    assert console.get("/ops/live").status_code == 200
    assert parts.redis.ttl(place) <= 60
    assert console.get("/ops").status_code == 200
    assert parts.redis.ttl(place) > 60


def test_a_session_lasts_no_longer_than_a_shift(parts: Parts, operator: Shop) -> None:
    now = parts.clock()
    token = sessions.begin(parts.redis, operator.key, "Ana", now)
    nearly = now + sessions.LIFE - timedelta(seconds=1)
    assert sessions.find(parts.redis, token, nearly, renew=True) is not None
    assert sessions.find(parts.redis, token, now + sessions.LIFE, renew=True) is None


@pytest.mark.parametrize("token", ["", "forged", None])
def test_a_form_without_the_sessions_token_does_nothing(
    app: Flask, engine: Engine, operator: Shop, token: str | None
) -> None:
    """Also with the token of somebody else's session."""
    order = an_order(engine, OrderState.ADMITTED, tenant_id=operator.tenant_id)
    mine, other = logged_in(app, operator.key), logged_in(app, operator.key)
    forged = other.token() if token is None else token
    answer = mine.act(order.tracking_number, "cancel", form_token=forged)
    assert answer.status_code == 403
    assert "Nothing was done" in said(answer)
    with statements(engine) as conn:
        found = orders.get(conn, order.tracking_number)
    assert found is not None
    assert found.state is OrderState.ADMITTED


def test_a_login_form_of_another_site_logs_nobody_in(app: Flask, operator: Shop) -> None:
    form = {"form_token": "theirs", "key": operator.key, "name": "Ana"}
    assert app.test_client().post("/ops/login", data=form).status_code == 403


@pytest.mark.parametrize("name", ["", " ", "A" * 101, "Ana\x07"])
def test_who_gives_no_name_is_not_let_in(app: Flask, operator: Shop, name: str) -> None:
    _, answer = log_in(app, operator.key, name)
    assert answer.status_code == 400


def test_an_operators_session_is_no_key_of_the_api(app: Flask, operator: Shop) -> None:
    console = logged_in(app, operator.key)
    assert (
        console.client.get("/api/v1/c2a/customer/payment/methods/list", query_string={"c": "cu.1"}).status_code == 401
    )


def test_where_sessions_cannot_be_read_a_page_says_so(parts: Parts, operator: Shop) -> None:
    nowhere = Redis(port=9, socket_connect_timeout=1)
    app = create_app(Parts(parts.settings, parts.engine, nowhere, parts.keyring, parts.clock))
    client = app.test_client()
    client.set_cookie(COOKIE, "some")
    answer = client.get("/ops")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "keeps sessions" in said(answer)
    nowhere.close()


def test_the_files_are_served_and_no_other(app: Flask) -> None:
    client = app.test_client()
    for file in ("console.css", "console.js", "icon.svg"):
        with client.get(f"/ops/files/{file}") as answer:
            assert answer.status_code == 200
    for file in ("console.py", "..%2fconsole.py", "x"):
        assert client.get(f"/ops/files/{file}").status_code == 404


def test_the_session_is_json_that_names_no_secret(parts: Parts, operator: Shop) -> None:
    parts.redis.flushdb()
    sessions.begin(parts.redis, operator.key, "Ana", parts.clock())
    [value] = kept(parts).values()
    told = json.loads(value)
    assert told.keys() == {"key_digest", "name", "form_token", "ends_at"}
    assert told["key_digest"] == keys.digest_of(operator.key).hex()
