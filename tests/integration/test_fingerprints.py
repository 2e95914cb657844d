"""What is kept of a card for comparing two calls cannot be searched without the key, and tells nothing of the cvc."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from itertools import product
from typing import Final

from shared.domain.cards import passes_luhn
from tests.support.engine_room import EngineRoom
from tests.support.storefront import new_correlation
from tests.support.wire import Document, fresh_card

NUMBER: Final = "4111117381941111"
PLANTED: Final = "4111112048171111"
"""Another of those a mask leaves open, whose unkeyed hash is put beside the rows."""
CVC: Final = "9173"
HASHES: Final = (hashlib.md5, hashlib.sha1, hashlib.sha256, hashlib.sha512, hashlib.blake2b)


def a_card(**other: str) -> Document:
    return fresh_card(NUMBER, creditCard={**fresh_card(NUMBER)["creditCard"], "cvc": CVC, **other})


def dumped(room: EngineRoom, number: str) -> str:
    """All that the database holds of an order, as a dump would show it."""
    tables = ("orders", "idempotency_keys", "order_events")
    rows = [room.sql(f"SELECT t::text FROM {table} AS t WHERE tracking_number = :n", n=number) for table in tables]
    return "\n".join(text for table in rows for (text,) in table)


def digests_in(dump: str) -> set[str]:
    return set(re.findall(r"[0-9a-f]{32,128}", dump))


def numbers_with_known_ends() -> Iterator[str]:
    """Who reads a masked number knows all but six digits, and one of those is Luhn's: 100,000 numbers are left."""
    for middle in product("0123456789", repeat=6):
        number = f"{NUMBER[:6]}{''.join(middle)}{NUMBER[-4:]}"
        if passes_luhn(number):
            yield number


def brute_forced(room: EngineRoom, key: str, dump: str) -> list[str]:
    """The card numbers that a search without the key finds, with all that stands beside the digests known."""
    held, tenant = digests_in(dump), str(room.seller.shop.tenant_id)
    return [
        number
        for number in numbers_with_known_ends()
        for text in (number, tenant + number, json.dumps(("card-field", tenant, number)), f"{key}{number}")
        for hashed in HASHES
        if hashed(text.encode()).hexdigest() in held
    ]


def test_every_number_a_mask_leaves_open_is_tried_without_the_key_and_none_is_found(room: EngineRoom) -> None:
    assert passes_luhn(NUMBER)
    key = new_correlation()
    dump = dumped(room, room.admitted(a_card(), correlationId=key))

    planted = f"{dump} {hashlib.sha256(PLANTED.encode()).hexdigest()}"
    assert brute_forced(room, key, planted) == [PLANTED]  # So the search finds what can be found.


def test_the_cvc_is_in_no_digest_even_for_who_has_the_key(room: EngineRoom) -> None:
    key = new_correlation()
    dump = dumped(room, room.admitted(a_card(), correlationId=key))
    fingerprints, held = room.run.keyring.fingerprints(room.seller.shop.tenant_id), digests_in(dump)

    assert fingerprints.of("card-field", key, NUMBER).hex() in held
    four_digits = [text for n in range(10_000) if fingerprints.of("card-field", key, text := f"{n:04}").hex() in held]
    assert four_digits == [a_card()["creditCard"]["expireYear"]]
    assert "cvc" not in dump.lower()
    of_the_card = dump.replace(str(room.seller.shop.tenant_id), "")  # Of whose groups one may be the cvc.
    assert not {NUMBER, CVC, "Jane"} & set(re.findall(r"\w+", of_the_card))


def test_a_repeat_with_another_cvc_is_the_same_order_and_with_another_number_a_conflict(room: EngineRoom) -> None:
    request = room.seller.request(a_card(), correlationId=new_correlation())
    first = room.seller.post(request)
    payment = request["paymentMethod"]
    other_cvc = request | {"paymentMethod": payment | {"creditCard": payment["creditCard"] | {"cvc": "0000"}}}
    other_card = request | {"paymentMethod": fresh_card("4111111111111111")}

    assert room.seller.post(other_cvc).get_json()["trackingNumber"] == first.get_json()["trackingNumber"]
    refused = room.seller.post(other_card)
    assert refused.status_code == 409
    assert "paymentMethod.creditCard.cardNumber" in refused.get_json()["message"]


def test_the_same_card_leaves_other_digests_in_every_order(room: EngineRoom) -> None:
    """Else counting would tell the twelve months apart, and one shopper's orders from another's, without a key."""
    first, second = (dumped(room, room.admitted(a_card(), correlationId=new_correlation())) for _ in range(2))
    assert not digests_in(first) & digests_in(second)
