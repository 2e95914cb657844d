"""How often a key may be tried at the console's login, and that no stranger keeps an operator out by trying."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from api.app import create_app
from api.ops.tries import EVERYBODY, Place, Tries
from api.parts import Parts
from shared.store.keys import KeyRole
from tests.support.console import said, token_of
from tests.support.front_door import Shop, a_shop
from tests.support.psp import until

HERE: Final = "192.0.2.1"
ELSEWHERE: Final = "198.51.100.7"
WRONG: Final = "sk_dev_nobody"
FREE: Final = 5
FIRST_WAIT_S: Final = 1.0
ROUNDS: Final = 5
CLOCKS_APART_S: Final = 0.05
"""What the clock of Redis may gain on ours within a try."""


@pytest.fixture
def app(parts: Parts) -> Flask:
    """A front door where nobody tried anything yet."""
    parts.redis.flushdb()
    return create_app(parts)


@pytest.fixture(scope="module")
def operator(engine: Engine) -> Shop:
    return a_shop(engine, role=KeyRole.OPERATOR)


def tries(app: Flask, key: str, address: str = HERE, client: FlaskClient | None = None, **headers: str) -> TestResponse:
    """Somebody at *address* shows *key*, in a browser of their own unless it is *client*."""
    browser, there = client or app.test_client(), {"REMOTE_ADDR": address}
    form = {"form_token": token_of(browser.get("/ops/login", environ_base=there)), "key": key, "name": "Ana"}
    return browser.post(
        "/ops/login",
        data=form,
        environ_base=there,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def wait(redis: Redis, place: Place, seconds: int = 60) -> None:
    """Let the wait that the last free try at *place* began last so long, however slow this machine is."""
    assert int(redis.get(place.name) or 0) == place.free
    redis.set(f"{place.name}:wait", 1, ex=seconds)


def spend(app: Flask, parts: Parts, address: str = HERE, seconds: int = 60) -> None:
    """Use up the free tries of *address*, which then waits."""
    assert [tries(app, WRONG, address).status_code for _ in range(FREE)] == [403] * FREE
    wait(parts.redis, Place.of_address(address), seconds)


def test_after_some_wrong_keys_an_address_waits_and_is_told_for_how_long(
    app: Flask, parts: Parts, operator: Shop
) -> None:
    spend(app, parts, seconds=30)
    answer = tries(app, operator.key)
    assert answer.status_code == 429
    seconds = int(answer.headers["Retry-After"])
    assert 1 < seconds <= 30
    told = f"Too many keys were tried. This one was not looked at: wait {seconds} seconds, then try again."
    assert told in said(answer)
    assert operator.key not in answer.text
    assert token_of(answer), "the form is there to try again"
    wait(parts.redis, Place.of_address(HERE), seconds=1)
    until(lambda: tries(app, operator.key).status_code == 303, seconds=10)


def test_another_address_does_not_wait(app: Flask, parts: Parts, operator: Shop) -> None:
    spend(app, parts)
    assert tries(app, operator.key, ELSEWHERE).status_code == 303


def test_every_process_counts_with_the_others(app: Flask, parts: Parts, operator: Shop) -> None:
    spend(app, parts)
    assert tries(create_app(parts), operator.key).status_code == 429


def test_who_gets_in_begins_anew(app: Flask, operator: Shop) -> None:
    for _ in range(3):
        assert [tries(app, WRONG).status_code for _ in range(FREE - 1)] == [403] * (FREE - 1)
        assert tries(app, operator.key).status_code == 303


def test_a_hundred_at_the_same_moment_are_no_more_tries_than_five(app: Flask, parts: Parts) -> None:
    """In a round that took less than the wait after the last free one, which lets in the next."""
    trying = Tries(parts.redis, [Place.of_address(HERE)])
    with ThreadPoolExecutor(16) as pool:
        for _ in range(ROUNDS):
            parts.redis.flushdb()
            began = time.monotonic()
            told = Counter(pool.map(lambda _: trying.begin(), range(100)))
            if time.monotonic() - began < FIRST_WAIT_S - CLOCKS_APART_S:
                break
    assert told == {0: FREE, 1: 100 - FREE}


def waits_of(redis: Redis, place: Place, count: int) -> list[tuple[float, float]]:
    """How long each of *count* tries made the next one wait, when every wait was sat out: what was left of it when it
    was looked at, and that with all the time that had passed; in seconds."""
    trying, waits = Tries(redis, [place]), []
    for _ in range(count):
        began = time.monotonic()
        assert trying.begin() == 0
        left = max(redis.pttl(f"{place.name}:wait"), 0) / 1_000
        waits.append((left, left + time.monotonic() - began + CLOCKS_APART_S))
        redis.delete(f"{place.name}:wait")  # It is over.
    return waits


def test_each_wait_is_twice_as_long_as_the_last_up_to_half_a_minute(app: Flask, parts: Parts) -> None:
    waits = waits_of(parts.redis, Place.of_address(HERE), FREE - 1 + 8)
    promised = [0] * (FREE - 1) + [1, 2, 4, 8, 16, 30, 30, 30]
    assert all(least <= one <= most for one, (least, most) in zip(promised, waits, strict=True)), waits


def test_who_is_refused_waits_no_longer_for_having_asked(app: Flask, parts: Parts) -> None:
    spend(app, parts)
    place = Place.of_address(HERE)
    before = parts.redis.get(place.name)
    for _ in range(100):
        assert 0 < Tries(parts.redis, [place]).begin() <= 60
    assert parts.redis.get(place.name) == before
    assert 0 < parts.redis.ttl(f"{place.name}:wait") <= 60


def test_what_was_counted_is_forgotten_a_quarter_of_an_hour_later(app: Flask, parts: Parts) -> None:
    spend(app, parts)
    kept = {name: parts.redis.ttl(name) for name in parts.redis.scan_iter("tries:*")}
    assert len(kept) == 3
    counts = [left for name, left in kept.items() if not name.endswith(b":wait")]
    assert len(counts) == 2, "of the address, and of everybody"
    assert all(840 < left <= 900 for left in counts)


def from_everywhere(parts: Parts) -> None:
    """Strangers at many addresses use up what all may try together."""
    for n in range(EVERYBODY.free):
        assert Tries.of(parts.redis, f"203.0.113.{n}", "").begin() == 0
    wait(parts.redis, EVERYBODY)


def test_all_addresses_together_wait_as_well_and_never_for_long(app: Flask, parts: Parts) -> None:
    from_everywhere(parts)
    assert tries(app, WRONG, ELSEWHERE).status_code == 429
    parts.redis.delete(f"{EVERYBODY.name}:wait", EVERYBODY.name)
    assert max(left for left, _ in waits_of(parts.redis, EVERYBODY, EVERYBODY.free + 20)) <= EVERYBODY.most_s


def test_a_browser_somebody_logged_in_with_is_held_up_by_no_stranger(app: Flask, parts: Parts, operator: Shop) -> None:
    known = app.test_client()
    assert tries(app, operator.key, client=known).status_code == 303
    from_everywhere(parts)
    assert tries(app, operator.key).status_code == 429
    assert tries(app, operator.key, client=known).status_code == 303


def test_a_known_browser_has_no_more_tries_than_an_address_and_a_made_up_one_is_not_known(
    app: Flask, parts: Parts, operator: Shop
) -> None:
    known, made_up = app.test_client(), app.test_client()
    assert tries(app, operator.key, client=known).status_code == 303
    assert [tries(app, WRONG, client=known).status_code for _ in range(FREE)] == [403] * FREE
    cookie = known.get_cookie("c2a_ops_known")
    assert cookie is not None
    wait(parts.redis, Place.of_browser(cookie.value))
    assert tries(app, operator.key, client=known).status_code == 429
    spend(app, parts, ELSEWHERE)
    made_up.set_cookie("c2a_ops_known", "anything")
    assert tries(app, operator.key, ELSEWHERE, client=made_up).status_code == 429


def test_the_known_browsers_cookie_is_kept_nowhere_and_read_by_no_script(
    app: Flask, parts: Parts, operator: Shop
) -> None:
    browser = app.test_client()
    answer = tries(app, operator.key, client=browser)
    [told] = [one for one in answer.headers.getlist("Set-Cookie") if one.startswith("c2a_ops_known=")]
    assert {"HttpOnly", "SameSite=Strict"} <= {part.strip() for part in told.split(";")}
    cookie = browser.get_cookie("c2a_ops_known")
    assert cookie is not None
    assert not [name for name in parts.redis.scan_iter("*") if cookie.value.encode() in name]


def test_one_line_of_ipv6_is_one_address() -> None:
    line, same = (Place.of_address(f"2001:db8:0:1::{n}") for n in (1, 2))
    assert line == same
    assert line != Place.of_address("2001:db8:0:2::1")
    assert Place.of_address("") == Place.of_address("unknown"), "a socket of this machine is counted as well"


@pytest.mark.parametrize(("proxies", "status"), [(0, 429), (1, 403), (2, 429)])
def test_behind_proxies_of_ours_the_address_is_the_one_that_the_outermost_saw(
    parts: Parts, proxies: int, status: int
) -> None:
    """It comes through two of them, of which the outer one was told something else by its caller."""
    parts.redis.flushdb()
    settings = parts.settings.model_copy(update={"proxies": proxies})
    app = create_app(Parts(settings, parts.engine, parts.redis, parts.keyring, parts.clock))
    for n in range(FREE):
        tries(app, WRONG, X_Forwarded_For=f"{ELSEWHERE}, 203.0.113.{n}")
    for name in [name for name in parts.redis.scan_iter("tries:address:*") if not name.endswith(b":wait")]:
        if int(parts.redis.get(name) or 0) >= FREE:  # Then it waits, and now for long enough.
            parts.redis.set(name + b":wait", 1, ex=60)
    assert tries(app, WRONG, X_Forwarded_For=f"{ELSEWHERE}, {HERE}").status_code == status
