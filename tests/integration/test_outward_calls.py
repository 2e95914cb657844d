"""What a tenant's URL makes us call when an event is sent: only what it was judged to be, at that moment (W3, W4)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from shared.config import Mode
from shared.domain.outcomes import NotSent, Unanswered
from shared.outward import Outward
from shared.psp.http import Answer, Patience
from shared.urls import webhook_url
from tests.support import evil, lateness
from tests.support.doors import a_door, has_address
from tests.support.evil import dribbled, saying, serving
from tests.support.psp import Receiver, receiver

PUBLIC: Final = "93.184.215.14"


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def known_as(*answers: str) -> Callable[..., list[Any]]:
    """A resolver whose first answer is the first of these, and so on; the last stays."""
    left = list(answers)

    def resolve(host: str, port: int | None, **_: object) -> list[Any]:
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(0, 0, 0, "", (address, port))]

    return resolve


def sent(outward: Outward, url: str) -> Answer | NotSent | Unanswered:
    try:
        return outward.post(url, headers={"webhook-id": "1"}, body=b"{}")
    finally:
        outward.close()


def test_a_public_name_is_called_at_the_address_that_was_judged(hook: Receiver) -> None:
    """This machine plays the public internet, as development lets it; the name has no other address."""
    url = hook.url.replace("127.0.0.1", "hooks.shop.example")

    told = sent(Outward(Mode.DEVELOPMENT, resolve=known_as("127.0.0.1")), url)

    assert told == Answer(204, b"")
    assert hook.next().headers["Host"].startswith("hooks.shop.example:")


def test_a_name_that_was_public_when_saved_and_leads_inside_when_called_is_not_called() -> None:
    resolve = known_as(PUBLIC, "127.0.0.1")
    with a_door() as door:
        url = webhook_url(f"https://hooks.shop.example:{door.port}", Mode.PRODUCTION, resolve)

        told = sent(Outward(Mode.PRODUCTION, resolve=resolve), url)

        assert isinstance(told, NotSent)
        assert not door.was_knocked_at()


def test_each_connection_looks_up_once_and_goes_where_that_look_up_led(hook: Receiver) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        return [(0, 0, 0, "", ("127.0.0.1" if len(asked) == 1 else "10.0.0.1", port))]

    told = sent(Outward(Mode.DEVELOPMENT, resolve=resolve), hook.url.replace("127.0.0.1", "hooks.shop.example"))

    assert told == Answer(204, b"")
    assert asked == ["hooks.shop.example"]


HERE = ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"]
IPV6 = pytest.param("[::1]", marks=pytest.mark.skipif(not has_address("::1"), reason="this machine has no ::1"))


@pytest.mark.parametrize("host", [*HERE, IPV6])
def test_what_names_this_machine_is_not_called_in_production(host: str) -> None:
    with a_door("::1" if host == "[::1]" else "127.0.0.1") as door:
        assert isinstance(sent(Outward(Mode.PRODUCTION), f"https://{host}:{door.port}/"), NotSent)
        assert not door.was_knocked_at()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_inward_is_an_answer_and_is_not_followed(hook: Receiver, status: int) -> None:
    redirect = f"HTTP/1.1 {status} Moved\r\nLocation: {hook.url}\r\nContent-Length: 0\r\n\r\n".encode()

    with serving(saying(redirect)) as url:
        told = sent(Outward(Mode.DEVELOPMENT), url)

    assert told == Answer(status, b"")
    assert hook.hooks.empty()


def test_a_proxy_of_the_environment_is_not_used(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert sent(Outward(Mode.DEVELOPMENT), hook.url) == Answer(204, b"")


IMPATIENT: Final = Patience(connect_s=1.5, read_s=1.5, total_s=2.0, answer_limit=1_024)
"""Short enough to wait for, and long enough for a good receiver on a busy machine."""


@pytest.mark.parametrize(
    "behaviour",
    [
        evil.silent,
        dribbled(b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n", every_s=0.05),
        dribbled(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x", every_s=0.05),
        dribbled(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536, every_s=0.01),
    ],
    ids=["silent", "headers without end", "a slow body", "a body without end"],
)
def test_a_receiver_that_is_slow_or_endless_is_left_in_time_and_others_are_told_on_time(
    hook: Receiver, behaviour: evil.Behaviour
) -> None:
    outward = Outward(Mode.DEVELOPMENT, IMPATIENT)
    with serving(behaviour) as url, lateness.watched() as late:
        told: list[object] = []
        bad = threading.Thread(target=lambda: told.append(outward.post(url, headers={}, body=b"{}")))
        began = time.monotonic()
        bad.start()
        good = outward.post(hook.url, headers={}, body=b"{}")
        others = time.monotonic() - began - late.seconds
        bad.join()
        waited = time.monotonic() - began - late.seconds
    outward.close()

    assert good == Answer(204, b"")
    assert isinstance(told[0], Unanswered)
    assert others < 1.0
    assert waited < IMPATIENT.total_s + 1


def test_a_name_with_any_address_inside_is_not_called_at_the_others(hook: Receiver) -> None:
    def resolve(host: str, port: int, **_: object) -> list[Any]:
        return [(0, 0, 0, "", (address, port)) for address in ("127.0.0.1", "10.0.0.1")]

    told = sent(Outward(Mode.DEVELOPMENT, resolve=resolve), hook.url.replace("127.0.0.1", "hooks.shop.example"))

    assert isinstance(told, NotSent)
    assert hook.hooks.empty()


def test_the_machines_own_resolver_is_judged_as_well() -> None:
    assert "127.0.0.1" in {entry[4][0] for entry in socket.getaddrinfo("localhost", 443)} <= {"127.0.0.1", "::1"}
    with a_door() as door:
        assert isinstance(sent(Outward(Mode.PRODUCTION), f"https://localhost:{door.port}/"), NotSent)
        assert not door.was_knocked_at()
