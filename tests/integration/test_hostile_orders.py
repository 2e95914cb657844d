"""What a hostile order may say: it is refused by name, or means what an honest one means (G2, G3, G6)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from shared.config import Settings
from shared.domain.money import Money
from shared.domain.offers import ArtifactGroup, Installment, ItemKind, OfferItem
from shared.domain.states import OrderState
from tests.support import engine_room
from tests.support.engine_room import EngineRoom
from tests.support.psp import Sandbox
from tests.support.requests import holder
from tests.support.selling import NOWHERE, Seller, a_seller
from tests.support.wire import Document, an_item
from workers.lock_offer import lock_offer
from workers.pay import pay

PATH: Final = "/api/v1/c2a/offer/checkout"
PRICE: Final = 1499


@pytest.fixture(scope="module")
def room_of_module(settings: Settings, vault_url: str, shared_psp: Sandbox) -> Iterator[EngineRoom]:
    """A tenant that sells one bundle at PRICE."""
    with engine_room.opened(settings, vault_url, shared_psp) as opened:
        yield opened


def post(seller: Seller, body: bytes) -> TestResponse:
    with seller.app.test_client() as client:
        return client.post(PATH, data=body, headers=seller.shop.headers, content_type="application/json")


def changed(document: Document, path: str, value: Any) -> bytes:
    """*document* with *value* at *path*, as UTF-8 where UTF-8 can say it."""
    sent = copy.deepcopy(document)
    part, name = holder(sent, path)
    part[name] = value
    return json.dumps(sent).encode()


REFUSED: Final[dict[str, list[Any]]] = {
    "order.items[0].quantity": [0, -1, -999, 1_000, 2**31, 2**63, 10**50, 1.0, 1.5, True, False, "1", "١", [1], {}],
    "order.items": [[], {}, None, "it.00.42", [None], [[]], [{"itemIdentifier": "it.00.42"}] * 101],
    "order.offerIdentifier": ["", 7, None, True, [], {"$ne": ""}, "x" * 256, "x" * 60_000],
    "order.resellerID": [2**53, -(2**53), 10**99, "7", True, 0.5],
    "order.customer": [None, [], "cu.1", {}],
    "order.customer.customerUrn": ["", "x" * 256, 1, None, ["cu.1"]],
    "order.customer.ipAddress": ["", "999.1.1.1", "1.2.3", "０１.2.3.4", "fe80::1%eth0", "::ffff:1.2.3.4.5", 16909060],
    "order.correlationId": ["", "x" * 256, 1, [], {"a": 1}],
    "paymentMethod": [None, [], "CreditCard", {}],
    "paymentMethod.paymentChannel": ["creditcard", "CREDITCARD", "", None, 1, ["CreditCard"]],
    "paymentMethod.useStoredMethod": ["false", 0, 1],
    "paymentMethod.creditCard.cardNumber": [4111111111111111, "", "4111 1111 1111 1111", "\uff14" + "1" * 15, "4" * 99],
    "paymentMethod.creditCard.cvc": [123, "", "１２３", "12", "12345", "-12"],
    "paymentMethod.creditCard.expireYear": ["29", "-2029", "٢٠٢٩", 2029, "20299", "2020"],
    "paymentMethod.creditCard.expireMonth": ["0", "13", "1", "१२", 12, "-1"],
}  # fmt: skip
UNWRITABLE: Final = (
    "a\0b", "a\ud800", "\udfff", "a\nb", "a\r\nSet-Cookie: x=1", "a\x1b[31m", "a\x7f", "\u202eab", "a\u2066b",
    "a\u200bb", "\ufeffa", "a\u2028b", "\x85a", "\uffff",
)  # fmt: skip
"""NUL, halves of surrogates, controls, marks that turn or hide text (Unicode TR 36)."""
INTACT: Final = (
    "Zoë", "李小龍", "٣٤٥", "cart 🚀", "e\u0301", "../../etc/passwd", "' OR 1=1 --", "{{7*7}}", "<b>x</b>", "%00",
)  # fmt: skip
"""What no rule forbids is data, whatever else it may look like."""
IDENTIFIERS: Final = ("order.offerIdentifier", "order.correlationId", "order.items[0].itemIdentifier",
                      "order.customer.customerUrn", "paymentMethod.providerIdentifier")  # fmt: skip


@pytest.fixture(scope="module")
def honest(room_of_module: EngineRoom) -> Document:
    """An order that would be accepted."""
    document = room_of_module.seller.request()
    document["paymentMethod"] |= {"useStoredMethod": False}
    return document


@pytest.mark.parametrize("path", REFUSED)
def test_a_wrong_type_count_length_or_size_is_400_by_path_and_leaves_nothing(
    room: EngineRoom, honest: Document, path: str
) -> None:
    before = room.seller.count("orders")

    for value in REFUSED[path]:
        told = post(room.seller, changed(honest, path, value))
        assert told.status_code == 400, value if len(str(value)) < 50 else str(value)[:50]
        assert told.get_json()["status"]["messageCode"] in ("INVALID_REQUEST", "INVALID_CARD")
        assert told.get_json()["message"].startswith(path)

    assert room.seller.count("orders") == before


@pytest.mark.parametrize("path", IDENTIFIERS)
def test_text_that_hides_or_breaks_something_is_400_in_every_identifier(
    room: EngineRoom, honest: Document, path: str
) -> None:
    for text in UNWRITABLE:
        told = post(room.seller, changed(honest, path, text))
        assert (told.status_code, told.get_json()["status"]) == (400, {"messageCode": "INVALID_REQUEST"}), repr(text)
        assert "Set-Cookie" not in told.headers


@pytest.mark.parametrize("text", INTACT)
def test_any_other_text_is_kept_as_it_came(room: EngineRoom, text: str) -> None:
    request = room.seller.request()
    request["order"]["customer"]["customerUrn"] = text
    request["order"]["correlationId"] = f"{text}.{request['order']['offerIdentifier']}"

    told = room.seller.post(request)

    order = room.order(told.get_json()["trackingNumber"])
    assert (order.customer_urn, order.correlation_id) == (text, request["order"]["correlationId"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"order": {}, "order": {}}', b'{"order": {"ORD": 1, "ORD": 2}}', b'{"order": NaN}', b'{"order": -Infinity}',
        b'{"order": 1e999}', b'{"a":' * 17 + b"1" + b"}" * 17, b"[" * 32_000, b'{"a": ' + b"9" * 60_000 + b"}",
        b'{"order": "\\u0000"}', b'{"order": "\\ud800"}', b'{"order": "\xed\xa0\x80"}', b"\xff\xfe{\x00}\x00",
        '{"order": {}}'.encode("utf-16"), '{"order": {}}'.encode("utf-32"), b"\xef\xbb\xbf{}", b"null", b"0", b'""',
        b"[]", b"true", b"", b" ", b"{}" * 2, b"{,}", b"\x00",
        b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--",
        json.dumps({"ORD": {"OID": "a", "offerIdentifier": "b"}, "PMT": {}}).encode(),
    ],
)  # fmt: skip
def test_a_document_that_means_two_things_or_none_is_400(room: EngineRoom, body: bytes) -> None:
    told = post(room.seller, body)

    assert told.status_code == 400
    assert told.get_json()["status"]["messageCode"] in ("INVALID_REQUEST", "BAD_REQUEST")


EXTRA: Final[Document] = {
    "tenant": "00000000-0000-0000-0000-000000000000", "tenantId": "other", "tenant_id": "other", "x-tn": "other",
    "amount": 1, "amountMinor": 1, "amount_minor": 1, "amountMilpieces": 1, "price": {"amountMilpieces": 1},
    "currency": "JPY", "discount": 100, "total": 0, "status": {"messageCode": "CHECK_OUT_DONE"}, "state": "captured",
    "trackingNumber": "trk_mine", "paid": True, "isAdmin": True, "role": "operator", "version": 99, "parked": True,
    "carriesCard": False, "pspReference": "sb_mine", "due_at": None, "__proto__": {"paid": True}, "fence": 99,
}  # fmt: skip
"""What a hostile client would like to set."""
LEVELS: Final = ("", "order", "order.customer", "paymentMethod", "paymentMethod.creditCard")


def at(document: Document, level: str) -> Document:
    part = document
    for name in filter(None, level.split(".")):
        part = part[name]
    return part


def test_no_field_but_the_published_ones_is_ever_read_and_the_psp_is_asked_for_the_offers_price(
    room: EngineRoom, shared_psp: Sandbox
) -> None:
    request = room.seller.request()
    for level in LEVELS:
        at(request, level).update(EXTRA)
    request["order"]["items"][0] |= EXTRA
    request["paymentMethod"]["creditCard"]["storedMethodToken"] = "tok_of_somebody"
    number = room.seller.post(request).get_json()["trackingNumber"]

    assert lock_offer(room.run, number)
    assert pay(room.run, number)

    [charge] = [row for row in shared_psp.charges(room.account) if row["merchantReference"] == number]
    assert (charge["amountMinor"], charge["currency"], charge["state"]) == (PRICE, "EUR", "captured")
    order = room.order(number)
    assert (order.tenant_id, order.state, order.amount_minor) == (
        room.seller.shop.tenant_id,
        OrderState.CAPTURED,
        PRICE,
    )
    kept = json.dumps(order.request)
    assert not [name for name in (*EXTRA, "tok_of_somebody", "storedMethodToken") if f'"{name}"' in kept]


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@effort(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(level=st.sampled_from(LEVELS), name=st.text("abcdeTNORDxyz_-.$", min_size=4, max_size=12), value=JSON)
def test_an_order_with_any_unknown_field_is_the_order_without_it(
    room_of_module: EngineRoom, honest: Document, level: str, name: str, value: Any
) -> None:
    """The same under one key: were anything of the field read, the second would be a conflict."""
    plain = copy.deepcopy(honest)
    plain["order"]["correlationId"] = f"same-{honest['order']['offerIdentifier']}"
    extended = copy.deepcopy(plain)
    at(extended, level)[name] = value

    first, second = room_of_module.seller.post(plain), room_of_module.seller.post(extended)

    if "\\u0000" in json.dumps(value):
        assert second.status_code == 400
    else:
        assert (first.status_code, second.status_code) == (202, 202)
        assert second.get_json()["trackingNumber"] == first.get_json()["trackingNumber"]


def test_nothing_of_an_offer_can_be_bent(room: EngineRoom, settings: Settings) -> None:
    """Another's item, more than may be had, a bundle's add-on alone, another tenant's offer: refused by name."""
    request = room.seller.request()
    stranger = a_seller(room.seller.parts, NOWHERE).request()

    bent = {
        "order.items[0].itemIdentifier": ("it.unknown", "OFFER_ITEM_NOT_FOUND"),
        "order.items[0].parentItemIdentifier": ("it.unknown", "OFFER_ITEM_NOT_FOUND"),
        "order.items[0].quantity": (999, "OFFER_ITEM_NOT_FOUND"),
        "order.installmentIdentifier": ("in.unknown", "OFFER_ITEM_NOT_FOUND"),
        "order.offerIdentifier": (stranger["order"]["offerIdentifier"], "OFFER_NOT_FOUND"),
    }
    for path, (value, code) in bent.items():
        told = post(room.seller, changed(request, path, value))
        assert (told.status_code, told.get_json()["status"]["messageCode"]) == (409, code), path


def test_a_plan_of_a_bundle_that_is_only_an_add_on_here_is_no_plan_of_the_cart(room: EngineRoom) -> None:
    """What is sold alone may also be an add-on, and its plan is for the bundle: nobody could price this order."""
    sold_alone = OfferItem("it.b", ItemKind.BUNDLE, "B", Money(1499, "EUR"), 1)
    under_another = OfferItem("it.b", ItemKind.ADD_ON, "B", Money(500, "EUR"), 1, "it.a")
    offer = room.seller.offer(
        groups=(
            ArtifactGroup("bn.a", "A", (OfferItem("it.a", ItemKind.BUNDLE, "A", Money(100, "EUR"), 1), under_another)),
            ArtifactGroup("bn.b", "B", (sold_alone,)),
        ),
        installments=(Installment("in.b", "it.b", 3, 510),),
    )
    cart = [an_item("it.a"), an_item("it.b", parent="it.a")]

    told = room.seller.post(room.seller.request(None, *cart, offer=offer, installmentIdentifier="in.b"))

    assert (told.status_code, told.get_json()["status"]["messageCode"]) == (409, "OFFER_ITEM_NOT_FOUND")
    assert room.seller.post(room.seller.request(None, *cart, offer=offer)).status_code == 202
