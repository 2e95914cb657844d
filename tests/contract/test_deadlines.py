"""Every call to a PSP ends on time and says NotSent only when that is proven (fault C5)."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from shared.domain.outcomes import NotSent, Unanswered
from shared.psp import http as http_module
from shared.psp.http import Answer, Http, Patience
from shared.psp.names import PER_NAME
from tests.contract.conftest import PATIENCE
from tests.support import evil, lateness
from tests.support.psp import until

GRACE_S = 1.0
"""What a busy machine may add to a deadline."""
HEAD = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def _over_within(seconds: float) -> Iterator[None]:
    with lateness.watched() as late:
        began = time.monotonic()
        yield
        took = time.monotonic() - began
    assert took - late.seconds <= seconds + GRACE_S


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(evil.silent, id="silent"),
        pytest.param(evil.dribbled(HEAD, b"x", every_s=0.05), id="a header that never ends"),
        pytest.param(evil.dribbled(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", every_s=0.05),
                     id="promises without end"),
        pytest.param(evil.dribbled(HEAD + b"Content-Length: 99999\r\n\r\n", b"x", every_s=0.05), id="a dribbled body"),
        pytest.param(evil.dribbled(HEAD + b"\r\n", b"x" * 10_000, every_s=0.05), id="an endless body"),
    ],
)  # fmt: skip
def test_a_call_ends_by_its_deadline_whatever_the_server_does(http: Http, behaviour: evil.Behaviour) -> None:
    with evil.serving(behaviour) as url, _over_within(PATIENCE.total_s):
        assert http.call("POST", url, headers={}, body=b"{}") == Unanswered("timed out")


def test_an_answer_over_the_cap_is_given_up_before_the_deadline() -> None:
    small = Http(Patience(connect_s=0.5, read_s=5, total_s=10, answer_limit=100_000))
    flood = evil.dribbled(HEAD + b"\r\n", b"x" * 60_000, every_s=0.01)
    with evil.serving(flood) as url, _over_within(1.0):
        assert small.call("GET", url, headers={}) == Unanswered("answer too large")


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(evil.cut_at_once, id="cut"),
        pytest.param(evil.saying(b"SSH-2.0-OpenSSH_9\r\n\r\n"), id="not HTTP"),
        pytest.param(evil.saying(HEAD + b"Content-Length: 50\r\n\r\n{"), id="cut in the body"),
    ],
)
def test_a_connection_that_breaks_after_we_wrote_is_unanswered(http: Http, behaviour: evil.Behaviour) -> None:
    with evil.serving(behaviour) as url:
        assert http.call("POST", url, headers={}, body=b"{}") == Unanswered("connection broken")


def test_a_refused_connection_was_not_sent(http: Http) -> None:
    with socket.socket() as deaf:  # Bound, so that nobody else listens there.
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        assert http.call("POST", f"http://127.0.0.1:{port}", headers={}) == NotSent("no connection")


def test_a_name_that_does_not_exist_was_not_sent(http: Http) -> None:
    with _over_within(PATIENCE.connect_s):
        assert http.call("POST", "http://psp.invalid/v1", headers={}) == NotSent("no connection")


class SilentNames:
    """A resolver that says nothing of names that begin with "silent", and of others that they are this machine."""

    def __init__(self, times: int) -> None:
        self.over = threading.Event()
        self.asked: Counter[str] = Counter()
        self._times = times

    def __call__(self, host: str, port: int, **_: object) -> list[object]:
        """What getaddrinfo says; of a silent name nothing for so many *times*."""
        self.asked[host] += 1
        if host.startswith("silent") and self.asked[host] <= self._times:
            self.over.wait(30)
        return [(0, 0, 0, "", ("127.0.0.1", port))]


def test_a_resolver_that_hangs_ends_by_the_connect_timeout() -> None:
    names = SilentNames(times=1)
    calls = Http(PATIENCE, resolve=names)
    with _over_within(PATIENCE.connect_s):
        told = calls.call("POST", "http://silent.test/", headers={})
    names.over.set()
    calls.close()

    assert told == NotSent("no connection")
    assert names.asked == {"silent.test": 1}


def test_names_that_nobody_answers_for_hold_up_no_call_of_another() -> None:
    """Each is a tenant's, with a dozen events due; so many would else hold every thread that looks names up."""
    names, ok = SilentNames(times=1_000), HEAD + b"Content-Length: 0\r\n\r\n"
    calls = Http(PATIENCE, resolve=names)
    with evil.serving(evil.saying(ok)) as url, ThreadPoolExecutor(96) as callers:
        silent = [callers.submit(calls.call, "POST", f"http://silent{n % 8}.test/", headers={}) for n in range(96)]
        until(lambda: names.asked.total() >= 4)
        with _over_within(PATIENCE.connect_s / 2):
            told = calls.call("GET", url.replace("127.0.0.1", "good.test"), headers={})
        outcomes = {one.result() for one in silent}
        names.over.set()
    calls.close()

    assert told == Answer(200, b"")
    assert outcomes == {NotSent("no connection")}
    assert max(names.asked.values()) <= PER_NAME


def test_a_look_up_whose_answer_was_lost_holds_up_its_name_for_one_call() -> None:
    names, ok = SilentNames(times=1), HEAD + b"Content-Length: 0\r\n\r\n"
    calls = Http(PATIENCE, resolve=names)
    with evil.serving(evil.saying(ok)) as url:
        told = [calls.call("GET", url.replace("127.0.0.1", "silent.test"), headers={}) for _ in range(2)]
        names.over.set()
    calls.close()

    assert told == [NotSent("no connection"), Answer(200, b"")]


def test_a_server_that_takes_no_connection_was_not_sent(http: Http) -> None:
    """A full backlog: the kernel drops our SYN, as a firewall would."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.settimeout(0)
            caller.connect_ex(address)
        with _over_within(PATIENCE.connect_s):
            assert http.call("POST", f"http://127.0.0.1:{address[1]}", headers={}) == NotSent("no connection")
        for caller in callers:
            caller.close()


def test_a_tls_handshake_that_fails_or_stalls_was_not_sent(http: Http) -> None:
    for behaviour in (evil.silent, evil.saying(b"no TLS here")):
        with evil.serving(behaviour) as url, _over_within(PATIENCE.connect_s):
            secure = url.replace("http://", "https://")
            assert http.call("POST", secure, headers={}, body=b"{}") == NotSent("no connection")


def test_no_connection_free_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "CONNECTIONS", 1)
    narrow = Http(Patience(connect_s=1.0, read_s=3.0, total_s=3.0))
    with evil.serving(evil.silent) as url, ThreadPoolExecutor(2) as together:
        outcomes = set(together.map(lambda _: narrow.call("GET", url, headers={}), range(2)))
    assert outcomes == {NotSent("no connection free"), Unanswered("timed out")}


def test_a_redirect_is_an_answer_and_is_not_followed(http: Http) -> None:
    away = b"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with evil.serving(evil.saying(away)) as url:
        assert http.call("POST", url, headers={}, body=b"{}") == Answer(307, b"")
