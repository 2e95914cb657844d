"""POST /c2a/offer/bundles and /c2a/offer/showcase, as a storefront sees them (contract section 4)."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from shared.config import Settings
from shared.store import catalogue, customers, offers
from shared.store.catalogue_documents import MODEL_OF
from shared.store.tenants import TenantSettings
from tests.support.catalogue import bundle_line, promotion_line
from tests.support.front_door import ROOMY, TENANT, Shop, a_shop, opened, parts_for

PUBLISHED_BUNDLES: Final = {
    "context": {
        "customerUrn": "cu.00.482",
        "promotionCode": "CMP1WKWAFY",
        "stepIndex": 0,
        "interactionType": "NewAcquisition",
        "channel": "Azotte",
        "storefrontUrn": "st.00.001",
        "clientPlatformType": "Web",
    }
}
PUBLISHED_SHOWCASE: Final = {
    "context": {"storefrontUrn": "st.00.001", "promotionCode": "CMP1WKWAFY", "clientPlatformType": "Web"}
}
SEAT: Final = {"itemIdentifier": "it.00.42.seat", "name": "Extra seat", "amountMilpieces": 500, "maxQuantity": 50}
PLAN: Final = {"installmentIdentifier": "in.00.42.3", "count": 3, "amountMilpieces": 510}
LINES: Final = (
    bundle_line(maxQuantity=10, addOns=[SEAT], installments=[PLAN]),
    bundle_line(bundleUrn="bn.win", itemIdentifier="it.win", interactionTypes=["RetentionWinback"]),
    bundle_line(bundleUrn="bn.play", itemIdentifier="it.play", storefrontUrn="st.play", channels=["InappPlayStore"]),
    promotion_line(bundles=["bn.00.42"], storefrontUrn="st.00.001"),
    promotion_line(code="OVER", validUntil="2020-01-01T00:00:00Z"),
)


def a_shop_that_sells(engine: Engine, *lines: dict[str, Any], settings: TenantSettings = ROOMY) -> Shop:
    """A new tenant with this catalogue."""
    shop = a_shop(engine, uuid.uuid4(), limits=settings)
    stock(engine, shop.tenant_id, *lines)
    return shop


def stock(engine: Engine, tenant_id: uuid.UUID, *lines: dict[str, Any]) -> None:
    """Give the tenant this catalogue."""
    documents = [MODEL_OF[line["kind"]].model_validate_json(json.dumps(line)) for line in lines]
    with engine.begin() as conn:
        catalogue.replace(conn, tenant_id, [documents])


@pytest.fixture(scope="module")
def client(settings: Settings, engine: Engine, vault_url: str) -> Iterator[FlaskClient]:
    """The front door."""
    redis = Redis.from_url(vault_url)
    with opened(parts_for(settings, engine, redis)) as opened_client:
        yield opened_client
    redis.close()


@pytest.fixture(scope="module")
def shop(engine: Engine) -> Shop:
    """The published tenant."""
    shop = a_shop(engine, TENANT)
    stock(engine, TENANT, *LINES)
    return shop


def ask(
    client: FlaskClient, shop: Shop, document: Any, *, route: str = "bundles", prefix: str = "/api/v1"
) -> TestResponse:
    """One offer call."""
    return client.post(f"{prefix}/c2a/offer/{route}", json=document, headers=shop.headers)


def refused(answer: TestResponse) -> tuple[int, str]:
    """Status and code of a refusal, which carries no offer."""
    document = answer.get_json()
    assert document["offer"] is None
    return answer.status_code, document["status"]["messageCode"]


@pytest.mark.parametrize("prefix", ["/api/v1", "/api"])
def test_the_published_request_gets_a_purchase_offer(
    client: FlaskClient, shop: Shop, engine: Engine, prefix: str
) -> None:
    before = datetime.now(UTC)
    answer = ask(client, shop, PUBLISHED_BUNDLES, prefix=prefix)

    assert answer.status_code == 200
    document = answer.get_json()
    assert document["status"] == {"messageCode": "SUCCESS"}
    offer = document["offer"]
    identifier, expires_at = offer.pop("offerIdentifier"), offer.pop("expiresAt")
    assert re.fullmatch(r"of_[\w-]{22}", identifier)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", expires_at)
    life = datetime.fromisoformat(expires_at) - before
    assert timedelta(minutes=14) < life < timedelta(minutes=16)
    assert offer == {
        "presentationType": "Purchase",
        "productGroupType": "RecurringSubscription",
        "storefrontUrn": "st.00.001",
        "currency": "EUR",
        "singleUse": True,
        "artifactGroups": [
            {
                "bundleUrn": "bn.00.42",
                "name": "Pro Monthly",
                "items": [
                    {
                        "itemIdentifier": "it.00.42",
                        "kind": "Bundle",
                        "parentItemIdentifier": None,
                        "name": "Pro Monthly",
                        "price": {"amountMilpieces": 1199, "currency": "EUR"},
                        "maxQuantity": 10,
                    },
                    {
                        "itemIdentifier": "it.00.42.seat",
                        "kind": "AddOn",
                        "parentItemIdentifier": "it.00.42",
                        "name": "Extra seat",
                        "price": {"amountMilpieces": 500, "currency": "EUR"},
                        "maxQuantity": 50,
                    },
                ],
            }
        ],
        "installments": [
            {
                "installmentIdentifier": "in.00.42.3",
                "itemIdentifier": "it.00.42",
                "count": 3,
                "amountMilpieces": 408,
            }
        ],
        "appliedCampaigns": [{"code": "CMP1WKWAFY", "name": "Welcome"}],
    }
    with engine.begin() as conn:
        kept = offers.get(conn, shop.tenant_id, identifier)
        assert customers.is_known(conn, shop.tenant_id, "cu.00.482")
    assert kept is not None
    assert kept.customer_urn == "cu.00.482"


def test_the_published_showcase_shows_and_does_not_sell(client: FlaskClient, shop: Shop) -> None:
    """It names no interaction type, so it shows the bundles of every one."""
    answer = ask(client, shop, PUBLISHED_SHOWCASE, route="showcase")

    offer = answer.get_json()["offer"]
    assert answer.status_code == 200
    assert re.fullmatch(r"sh_[\w-]{22}", offer["offerIdentifier"])
    assert (offer["presentationType"], offer["singleUse"]) == ("Showcase", False)
    assert [group["bundleUrn"] for group in offer["artifactGroups"]] == ["bn.00.42", "bn.win"]


def test_aliases_say_the_same_as_long_names(client: FlaskClient, shop: Shop) -> None:
    short = {
        "CU": "cu.00.482",
        "PC": "CMP1WKWAFY",
        "SF": 0,
        "IT": "NewAcquisition",
        "CH": "Azotte",
        "ID": "2026-11-23T12:00:00Z",
        "IM": "web",
        "CTG": {"cohort": "a"},
        "SFU": "st.00.001",
        "OSI": "sub.1",
        "PLT": "Web",
    }

    offer = ask(client, shop, {"context": short}).get_json()["offer"]

    assert offer["artifactGroups"] == ask(client, shop, PUBLISHED_BUNDLES).get_json()["offer"]["artifactGroups"]


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"promotionCode": "UNKNOWN"}, (400, "INVALID_PROMOTION_CODE")),
        ({"promotionCode": "OVER"}, (400, "INVALID_PROMOTION_CODE")),
        ({"storefrontUrn": "st.unknown"}, (404, "STOREFRONT_NOT_FOUND")),
        ({"storefrontUrn": None}, (404, "STOREFRONT_NOT_FOUND")),  # The tenant has two.
        ({"storefrontUrn": "st.play", "promotionCode": None}, (404, "NO_OFFER_FOUND")),  # Its only bundle is for apps.
        ({"interactionType": None}, (400, "INVALID_REQUEST")),
        ({"interactionType": "Other"}, (400, "INVALID_REQUEST")),
        ({"channel": "Other"}, (400, "INVALID_REQUEST")),
        ({"stepIndex": "0"}, (400, "INVALID_REQUEST")),
    ],
)
def test_every_refusal_has_its_code(
    client: FlaskClient, shop: Shop, context: dict[str, Any], expected: tuple[int, str]
) -> None:
    answer = ask(client, shop, {"context": PUBLISHED_BUNDLES["context"] | context})

    assert refused(answer) == expected
    assert not any(str(value) in answer.get_data(as_text=True) for value in context.values() if len(str(value)) > 5)


def test_each_interaction_type_gets_the_bundles_for_it(client: FlaskClient, shop: Shop) -> None:
    def bundles(interaction: str) -> list[str]:
        asked = {"context": {"interactionType": interaction, "storefrontUrn": "st.00.001"}}
        return [group["bundleUrn"] for group in ask(client, shop, asked).get_json()["offer"]["artifactGroups"]]

    assert bundles("NewAcquisition") == ["bn.00.42"]
    assert bundles("Replace") == ["bn.00.42"]
    assert bundles("RetentionWinback") == ["bn.00.42", "bn.win"]


def test_a_tenant_with_one_storefront_need_not_name_it(client: FlaskClient, engine: Engine) -> None:
    shop = a_shop_that_sells(engine, bundle_line())

    offer = ask(client, shop, {"context": {}}, route="showcase").get_json()["offer"]

    assert offer["storefrontUrn"] == "st.00.001"


def test_a_tenant_with_an_empty_catalogue_has_no_offer(client: FlaskClient, engine: Engine) -> None:
    shop = a_shop(engine)

    assert refused(ask(client, shop, {"context": {}}, route="showcase")) == (404, "NO_OFFER_FOUND")


def test_a_tenants_settings_rule_its_offers(client: FlaskClient, engine: Engine) -> None:
    settings = TenantSettings(offer_life_s=60, single_use_offers=False, default_storefront="st.2")
    lines = (bundle_line(), bundle_line(bundleUrn="bn.2", storefrontUrn="st.2"))
    shop = a_shop_that_sells(engine, *lines, settings=settings)

    offer = ask(client, shop, {"context": {"interactionType": "Replace"}}).get_json()["offer"]

    assert offer["storefrontUrn"] == "st.2"
    assert offer["singleUse"] is False
    assert datetime.fromisoformat(offer["expiresAt"]) < datetime.now(UTC) + timedelta(seconds=62)


def test_no_tenant_is_offered_what_another_sells(client: FlaskClient, shop: Shop, engine: Engine) -> None:
    other = a_shop_that_sells(engine, bundle_line(bundleUrn="bn.theirs", name="Theirs"))

    assert "Theirs" not in ask(client, shop, PUBLISHED_SHOWCASE, route="showcase").get_data(as_text=True)
    theirs = ask(client, other, {"context": {}}, route="showcase").get_json()["offer"]
    assert [group["bundleUrn"] for group in theirs["artifactGroups"]] == ["bn.theirs"]
