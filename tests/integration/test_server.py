"""What the served API does to clients who are slow, huge, malformed or silent (G1, G4 of the faults).

Raw sockets against the real process: no client library would send these.
"""

from __future__ import annotations

import gzip
import json
import signal
import socket
import time
from dataclasses import replace
from typing import BinaryIO, Final

import httpx
import pytest
from sqlalchemy import Engine

from api.patience import BODY_S
from api.server import OPTIONS
from deploy.stack.waiting import until
from shared.store.tenants import TenantSettings
from tests.support.front_door import a_shop
from tests.support.poller import captured, polling
from tests.support.served import PATH, Served, answer_on, ask
from tests.support.wire import a_request, an_order, fresh_card

CANARY: Final = "4111111111111111"


def test_a_body_over_the_cap_is_refused_however_it_is_framed_and_memory_stays_flat(served: Served) -> None:
    before = served.memory()
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"

    told = ask(served, served.head(f"Content-Length: {1 << 33}"), b"{}")
    chunked = ask(served, served.head("Transfer-Encoding: chunked"), *[chunk] * 32)
    padded = ask(served, served.head("Transfer-Encoding: chunked"), b"2\r\n{}\r\n", chunk, b"0\r\n\r\n")

    assert told == chunked == padded == (413, {"messageCode": "REQUEST_TOO_LARGE"})
    assert served.memory() - before < 20 << 20


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (f"GET /{'x' * 5_000} HTTP/1.1\r\n\r\n", 414),
        (f"GET / HTTP/1.1\r\nA: {CANARY * 4_096}\r\n\r\n", 431),
        ("GET / HTTP/1.1\r\n" + f"A: {CANARY}\r\n" * 100 + "\r\n", 431),
        (f"GET /{CANARY}\x01 HTTP/9\r\n\r\n", 400),
        (f"{CANARY}\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\n{CANARY}\r\n\r\n", 400),
        (f"GET / HTTP/1.1\r\nHost: x\r\nx-request-id: a\rb{CANARY}\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused_in_the_envelope_and_quoted_nowhere(
    served: Served, sent: str, status: int
) -> None:
    told = ask(served, sent.encode("latin-1"))

    assert told[0] == status
    assert set(told[1]) == {"messageCode"}
    until(lambda: b"request.malformed" in served.log.read_bytes(), "the refusal is logged", within_s=5)
    assert CANARY.encode() not in served.log.read_bytes()


def test_a_broken_chunk_is_a_bad_request(served: Served) -> None:
    told = ask(served, served.head("Transfer-Encoding: chunked"), b"ZZ\r\n{}\r\n0\r\n\r\n")

    assert told == (400, {"messageCode": "BAD_REQUEST"})


def test_a_body_that_dribbles_is_given_up_and_others_are_served_meanwhile(served: Served) -> None:
    began = time.monotonic()
    with served.connect() as slow:
        slow.sendall(served.head("Content-Length: 1000"))
        slow.settimeout(0.5)
        told = (0, {"messageCode": ""})
        while told[0] == 0 and time.monotonic() - began < BODY_S + 5:
            slow.sendall(b" ")
            assert httpx.get(f"http://127.0.0.1:{served.port}/healthz").status_code == 200
            try:
                told = answer_on(slow)
            except TimeoutError:
                continue

    assert told == (408, {"messageCode": "REQUEST_TIMEOUT"})
    assert BODY_S <= time.monotonic() - began < BODY_S + 3


@pytest.mark.parametrize("cut", ["nowhere", "before each body", "within each body", "before the second body"])
def test_however_requests_are_cut_each_is_answered_by_its_own_body(served: Served, engine: Engine, cut: str) -> None:
    served = replace(served, shop=a_shop(engine))  # Whose bucket is full.
    bodies = {"INVALID_REQUEST": b"{}", "BAD_REQUEST": b"no!", "INVALID_CARD": an_order_with_a_wrong_card()}
    heads = {code: served.head(f"Content-Length: {len(body)}") for code, body in bodies.items()}
    codes = list(bodies) * 3
    parts = {
        "nowhere": [b"".join(heads[code] + bodies[code] for code in codes)],
        "before each body": [part for code in codes for part in (heads[code], bodies[code])],
        "within each body": [part for code in codes for part in (heads[code] + bodies[code][:1], bodies[code][1:])],
        "before the second body": [heads[codes[0]] + bodies[codes[0]] + heads[codes[1]], bodies[codes[1]]],
    }
    with served.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts[cut]:
            client.sendall(part)
        with client.makefile("rb") as answers:
            told = [one_answer(answers) for _ in range(2 if cut == "before the second body" else len(codes))]

    assert told == codes[: len(told)]


