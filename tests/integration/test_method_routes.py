"""The six routes of stored payment methods, against the real sandbox PSP (contract section 5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from api.parts import Parts
from shared.psp.port import Channel
from shared.psp.traffic.gate import Ended, gate_of
from shared.psp.traffic.lane import PspLane
from shared.psp.traffic.scripts import End
from shared.psp.traffic.terms import terms_of
from shared.psp.traffic.turns import Turns
from shared.store import accounts, customers, methods
from shared.store.engine import statements
from tests.support.front_door import Shop, a_shop, opened
from tests.support.psp import Sandbox, sandbox

BASE: Final = "/api/v1/c2a/customer/payment/methods"
NEXT_YEAR: Final = str(datetime.now(UTC).year + 1)
VISA: Final = "4111111111111111"
MASTERCARD: Final = "5555555555554444"
DECLINED: Final = "4000000000009995"  # insufficient_funds, in the sandbox's table.


def a_card(number: str = VISA, **replaced: Any) -> dict[str, Any]:
    """The published card, good for another year."""
    return {
        "cardHolderName": "Jane Doe",
        "cardNumber": number,
        "expireYear": NEXT_YEAR,
        "expireMonth": "12",
        "cvc": "123",
        "cardAlias": "Personal Visa",
    } | replaced


def an_add(card: dict[str, Any] | None = None, customer: str = "cu.00.482", **payment: Any) -> dict[str, Any]:
    """The body of an add call."""
    method = {"paymentChannel": "CreditCard", "creditCard": a_card() if card is None else card} | payment
    return {"customerUrn": customer, "paymentMethod": method}


@pytest.fixture(scope="module")
def psp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The sandbox PSP."""
    with sandbox(Path(tmp_path_factory.mktemp("psp")) / "ledger.jsonl") as running:
        yield running


@pytest.fixture(autouse=True)
def _healed(psp: Sandbox) -> None:
    psp.heal()


@pytest.fixture(scope="module")
def client(parts: Parts) -> Iterator[FlaskClient]:
    """The front door."""
    with opened(parts) as opened_client:
        yield opened_client


@pytest.fixture
def shop(engine: Engine, parts: Parts, psp: Sandbox) -> Shop:
    """A new tenant with an account at the sandbox."""
    shop = a_shop(engine)
    with engine.begin() as conn:
        accounts.save(conn, parts.keyring, replace(psp.account(), tenant_id=str(shop.tenant_id)))
    return shop


def add(client: FlaskClient, shop: Shop, document: dict[str, Any] | None = None) -> TestResponse:
    """Add a method."""
    return client.post(f"{BASE}/add", json=an_add() if document is None else document, headers=shop.headers)


def call(client: FlaskClient, shop: Shop, verb: str, route: str, **query: str) -> TestResponse:
    """One of the other five."""
    return client.open(f"{BASE}/{route}", method=verb, query_string=query, headers=shop.headers)


OF_ONE: Final = (("GET", "info"), ("POST", "activate"), ("POST", "inactivate"), ("DELETE", "delete"))


def code(answer: TestResponse) -> tuple[int, str]:
    """Status and code of an answer that has no result."""
    document = answer.get_json()
    assert document["result"] is None
    return answer.status_code, document["status"]["messageCode"]


def test_a_card_is_kept_and_answered_in_full(client: FlaskClient, shop: Shop) -> None:
    answer = add(client, shop)

    document = answer.get_json()
    assert answer.status_code == 200
    assert document["status"] == {"messageCode": "SUCCESS"}
    stored_at = datetime.fromisoformat(document["result"].pop("storedAt"))
    assert abs((datetime.now(UTC) - stored_at).total_seconds()) < 60
    assert document["result"] == {
        "paymentMethodUrn": "pm.00.482.1",
        "customerUrn": "cu.00.482",
        "paymentChannel": "CreditCard",
        "maskedCardNumber": "411111******1111",
        "cardType": "VISA",
        "expireMonth": "12",
        "expireYear": NEXT_YEAR,
        "cardAlias": "Personal Visa",
        "state": "Active",
    }


