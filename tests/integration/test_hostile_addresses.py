"""What a hostile address may say: it names nothing of ours, and nobody else's answer is the worse for it (G2, G3)."""

from __future__ import annotations

from typing import Final

import pytest
from sqlalchemy import Engine

from api.parts import Parts
from shared.store import status
from tests.support.selling import Seller, a_seller

CHECKOUT: Final = "/api/v1/c2a/offer/checkout"
STRANGE: Final = (
    "%00", "%00a1", "%00a2", "trk_%00", f"trk_{'0' * 25}%00", f"trk_{'0' * 26}%0a", "%ff", "a%e2%80%ae", "%ed%a0%80",
    "%f0%9f%92%a9", "%25", "a%0d%0ab", "%d9%a1", "x" * 2_000, "..", "%2e%2e", "a%20b", "'",
)  # fmt: skip
"""NUL, which PostgreSQL takes in no text; bytes that are no UTF-8; marks, line ends, other scripts, too much."""


@pytest.fixture(scope="module")
def seller(parts: Parts, engine: Engine) -> Seller:
    """A tenant at the front door."""
    return a_seller(parts, rows=engine)


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_an_order_of_such_a_number_is_as_unknown_as_any(seller: Seller, strange: str, accept: str) -> None:
    with seller.app.test_client() as client:
        told = client.get(f"{CHECKOUT}/{strange}/status", headers=seller.shop.headers | {"Accept": accept})

    assert (told.status_code, told.get_json()["status"]) == (404, {"messageCode": "ORDERED_ITEM_NOT_FOUND"})


@pytest.mark.parametrize("strange", STRANGE)
def test_a_way_back_to_such_a_number_is_no_address_of_ours(seller: Seller, strange: str) -> None:
    with seller.app.test_client() as client:
        told = client.get(f"{CHECKOUT}/{strange}/return?state=1.{'0' * 40}")

    assert told.status_code == 400
    assert "This address is not valid" in told.text


@pytest.mark.parametrize("strange", STRANGE)
def test_an_account_of_such_a_name_takes_no_news(
    seller: Seller, strange: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with seller.app.test_client() as client:
        told = client.post(f"/api/v1/c2a/psp/sandbox/{strange}/webhook", data=b"{}")

    assert (told.status_code, told.get_json()["status"]) == (404, {"messageCode": "NOT_FOUND"})
    assert "request.broken" not in capfd.readouterr().err, "nobody is called out of bed for it"


def test_who_asks_at_the_same_moment_as_one_who_asks_for_nonsense_is_answered(seller: Seller, engine: Engine) -> None:
    number = seller.accepted()

    told = status.read(engine, seller.shop.tenant_id, ["trk_\0", number, "\0", f"trk_{'0' * 26}"])

    assert [one and one.tracking_number for one in told] == [None, number, None, None]