@pytest.mark.parametrize("cut", ["with its head", "after its head"])
def test_a_body_that_is_not_read_is_taken_for_no_request(served: Served, engine: Engine, cut: str) -> None:
    """Who is over their limit is refused by the head alone, and the next request begins behind the body."""
    limits = TenantSettings(changes_per_minute=1, changes_burst=1)
    served = replace(served, shop=a_shop(engine, limits=limits))
    body = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    head, told = served.head(f"Content-Length: {len(body)}"), []
    with served.connect() as client, client.makefile("rb") as answers:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(4):
            if cut == "with its head":
                client.sendall(head + body)
            else:
                client.sendall(head)
                client.sendall(body)
            told.append(one_answer(answers))

    assert told == ["BAD_REQUEST", "RATE_LIMITED", "RATE_LIMITED", "RATE_LIMITED"]


def an_order_with_a_wrong_card() -> bytes:
    return json.dumps(a_request(an_order("of_1", "cu.1"), fresh_card("4111111111111112"))).encode()


def one_answer(answers: BinaryIO) -> str:
    """The code of the next answer, and nothing of what comes behind it."""
    length = 0
    while (line := answers.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return str(json.loads(answers.read(length))["status"]["messageCode"])


INNER: Final = b"DELETE /api/v1/c2a/customer/payment/methods/delete?p=pm.x.1 HTTP/1.1\r\nA: "
"""A body that would be a request with the head of the next one for its headers, its key among them."""
FRAMED: Final = {
    "by its length": ({"Content_Length": str(len(INNER))}, INNER),
    "in chunks": ({"Transfer_Encoding": "chunked"}, b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)),
}
WAYS: Final = {
    "quick": {},
    "by Flask": {"Accept": "application/clientOutput+Json"},
    "a stream": {"Accept": "text/event-stream"},
}


@pytest.mark.parametrize("cut", ["nowhere", "before the body", "within the body"])
@pytest.mark.parametrize("framed", FRAMED)
@pytest.mark.parametrize("way", WAYS)
def test_the_body_of_a_poll_that_would_wait_is_never_taken_for_a_request(
    served: Served, engine: Engine, way: str, framed: str, cut: str
) -> None:
    number = captured(engine, served).tracking_number
    lines, body = FRAMED[framed]
    with polling(served) as poller:
        poller.ask(number)
        poller.answer()  # From here on its key is remembered.
        asks, follows = poller.request(number, Prefer="wait=1", **WAYS[way], **lines), poller.request(number)
        first, *then = {
            "nowhere": [asks + body + follows],
            "before the body": [asks, body + follows],
            "within the body": [asks + body[:9], body[9:] + follows],
        }[cut]
        poller.send(first)
        told = poller.answer()
        assert (told.status, told.headers["connection"]) == (200, "keep-alive"), "it is no stream"
        for part in then:
            poller.send(part)
        next_told = poller.answer()

    assert (next_told.status, next_told.document.get("trackingNumber")) == (200, number)
    assert "preference-applied" not in told.headers, "it is answered at once"


def test_headers_that_dribble_end_with_the_connection(served: Served) -> None:
    began = time.monotonic()
    with served.connect() as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: ")

        assert slow.recv(1) == b""

    assert OPTIONS["keepalive"] <= time.monotonic() - began < OPTIONS["keepalive"] + 3