def test_aliases_say_the_same_as_long_names(client: FlaskClient, shop: Shop) -> None:
    card = {"CHN": "Jane Doe", "CN": MASTERCARD, "EY": NEXT_YEAR, "EM": "12", "CVC": "123", "CA": "Work"}
    answer = add(client, shop, {"customerUrn": "cu.1", "paymentMethod": {"TP": "CreditCard", "CC": card}})

    result = answer.get_json()["result"]
    assert (result["maskedCardNumber"], result["cardType"], result["cardAlias"]) == (
        "555555******4444",
        "MASTERCARD",
        "Work",
    )


def test_both_prefixes_answer_alike(client: FlaskClient, shop: Shop) -> None:
    add(client, shop)

    alike = [
        client.get(f"{prefix}/c2a/customer/payment/methods/list?c=cu.00.482", headers=shop.headers).get_json()
        for prefix in ("/api/v1", "/api")
    ]
    assert alike[0] == alike[1]


def test_the_same_card_twice_makes_two_methods(client: FlaskClient, shop: Shop) -> None:
    urns = [add(client, shop).get_json()["result"]["paymentMethodUrn"] for _ in range(2)]

    assert urns == ["pm.00.482.1", "pm.00.482.2"]


def test_the_list_tells_five_things_of_each_method(client: FlaskClient, shop: Shop) -> None:
    add(client, shop)
    add(client, shop, an_add(a_card(MASTERCARD)))
    add(client, shop, an_add(customer="cu.other"))

    answer = call(client, shop, "GET", "list", c="cu.00.482")

    assert answer.get_json() == {
        "status": {"messageCode": "SUCCESS"},
        "result": [
            {
                "paymentMethodUrn": "pm.00.482.2",
                "paymentChannel": "CreditCard",
                "maskedCardNumber": "555555******4444",
                "cardType": "MASTERCARD",
                "state": "Active",
            },
            {
                "paymentMethodUrn": "pm.00.482.1",
                "paymentChannel": "CreditCard",
                "maskedCardNumber": "411111******1111",
                "cardType": "VISA",
                "state": "Active",
            },
        ],
    }


def test_a_customer_without_methods_has_an_empty_list_and_an_unknown_one_none(
    client: FlaskClient, shop: Shop, engine: Engine
) -> None:
    with statements(engine) as conn:
        conn.execute(customers.knowing(shop.tenant_id, "cu.known"))

    assert call(client, shop, "GET", "list", c="cu.known").get_json()["result"] == []
    assert code(call(client, shop, "GET", "list", c="cu.unknown")) == (404, "CUSTOMER_NOT_FOUND")


def test_info_activate_and_inactivate_answer_the_method_as_it_is_then(client: FlaskClient, shop: Shop) -> None:
    """Each may be said twice: the second time changes nothing."""
    added = add(client, shop).get_json()["result"]
    urn = added["paymentMethodUrn"]

    assert call(client, shop, "GET", "info", p=urn).get_json()["result"] == added
    for route, state in (("inactivate", "Inactive"), ("activate", "Active")):
        for _ in range(2):
            answer = call(client, shop, "POST", route, p=urn)
            assert (answer.status_code, answer.get_json()["result"]) == (200, added | {"state": state})
            assert call(client, shop, "GET", "info", p=urn).get_json()["result"]["state"] == state


def test_a_deleted_method_is_gone_here_and_at_the_psp(
    client: FlaskClient, shop: Shop, parts: Parts, engine: Engine, psp: Sandbox
) -> None:
    urn = add(client, shop).get_json()["result"]["paymentMethodUrn"]
    with statements(engine) as conn:
        token = methods.token_of(conn, parts.keyring, shop.tenant_id, urn)
        account = accounts.get(conn, parts.keyring, shop.tenant_id, "sandbox")
    assert token is not None
    assert account is not None

    answer = call(client, shop, "DELETE", "delete", p=urn)

    assert (answer.status_code, answer.get_json()["result"]["state"]) == (200, "Deleted")
    assert code(call(client, shop, "DELETE", "delete", p=urn)) == (404, "PAYMENT_METHOD_NOT_FOUND")
    for verb, route in OF_ONE:
        assert code(call(client, shop, verb, route, p=urn)) == (404, "PAYMENT_METHOD_NOT_FOUND")
    assert call(client, shop, "GET", "list", c="cu.00.482").get_json()["result"] == []
    assert psp_at(psp, account.credentials["apiKey"], token.token) == 404


