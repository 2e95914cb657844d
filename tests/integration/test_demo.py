"""Who may open the shop page, what it shows to whom, and that a form of it is one order at most."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote

import pytest
from flask import Flask
from pydantic import SecretStr, ValidationError
from redis import Redis
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from api.app import create_app
from api.parts import Parts
from deploy.stack.seed import demo_catalogue
from shared.config import Mode, Settings
from shared.store import accounts, catalogue, keys
from shared.store.engine import create_engine, statements
from shared.store.keys import KeyRole
from shared.velocity import Shopper
from tests.support.console import said
from tests.support.demo_shop import Visitor
from tests.support.engine_room import EngineRoom
from tests.support.front_door import Shop, a_shop, api_parts
from tests.support.page_policy import check
from tests.support.wire import GOOD_CARD, fresh_card

UNSHOWABLE = ("[" * 1_300, '["a", "b", "\\ud800"]', '["a\\u0000", "b\\u0000", "c\\u0000"]')
NUMBER = re.compile(r"/demo/orders/(trk_\w{26})")


@pytest.fixture
def tenant(room: EngineRoom) -> uuid.UUID:
    """A tenant with something to sell, and an account at a sandbox that runs."""
    tenant_id = a_shop(room.owner).tenant_id
    account = replace(room.account, tenant_id=str(tenant_id), account_id=uuid.uuid4().hex)
    with room.owner.begin() as conn:
        catalogue.replace(conn, tenant_id, [demo_catalogue()])
        accounts.save(conn, room.run.keyring, account)
    return tenant_id


@pytest.fixture
def selling(room: EngineRoom, tenant: uuid.UUID) -> Shop:
    return a_shop(room.owner, tenant)


@pytest.fixture
def watching(room: EngineRoom, tenant: uuid.UUID) -> Shop:
    return a_shop(room.owner, tenant, role=KeyRole.READ_ONLY)


@pytest.fixture
def parts(settings: Settings, vault_url: str, room: EngineRoom) -> Iterator[Parts]:
    """A front door with the rights that the API has, the shop page switched off."""
    with api_parts(settings, vault_url, room.run.keyring) as made:
        yield made


def open_with(parts: Parts, key: str, status_key: str) -> Flask:
    """The front door with the page switched on for these keys."""
    keyed = {"demo_key": SecretStr(key), "demo_status_key": SecretStr(status_key)}
    return create_app(replace(parts, settings=parts.settings.model_copy(update=keyed)))


@pytest.fixture
def app(parts: Parts, selling: Shop, watching: Shop) -> Flask:
    return open_with(parts, selling.key, watching.key)


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor.of(app)


def assert_nobody_serves(app: Flask) -> None:
    """Every address of the page answers as one that never was."""
    client = app.test_client()
    nowhere = client.get("/nowhere")
    assert nowhere.status_code == 404
    number = "trk_01M89PY73E23D3TE4D3MZHNWAV"
    paths = ("/demo", f"/demo/orders/{number}", f"/demo/orders/{number}/panel", "/demo/return", "/demo/files/shop.js")
    answers = [client.get(path) for path in paths]
    answers += [client.post(path, data={"key": "0" * 32}) for path in ("/demo/orders", "/demo/cards/forget")]
    for answer in answers:
        assert (answer.status_code, answer.get_json()) == (404, nowhere.get_json()), answer.request.path
        assert answer.headers.getlist("Set-Cookie") == []


def number_of(answer: TestResponse) -> str:
    """The order a form became."""
    assert answer.status_code == 303, answer.text
    found = NUMBER.fullmatch(answer.location or "")
    assert found is not None
    return found[1]


def orders_of(room: EngineRoom, tenant: uuid.UUID) -> int:
    [(count,)] = room.sql("SELECT count(*) FROM orders WHERE tenant_id = :t", t=tenant)
    return int(str(count))


def test_unless_it_is_switched_on_there_is_no_page(parts: Parts) -> None:
    assert_nobody_serves(create_app(parts))


def test_it_opens_for_a_tenant_whose_accounts_are_all_at_the_sandbox(visitor: Visitor, selling: Shop) -> None:
    page = visitor.get()

    assert page.status_code == 200
    check(dict(page.headers))
    assert selling.key not in page.text
    for name in ("Pro Monthly 14.99 EUR", "Pro Yearly 149.90 EUR", "Team Monthly 49.99 EUR"):
        assert name in said(page)


@pytest.mark.parametrize("enabled", [True, False])
def test_one_account_elsewhere_closes_it_also_one_that_takes_no_payments(
    room: EngineRoom, tenant: uuid.UUID, app: Flask, visitor: Visitor, *, enabled: bool
) -> None:
    form = visitor.form()
    other = replace(room.account, tenant_id=str(tenant), account_id=uuid.uuid4().hex, provider="x", adapter="stripe")
    with room.owner.begin() as conn:
        accounts.save(conn, room.run.keyring, other, enabled=enabled)

    assert_nobody_serves(app)
    assert visitor.send(form).status_code == 404
    assert orders_of(room, tenant) == 0


def test_a_tenant_without_an_account_has_no_page(room: EngineRoom, parts: Parts) -> None:
    shop = a_shop(room.owner)
    assert_nobody_serves(open_with(parts, shop.key, a_shop(room.owner, shop.tenant_id, role=KeyRole.READ_ONLY).key))


Keys = Callable[[Engine, Shop, Shop], tuple[str, str]]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda rows, sells, sees: (a_shop(rows, sells.tenant_id, live=True).key, sees.key),
        lambda rows, sells, sees: (sells.key, a_shop(rows, sells.tenant_id, role=KeyRole.READ_ONLY, live=True).key),
        lambda rows, sells, sees: (a_shop(rows, sells.tenant_id, role=KeyRole.OPERATOR).key, sees.key),
        lambda rows, sells, sees: (sells.key, sells.key),
        lambda rows, sells, sees: (sees.key, sees.key),
        lambda rows, sells, sees: (sells.key, a_shop(rows, role=KeyRole.READ_ONLY).key),
        lambda rows, sells, sees: ("sk_dev_nobody", sees.key),
        lambda rows, sells, sees: (sells.key, ""),
    ],
    ids=["live", "live to watch", "operator's", "secret to watch", "no secret", "two tenants", "unknown", "empty"],
)
def test_no_other_pair_of_keys_opens_it(
    room: EngineRoom, parts: Parts, selling: Shop, watching: Shop, wrong: Keys
) -> None:
    assert_nobody_serves(open_with(parts, *wrong(room.owner, selling, watching)))


def test_it_closes_with_its_key(room: EngineRoom, app: Flask, selling: Shop, visitor: Visitor) -> None:
    assert visitor.get().status_code == 200
    with statements(room.owner) as conn:
        assert keys.revoke(conn, selling.tenant_id, keys.key_id_of(selling.key))

    assert_nobody_serves(app)


@pytest.mark.parametrize("name", ["demo_key", "demo_status_key"])
def test_production_refuses_to_start_with_it(name: str) -> None:
    with pytest.raises(ValidationError, match="not for production") as refused:
        Settings.model_validate({"mode": Mode.PRODUCTION, name: SecretStr("sk_dev_x")})
    assert "sk_dev_x" not in str(refused.value)


def test_an_orders_page_has_the_key_that_may_only_watch_and_no_other(
    visitor: Visitor, selling: Shop, watching: Shop
) -> None:
    number = number_of(visitor.send(visitor.form()))
    page = visitor.get(f"/demo/orders/{number}")

    assert page.status_code == 200
    check(dict(page.headers))
    assert watching.key in page.text
    assert selling.key not in page.text
    assert "Pro Monthly, 14.99 EUR" in said(page)


def test_a_form_without_the_token_of_its_browser_does_nothing(
    room: EngineRoom, tenant: uuid.UUID, app: Flask, visitor: Visitor
) -> None:
    form, stranger = visitor.form(), Visitor.of(app).form()["form_token"]
    for token in ("", "forged", stranger, "\ud800"):
        answer = visitor.send(form, form_token=token.encode("utf-8", "surrogatepass"))
        assert answer.status_code == 403
        check(dict(answer.headers))
    assert Visitor.of(app).send(form).status_code == 403  # The form of one browser, sent by another.
    assert visitor.send(form, key="not ours").status_code == 403
    assert orders_of(room, tenant) == 0


def test_a_form_sent_twice_is_one_order(room: EngineRoom, tenant: uuid.UUID, visitor: Visitor) -> None:
    form = visitor.form()
    first = number_of(visitor.send(form))

    assert number_of(visitor.send(form)) == first
    other = visitor.send(form, item="it.00.43")

    assert other.status_code == 409
    assert "This form was sent before" in said(other)
    assert orders_of(room, tenant) == 1


def test_what_was_ordered_last_is_remembered_for_its_own_browser_however_it_was_forged(visitor: Visitor) -> None:
    for forged in ("", "x", "[1]", '["a"]', '["//evil.test", "<b>", "<script>alert(1)</script>"]', *UNSHOWABLE):
        visitor.client.set_cookie("c2a_demo_last", quote(forged), path="/demo")
        page = visitor.get()
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert 'href="//' not in page.text


def test_an_offer_of_somebody_else_is_not_sold_and_a_fresh_one_is_shown(app: Flask, visitor: Visitor) -> None:
    answer = visitor.send(visitor.form(), offer=Visitor.of(app).form()["offer"])

    assert answer.status_code == 409
    assert "Our prices were renewed" in said(answer)
    assert "Pro Monthly 14.99 EUR" in said(answer)


@pytest.mark.parametrize(
    "typed",
    [{"number": "4111 1111 1111 1112"}, {"cvc": "1"}, {"number": ""}, {"holder": ""}, {"month": "13"}, {"year": "x"}],
)
def test_a_card_that_cannot_be_right_is_said_to_be_and_never_shown_again(
    room: EngineRoom, tenant: uuid.UUID, visitor: Visitor, typed: dict[str, str]
) -> None:
    answer = visitor.send(visitor.form() | {"holder": "Somebody Else"}, **typed)

    assert answer.status_code == 400
    assert "Please look at your card again" in said(answer)
    shown = [given for given in (*typed.values(), "Somebody Else") if len(given) > 2]
    assert [given for given in shown if given in answer.text] == []
    assert orders_of(room, tenant) == 0


def test_a_stored_card_is_its_visitors_alone(
    room: EngineRoom, tenant: uuid.UUID, app: Flask, selling: Shop, visitor: Visitor
) -> None:
    stranger = Visitor.of(app)
    form, others = visitor.form(), stranger.form()
    added = app.test_client().post(
        "/api/v1/c2a/customer/payment/methods/add",
        json={"customerUrn": visitor.customer, "paymentMethod": fresh_card()},
        headers=selling.headers,
    )
    urn = added.get_json()["result"]["paymentMethodUrn"]

    assert "VISA ending in 1111" in visitor.text()
    assert "ending in 1111" not in stranger.text()
    refused = stranger.send(others, method=urn)
    assert refused.status_code == 409
    assert "This stored card cannot be used" in said(refused)
    assert stranger.forget(urn).status_code == 303
    assert "VISA ending in 1111" in visitor.text()
    number_of(visitor.send(form, method=urn))
    assert orders_of(room, tenant) == 1
    assert visitor.forget(urn).status_code == 303
    assert "ending in 1111" not in visitor.text()


def test_who_was_declined_too_often_is_told_so(tenant: uuid.UUID, parts: Parts, visitor: Visitor) -> None:
    form = visitor.form()
    for n in range(parts.settings.declines_per_customer):
        parts.velocity.count(Shopper(tenant, visitor.customer), f"try {n}")

    answer = visitor.send(form)

    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert "Too many tries" in said(answer)


@contextmanager
def without_vault(parts: Parts) -> Iterator[Parts]:
    with Redis(host="127.0.0.1", port=9) as nobody:  # Nobody listens on the discard port.
        made = replace(parts, redis=nobody)
        yield made
        made.doorbell.close()


def test_an_order_nobody_answered_is_sent_again_by_the_same_form(
    room: EngineRoom, tenant: uuid.UUID, parts: Parts, app: Flask, selling: Shop, watching: Shop, visitor: Visitor
) -> None:
    form = visitor.form()
    with without_vault(parts) as deaf:
        elsewhere = Visitor.of(open_with(deaf, selling.key, watching.key))
        cookie = visitor.client.get_cookie("c2a_demo", path="/demo")
        assert cookie is not None
        elsewhere.client.set_cookie("c2a_demo", cookie.value, path="/demo")
        lost = elsewhere.send(form)
    assert lost.status_code == 503
    assert "Load this page again: that sends the very same order" in said(lost)
    assert GOOD_CARD not in lost.text

    number_of(visitor.send(form))

    assert orders_of(room, tenant) == 1


def test_while_the_database_is_away_the_page_asks_to_come_back(
    parts: Parts, settings: Settings, selling: Shop, watching: Shop
) -> None:
    away = create_engine(settings.model_copy(update={"database_url": SecretStr("postgresql://127.0.0.1:9/c2a")}))
    page = Visitor.of(open_with(replace(parts, engine=away), selling.key, watching.key)).get()
    away.dispose()

    assert page.status_code == 503
    assert int(page.headers["Retry-After"]) > 0
    assert "Load the page again in a moment" in said(page)
    check(dict(page.headers))


@pytest.mark.parametrize("number", ["trk_01M89PY73E23D3TE4D3MZHNWAV", "nonsense"])
def test_an_order_that_is_not_there_is_a_page_that_says_so(visitor: Visitor, number: str) -> None:
    for path in (f"/demo/orders/{number}", f"/demo/orders/{number}/panel"):
        page = visitor.get(path)
        assert page.status_code == 404
        assert "No such order" in said(page)
        check(dict(page.headers))


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("?trackingNumber=trk_01M89PY73E23D3TE4D3MZHNWAV", "/demo/orders/trk_01M89PY73E23D3TE4D3MZHNWAV"),
        ("?trackingNumber=//evil.test", "/demo"),
        ("", "/demo"),
    ],
)
def test_the_way_back_from_the_bank_leads_to_the_orders_page(visitor: Visitor, query: str, where: str) -> None:
    answer = visitor.get(f"/demo/return{query}")
    assert (answer.status_code, answer.location) == (303, where)


def test_the_cookies_are_for_this_site_alone_and_hidden_from_scripts(app: Flask, visitor: Visitor) -> None:
    sent = visitor.get().headers.getlist("Set-Cookie") + visitor.send(visitor.form()).headers.getlist("Set-Cookie")
    assert {one.partition("=")[0] for one in sent} == {"c2a_demo", "c2a_demo_last"}
    for one in sent:
        assert one.endswith("HttpOnly; Path=/demo; SameSite=Lax")


def test_behind_tls_the_cookies_travel_over_tls_alone(parts: Parts, selling: Shop, watching: Shop) -> None:
    settings = parts.settings.model_copy(update={"public_url": "https://shop.test"})
    page = Visitor.of(open_with(replace(parts, settings=settings), selling.key, watching.key)).get()
    assert "; Secure; HttpOnly" in page.headers["Set-Cookie"]


def test_what_the_page_loads_and_nothing_else_is_served(visitor: Visitor) -> None:
    for name in ("shop.css", "shop.js", "icon.svg"):
        file = visitor.get(f"/demo/files/{name}")
        assert file.status_code == 200
        file.close()
    for name in ("nobody.css", "..%2fshop.py", "../shop.py"):
        assert visitor.get(f"/demo/files/{name}").status_code == 404
