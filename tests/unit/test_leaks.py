"""The leak scanner finds every form it promises to find, wherever it stands, and nothing else (canaries of I7)."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from datetime import date
from typing import Final
from urllib.parse import quote, urlencode

import pytest

from deploy.crashtest.canaries import MONTH, YEAR, Canary, bad_number, canary, number
from deploy.crashtest.leaks import Scanner, leaks
from deploy.sandbox.cards import BEHAVIOURS, of_card
from shared.domain.cards import passes_luhn

CARDS: Final = [canary(behaviour.name) for behaviour in BEHAVIOURS]
OTHERS: Final = [canary(behaviour.name) for behaviour in BEHAVIOURS]
"""Cards of the same BIN that nobody looks for."""
TAIL: Final = random.Random(1).randbytes(600)
FORMS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "plain": bytes,
    "reversed": lambda text: text[::-1],
    "hex": lambda text: text.hex().encode(),
    "HEX": lambda text: text.hex().upper().encode(),
    "base64 at 0": b64encode,
    "base64 at 1": lambda text: b64encode(b"x" + text + b"tail"),
    "base64 at 2": lambda text: b64encode(b"xy" + text + b"tail"),
    "base64 for URLs": lambda text: urlsafe_b64encode(b"\xff\xfe" + text + b"\xfb"),
    "URL-encoded": lambda text: quote(text, safe="").encode(),
    "a form's field": lambda text: urlencode({"f": text}).encode(),
    "JSON-escaped": lambda text: json.dumps(text.decode()).encode(),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"f": text.decode()})).encode(),
    "gzip": lambda text: gzip.compress(b"before " + text + b" after"),
    "zlib": lambda text: zlib.compress(b"before " + text + b" after"),
    "zlib, hardly compressed": lambda text: zlib.compress(text, 1),
    "gzip in base64": lambda text: b64encode(gzip.compress(b"before " + text)),
    "zlib in base64": lambda text: b64encode(zlib.compress(b"before " + text)),
    "base64 in gzip": lambda text: gzip.compress(b"before " + b64encode(text)),
    "gzip in gzip in gzip": lambda text: gzip.compress(gzip.compress(gzip.compress(text))),
    "a gzip stream that was cut": lambda text: gzip.compress(text + TAIL)[:-300],
}  # fmt: skip
OF_NUMBERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "URL-encoded, each digit": lambda text: b"".join(b"%%%02X" % byte for byte in text),
    "JSON-escaped, each digit": lambda text: b"".join(b"\\u%04x" % byte for byte in text),
    "escaped as Python shows bytes": lambda text: b"".join(b"\\x%02x" % byte for byte in text),
}
"""Forms of what nothing needs to escape."""
NOISE: Final = random.Random(7).randbytes(200_000)


def secrets_of(cards: list[Canary]) -> set[str]:
    return {secret for card in cards for secret in card.secrets}


SCANNER: Final = Scanner(secrets_of(CARDS))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("card", [CARDS[0], CARDS[-1]], ids=["first", "last"])
def test_the_scanner_finds_every_secret_in_every_form(form: str, card: Canary) -> None:
    for secret in card.secrets:
        planted = NOISE[:100_000] + FORMS[form](secret.encode()) + NOISE[100_000:]
        assert secret in SCANNER.found_in(planted), f"missed as {form}"


@pytest.mark.parametrize("form", OF_NUMBERS)
def test_the_scanner_finds_a_number_whose_every_digit_is_escaped(form: str) -> None:
    for card in CARDS:
        assert SCANNER.found_in(NOISE[:999] + OF_NUMBERS[form](card.number.encode()) + NOISE[999:]) == {card.number}


@pytest.mark.parametrize("form", FORMS)
def test_the_scanner_takes_no_other_card_for_one_of_ours(form: str) -> None:
    for secret in secrets_of(OTHERS) - secrets_of(CARDS):
        assert SCANNER.found_in(FORMS[form](secret.encode())) == set()
    assert SCANNER.found_in(NOISE) == set()


def test_a_leak_names_its_place_and_never_what_leaked() -> None:
    card = CARDS[0]
    found = leaks({"api.log": b"paid with " + card.number.encode(), "aof": b"nothing"}, card.secrets)
    assert [violation.about for violation in found] == ["api.log"]
    assert card.number not in str(found)


def test_a_canary_is_a_valid_card_that_does_what_the_sandbox_is_asked_for() -> None:
    for behaviour, card in zip(BEHAVIOURS, CARDS, strict=True):
        assert passes_luhn(card.number)
        assert of_card(card.number, YEAR, MONTH, today=date(2026, 11, 23)) == behaviour
    assert not passes_luhn(bad_number())
    # Eight digits are random: of a thousand two are alike in one run of 200, three pairs in one of 50 million.
    assert len({number() for _ in range(1_000)}) >= 998