def test_a_compressed_body_is_refused_unread(served: Served) -> None:
    told = ask(served, served.head("Content-Encoding: gzip", "Content-Length: 2"), b"\x1f\x8b")

    assert told == (415, {"messageCode": "UNSUPPORTED_MEDIA_TYPE"})


def test_sigterm_answers_what_is_here_and_waits_for_nobody_idle(mortal: Served) -> None:
    with mortal.connect() as idle, mortal.connect() as busy:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer_on(idle)[0] == 200  # Kept alive, and now waited on.
        busy.sendall(mortal.head("Content-Length: 2", "Expect: 100-continue"))
        assert busy.recv(100).startswith(b"HTTP/1.1 100")  # Its head was read, and its body is waited for.
        mortal.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b""

        busy.sendall(b"{}")

        assert answer_on(busy) == (400, {"messageCode": "INVALID_REQUEST"})
    mortal.process.wait(timeout=OPTIONS["graceful_timeout"])
    assert mortal.process.returncode == 0


def test_sighup_brings_new_processes_and_no_request_is_lost_by_it(served: Served) -> None:
    first = served.workers()

    def now() -> set[int]:
        """The processes that are there, and others are answered meanwhile."""
        assert httpx.get(f"http://127.0.0.1:{served.port}/healthz").status_code == 200
        return served.workers()

    with served.connect() as idle, served.connect() as busy:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer_on(idle)[0] == 200
        busy.sendall(served.head("Content-Length: 2", "Expect: 100-continue"))
        assert busy.recv(100).startswith(b"HTTP/1.1 100")  # Its head was read, and its body is waited for.
        served.process.send_signal(signal.SIGHUP)
        assert idle.recv(1) == b"", "the first one was told to end"
        until(lambda: bool(now() - first), "another process was begun", within_s=30)
        busy.sendall(b"{}")
        assert answer_on(busy) == (400, {"messageCode": "INVALID_REQUEST"})
    until(lambda: not now() & first, "the first one is gone", within_s=30)
    assert served.process.poll() is None


def test_every_log_line_is_one_json_object(served: Served) -> None:
    httpx.post(
        f"http://127.0.0.1:{served.port}{PATH}", headers=served.shop.headers | {"x-request-id": "abc"}, json={"a": 1}
    )

    until(lambda: b'"request_id": "abc"' in served.log.read_bytes(), "the request is logged", within_s=5)
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    (mine,) = [line for line in lines if line.get("request_id") == "abc" and line["event"] == "request"]
    assert (mine["method"], mine["route"], mine["status"]) == ("POST", PATH, 400)
    assert mine["tenant"] == str(served.shop.tenant_id)
    assert served.shop.key not in served.log.read_text()


def test_a_body_that_unfolds_or_comes_in_another_encoding_is_refused_and_memory_stays_flat(served: Served) -> None:
    bomb = gzip.compress(b" " * (64 << 20))
    before = served.memory()

    coded = ask(served, served.head("Content-Encoding: gzip", f"Content-Length: {len(bomb)}"), bomb)
    transferred = ask(served, served.head("Transfer-Encoding: gzip, chunked"), b"2\r\n{}\r\n0\r\n\r\n")
    wide = '{"order": {}}'.encode("utf-16")
    in_utf_16 = ask(served, served.head(f"Content-Length: {len(wide)}"), wide)

    assert coded == (415, {"messageCode": "UNSUPPORTED_MEDIA_TYPE"})
    assert transferred[0] in (400, 415)
    assert in_utf_16 == (400, {"messageCode": "BAD_REQUEST"})
    assert served.memory() - before < 20 << 20


def test_a_chunked_body_that_dribbles_is_given_up(served: Served) -> None:
    began = time.monotonic()
    with served.connect() as slow:
        slow.sendall(served.head("Transfer-Encoding: chunked"))
        slow.settimeout(0.5)
        told = (0, {"messageCode": ""})
        while told[0] == 0 and time.monotonic() - began < BODY_S + 5:
            slow.sendall(b"1\r\n \r\n")
            try:
                told = answer_on(slow)
            except TimeoutError:
                continue

    assert told == (408, {"messageCode": "REQUEST_TIMEOUT"})


