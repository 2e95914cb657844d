"""A card shows its mask, or refuses, however it is rendered."""

from __future__ import annotations

import copy
import json
import logging
import marshal
import pickle
import pprint
import reprlib
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date
from functools import partial
from typing import Any

import pydantic_core
import pytest
import rich.pretty
import structlog
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils import json as kombu_json

from shared.domain.cards import Card, CardBrand, brand_of, is_past, mask, may_show, passes_luhn
from shared.domain.money import Money
from shared.psp.port import Channel, ChargeRequest

NUMBER = "4111111111111111"
CARD = Card("Jane Doe", NUMBER, "2029", "12", "9173", "Personal Visa")


SECRETS = (NUMBER, "Jane", "2029", "9173", "Personal")
REQUEST = ChargeRequest("key", "co-1", Money(1499, "EUR"), Channel.CREDIT_CARD, "cu.1", "http://127.0.0.1", card=CARD)


def logged_by_the_standard_library(card: Card) -> str:
    record = logging.LogRecord("name", logging.INFO, "file", 1, "card %s %r", (card, card), None)
    return logging.Formatter().format(record)


def logged_by_ours(card: Card) -> str:
    return str(structlog.processors.JSONRenderer()(None, "info", {"event": "x", "card": card, "all": [card]}))


def shown_with_the_locals_of_a_traceback(card: Card) -> str:
    """As Sentry and rich show them."""
    try:
        raise RuntimeError(card)  # noqa: TRY301 - its frame holds the card.
    except RuntimeError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


RENDERERS: dict[str, Callable[[Card], str]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": "{}".format,
    "percent": "%r".__mod__,
    "f-string": lambda card: f"{card} {card!r:>40} {card!s:<40} {card:^40}",
    "in a list": lambda card: str([card]),
    "in a dictionary": lambda card: str({"card": card}),
    "in a request": lambda card: str(replace(REQUEST, card=card)),
    "pprint": pprint.pformat,
    "reprlib": reprlib.repr,
    "rich": rich.pretty.pretty_repr,
    "json with a default": lambda card: json.dumps({"card": card}, default=str),
    "pydantic with a fallback": lambda card: pydantic_core.to_json({"card": card}, fallback=str).decode(),
    "logging": logged_by_the_standard_library,
    "structlog": logged_by_ours,
    "traceback": shown_with_the_locals_of_a_traceback,
}


@pytest.mark.parametrize("name", RENDERERS)
def test_a_card_renders_as_its_mask(name: str) -> None:
    shown = RENDERERS[name](CARD)
    assert "411111******1111" in shown
    assert not [secret for secret in SECRETS if secret in shown]


TAKERS: dict[str, Callable[[Any], object]] = {
    **{f"pickle {number}": partial(pickle.dumps, protocol=number) for number in range(pickle.HIGHEST_PROTOCOL + 1)},
    "pickle in a list": lambda card: pickle.dumps([card]),
    "pickle of a request": lambda card: pickle.dumps(replace(REQUEST, card=card)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "json": json.dumps,
    "json in a list": lambda card: json.dumps([card]),
    "json of the message library": kombu_json.dumps,
    "pydantic": pydantic_core.to_json,
    "marshal": marshal.dumps,
    "asdict": asdict,
    "asdict of a request": lambda card: asdict(replace(REQUEST, card=card)),
    "dataclasses.replace": lambda card: replace(card, alias=None),
    "vars": vars,
    "dict": dict,
    "list": list,
    "getstate": lambda card: card.__getstate__(),
    "hash": hash,
}


@pytest.mark.parametrize("name", TAKERS)
def test_a_card_is_not_pickled_copied_dumped_or_taken_apart_and_the_refusal_quotes_nothing(name: str) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        TAKERS[name](CARD)
    assert not [secret for secret in SECRETS if secret in f"{refused.value!r} {refused.value.__dict__}"]


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