def psp_at(psp: Sandbox, api_key: str, token: str) -> int:
    """What the PSP answers to deleting the token once more."""
    return httpx.delete(f"{psp.base_url}/v1/tokens/{token}", headers={"Authorization": f"Bearer {api_key}"}).status_code


@pytest.mark.parametrize(
    ("document", "expected", "path"),
    [
        (an_add(a_card("4111111111111112")), "INVALID_CARD", "paymentMethod.creditCard.cardNumber"),
        (an_add(a_card("41111111111")), "INVALID_CARD", "paymentMethod.creditCard.cardNumber"),
        (an_add(a_card(cvc="12")), "INVALID_CARD", "paymentMethod.creditCard.cvc"),
        (an_add(a_card(expireYear="2020")), "INVALID_CARD", "paymentMethod.creditCard.expire"),
        (an_add(a_card(expireMonth="13")), "INVALID_CARD", "paymentMethod.creditCard.expireMonth"),
        (an_add(paymentChannel="PayPal", creditCard=None), "INVALID_REQUEST", "paymentMethod.paymentChannel"),
        (an_add(paymentChannel="SEPA", creditCard=None), "INVALID_REQUEST", "paymentMethod.paymentChannel"),
        (an_add({}), "INVALID_REQUEST", "paymentMethod.creditCard"),
        (an_add(useStoredMethod=True), "INVALID_REQUEST", "paymentMethod"),
        ({"paymentMethod": an_add()["paymentMethod"]}, "INVALID_REQUEST", "customerUrn"),
        ({"customerUrn": "cu.1"}, "INVALID_REQUEST", "paymentMethod"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_path_before_any_psp_hears_of_it(
    client: FlaskClient, shop: Shop, document: dict[str, Any], expected: str, path: str
) -> None:
    answer = add(client, shop, document)

    assert code(answer) == (400, expected)
    assert path in answer.get_json()["message"]
    assert "411111" not in answer.get_data(as_text=True)


@pytest.mark.parametrize(("verb", "route"), [*OF_ONE, ("GET", "list")])
def test_a_call_without_its_query_parameter_is_refused(client: FlaskClient, shop: Shop, verb: str, route: str) -> None:
    assert code(call(client, shop, verb, route)) == (400, "INVALID_REQUEST")


def test_a_declined_card_is_not_kept_and_the_reason_is_in_our_words(
    client: FlaskClient, shop: Shop, engine: Engine
) -> None:
    answer = add(client, shop, an_add(a_card(DECLINED)))

    assert code(answer) == (409, "CARD_DECLINED")
    assert answer.get_json()["message"] == "insufficient_funds"
    with statements(engine) as conn:
        assert (
            conn.execute(text("SELECT 1 FROM stored_methods WHERE tenant_id = :t"), {"t": shop.tenant_id}).all() == []
        )


def test_with_the_psp_away_nothing_changes_and_the_caller_may_come_back(
    client: FlaskClient, shop: Shop, psp: Sandbox
) -> None:
    urn = add(client, shop).get_json()["result"]["paymentMethodUrn"]

    psp.kill()
    try:
        for answer in (add(client, shop), call(client, shop, "DELETE", "delete", p=urn)):
            assert code(answer) == (503, "PSP_UNAVAILABLE")
            assert int(answer.headers["Retry-After"]) > 0
        listed = call(client, shop, "GET", "list", c="cu.00.482").get_json()["result"]
        assert [(method["paymentMethodUrn"], method["state"]) for method in listed] == [(urn, "Active")]
    finally:
        psp.start()

    assert call(client, shop, "DELETE", "delete", p=urn).status_code == 200


def test_a_psp_that_fails_is_unavailable_too(client: FlaskClient, shop: Shop, psp: Sandbox) -> None:
    psp.set_faults(down="503")

    assert code(add(client, shop)) == (503, "PSP_UNAVAILABLE")


def test_while_a_psp_is_left_alone_its_callers_are_told_until_when(
    client: FlaskClient, shop: Shop, parts: Parts, psp: Sandbox
) -> None:
    """The front door calls through the same gate as the engine room, which met this 429."""
    lane = PspLane(str(shop.tenant_id), "sandbox")
    Turns(parts.redis, terms_of(parts.settings)).ended(lane, Ended(End.PACED, 1, retry_after_s=20.0))

    answer = add(client, shop)

    assert code(answer) == (503, "PSP_UNAVAILABLE")
    assert 15 < int(answer.headers["Retry-After"]) <= 21
    parts.redis.delete(gate_of(lane.name))
    assert add(client, shop).status_code == 200


def test_a_forced_psp_is_obeyed_and_an_unusable_one_refused(
    client: FlaskClient, shop: Shop, parts: Parts, engine: Engine, psp: Sandbox
) -> None:
    wallets = replace(
        psp.account(), tenant_id=str(shop.tenant_id), provider="wallets", channels=frozenset({Channel.PAYPAL})
    )
    second = replace(psp.account(), tenant_id=str(shop.tenant_id), provider="second")
    with engine.begin() as conn:
        accounts.save(conn, parts.keyring, wallets, rank=1)
        accounts.save(conn, parts.keyring, second, rank=200)

    urns = [
        add(client, shop, document).get_json()["result"]["paymentMethodUrn"]
        for document in (an_add(), an_add(providerIdentifier="second"))
    ]
    with statements(engine) as conn:
        rows = conn.execute(
            text("SELECT method_urn, provider FROM stored_methods WHERE tenant_id = :t ORDER BY 1"),
            {"t": shop.tenant_id},
        ).all()
    assert [tuple(row) for row in rows] == [(urns[0], "sandbox"), (urns[1], "second")]
    for provider in ("wallets", "unknown"):
        assert code(add(client, shop, an_add(providerIdentifier=provider))) == (409, "PROVIDER_NOT_AVAILABLE")


def test_a_tenant_without_a_psp_for_cards_is_told_so(client: FlaskClient, engine: Engine) -> None:
    assert code(add(client, a_shop(engine))) == (409, "PROVIDER_NOT_AVAILABLE")


def test_another_tenants_methods_and_customers_are_as_unknown_as_any(
    client: FlaskClient, shop: Shop, engine: Engine
) -> None:
    urn = add(client, shop).get_json()["result"]["paymentMethodUrn"]
    other = a_shop(engine)

    for verb, route in OF_ONE:
        theirs, nobodys = call(client, other, verb, route, p=urn), call(client, other, verb, route, p="pm.no.1")
        assert code(theirs) == (404, "PAYMENT_METHOD_NOT_FOUND")
        assert theirs.get_data() == nobodys.get_data()
    assert code(call(client, other, "GET", "list", c="cu.00.482")) == (404, "CUSTOMER_NOT_FOUND")
    assert call(client, shop, "GET", "info", p=urn).get_json()["result"]["state"] == "Active"


def test_nothing_of_a_card_but_its_mask_reaches_the_database(client: FlaskClient, shop: Shop, engine: Engine) -> None:
    add(client, shop, an_add(a_card(MASTERCARD, cvc="0871", cardHolderName="Canary Holder")))

    with statements(engine) as conn:
        rows = conn.execute(
            text("SELECT (to_jsonb(m) - 'tenant_id')::text FROM stored_methods m WHERE tenant_id = :t"),
            {"t": shop.tenant_id},
        ).scalars()
        written = " ".join(rows)
    assert "555555******4444" in written
    assert not any(secret in written for secret in (MASTERCARD, "Canary Holder"))
    assert not re.search(r"\b0871\b", written)  # Not as a few digits of a sealed token.


def test_no_transaction_is_open_while_the_psp_is_asked(
    client: FlaskClient, shop: Shop, psp: Sandbox, engine: Engine
) -> None:
    """The PSP takes four seconds; a transaction that did nothing and is older than two would have waited for it."""
    urn = add(client, shop).get_json()["result"]["paymentMethodUrn"]
    psp.set_faults(latencyMs=4_000)
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state LIKE 'idle in transaction%' AND clock_timestamp() - xact_start > interval '2 s'"
    )
    for ask in (add, lambda client, shop: call(client, shop, "DELETE", "delete", p=urn)):
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(ask, client.application.test_client(), shop)
            seen = []
            while not answer.done():
                with statements(engine) as conn:
                    seen.append(conn.execute(waiting).scalar_one())
                wait([answer], timeout=0.02)

        assert answer.result().status_code == 200
        assert len(seen) > 10
        assert set(seen) == {0}