@pytest.mark.parametrize(
    ("twice", "status"),
    [
        ("x-api-key: {key}", 401),
        ("x-tn: {tenant}", 401),
        ("Host: other.example", 400),
        ("Content-Type: text/plain", 400),
        ("Content-Length: 2", 400),
    ],
)
def test_a_header_that_is_sent_twice_is_refused_and_never_chosen_from(served: Served, twice: str, status: int) -> None:
    line = twice.format(key=served.shop.key, tenant=served.shop.tenant_id)

    told = ask(served, served.head(line, "Content-Length: 2"), b"{}")

    assert told[0] == status


@pytest.mark.parametrize("method", ["BREW", "TRACE", "PUT", "DELETE", "PROPFIND", "get", "P0ST", "X" * 20])
def test_an_odd_method_is_405_or_no_request_at_all(served: Served, method: str) -> None:
    told = ask(served, served.head("Content-Length: 0", method=method))

    assert told in ((405, {"messageCode": "METHOD_NOT_ALLOWED"}), (400, {"messageCode": "BAD_REQUEST"}))


INWARD: Final = (
    "/console", "/?__debugger__=yes&cmd=resource&f=debugger.js", "/debug/pprof", "/.env", "/.git/config",
    "/server-status", "/static/../api/server.py",
    "/api/v1/c2a/docs/..%2f..%2fapi%2fserver.py", "/api/v1/c2a/docs/../../../etc/passwd",
    "/api/v1/c2a/docs/%2e%2e", "//evil.example/", "/api/v1/c2a/offer/checkout%00", "/actuator/env",
)  # fmt: skip


@pytest.mark.parametrize("path", INWARD)
def test_there_is_no_route_that_shows_our_insides(served: Served, path: str) -> None:
    told = ask(served, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    assert told == (404, {"messageCode": "NOT_FOUND"})


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"{PATH}/trk_%00/status", "ORDERED_ITEM_NOT_FOUND"),
        ("/api/v1/c2a/psp/sandbox/%00/webhook", "NOT_FOUND"),
    ],
)
def test_a_nul_in_an_address_is_no_trouble_of_ours(served: Served, path: str, code: str) -> None:
    head = served.head("Content-Length: 0", method="POST" if path.endswith("webhook") else "GET")

    assert ask(served, head.replace(PATH.encode(), path.encode(), 1)) == (404, {"messageCode": code})


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script-Name", "PATH_INFO"])
@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("/x/ops/login", "/x", (404, "NOT_FOUND")),
        ("/x/ops/login", "/ops/login", (404, "NOT_FOUND")),
        ("/healthz", "/ops/login", (200, "SUCCESS")),
        ("/healthz", "/elsewhere", (200, "SUCCESS")),
    ],
)
def test_no_header_says_where_a_path_begins(
    served: Served, name: str, path: str, value: str, told: tuple[int, str]
) -> None:
    """A proxy on this host, whom gunicorn trusts as it is shipped, passes what a stranger sends to a path it knows."""
    answer = ask(served, f"GET {path} HTTP/1.1\r\nHost: x\r\n{name}: {value}\r\nConnection: close\r\n\r\n".encode())

    assert (answer[0], answer[1]["messageCode"]) == told


@pytest.mark.parametrize(
    "broken", ["a%0d%0aSet-Cookie:%20x=1", "a%0a{%22event%22:%22forged%22}", "a%1b[31m", "a%e2%80%a8b"]
)
def test_a_line_break_in_an_id_breaks_neither_the_answer_nor_the_log(served: Served, broken: str) -> None:
    keys = "".join(f"{name}: {value}\r\n" for name, value in served.shop.headers.items())
    for path in (f"{PATH}/{broken}/status", f"/api/v1/c2a/customer/payment/methods/list?c={broken}"):
        with served.connect() as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{keys}Connection: close\r\n\r\n".encode())
            heard = b"".join(iter(lambda: client.recv(65_536), b""))

        assert heard.split()[1] in (b"400", b"404")
        assert b"set-cookie" not in heard.lower()
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    assert "forged" not in {line["event"] for line in lines}
