"""A card shows its mask, or refuses, however it is rendered."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import asdict
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.cards import Card, CardBrand, brand_of, is_past, mask, may_show, passes_luhn

NUMBER = "4111111111111111"
CARD = Card("Jane Doe", NUMBER, "2029", "12", "123", "Personal Visa")


@pytest.mark.parametrize("render", [repr, str, "{}".format, "%s".__mod__, lambda card: f"{card!r:>40}", ascii])
def test_a_card_renders_as_its_mask(render: object) -> None:
    shown = render(CARD)  # type: ignore[operator]
    assert "411111******1111" in shown
    assert NUMBER not in shown
    assert "Jane" not in shown


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_a_card_is_not_pickled_copied_or_dumped(take: object) -> None:
    with pytest.raises(TypeError):
        take(CARD)  # type: ignore[operator]


def test_a_card_cannot_be_turned_into_a_dictionary_by_accident() -> None:
    with pytest.raises(TypeError):
        asdict(CARD)  # type: ignore[call-overload]  # That it has no overload is the point.


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        ("4111111111111111", CardBrand.VISA),
        ("5555555555554444", CardBrand.MASTERCARD),
        ("2223003122003222", CardBrand.MASTERCARD),
        ("378282246310005", CardBrand.AMEX),
        ("6011111111111117", CardBrand.DISCOVER),
        ("3056930009020004", CardBrand.DINERS),
        ("36227206271667", CardBrand.DINERS),
        ("3566002020360505", CardBrand.JCB),
        ("6200000000000005", CardBrand.UNIONPAY),
        ("6759649826438453", CardBrand.MAESTRO),
        ("9999999999999995", CardBrand.OTHER),
    ],
)
def test_the_published_test_numbers_have_their_brand_and_pass_luhn(number: str, brand: CardBrand) -> None:
    assert brand_of(number) is brand
    assert passes_luhn(number)


@given(st.text("0123456789", min_size=11, max_size=18), st.integers(0, 17), st.integers(1, 9))
def test_one_wrong_digit_never_passes_luhn(body: str, place: int, shift: int) -> None:
    number = next(body + digit for digit in "0123456789" if passes_luhn(body + digit))
    place %= len(number)
    wrong = number[:place] + str((int(number[place]) + shift) % 10) + number[place + 1 :]
    assert not passes_luhn(wrong)


@given(st.text("0123456789", min_size=12, max_size=19))
def test_a_mask_shows_at_most_first_six_and_last_four(number: str) -> None:
    shown = mask(number)
    assert len(shown) == len(number)
    assert shown[6:-4] == "*" * (len(number) - 10)


def test_a_card_is_good_through_the_last_day_of_its_month() -> None:
    assert not is_past("2028", "02", today=date(2028, 2, 29))
    assert is_past("2028", "02", today=date(2028, 3, 1))
    assert is_past("2027", "12", today=date(2028, 1, 1))


@pytest.mark.parametrize(
    "text", ["order-10042", "", "20261125-161426-000017", "4111111111111112", "411111111111", "4111-1111-1111-1112"]
)
def test_what_is_no_card_number_may_be_shown(text: str) -> None:
    assert may_show(text) == text


@pytest.mark.parametrize(
    "text",
    ["4111111111111111", "4111 1111 1111 1111", "order 4111-1111-1111-1111!", "x378282246310005x", "3782 822463 10005"],
)
def test_what_may_be_a_card_number_is_withheld(text: str) -> None:
    assert "1" not in may_show(text)
