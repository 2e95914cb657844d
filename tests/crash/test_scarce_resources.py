"""B6: a database without disk space, an API without descriptors or memory: 503 while it lasts, and nothing is lost.

What was answered 202 ends, what was answered 503 (or not at all) is the client's to repeat, and both work again by
themselves once there is room.
"""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from typing import Final

import httpx
import psutil
import pytest
from pydantic import SecretStr

from shared.domain.offers import Offer
from tests.crash import beginnings
from tests.support import api_process, crash_case, process_environment
from tests.support.api_process import ApiProcess
from tests.support.crash_case import SUBMIT, Case, Floor
from tests.support.own_postgres import own_postgres
from tests.support.psp import until
from tests.support.wire import Document

UNANSWERED: Final = 0
"""What a client hears whose connection ended without an answer."""
FILES: Final = 64
"""A tenth of what any system gives a process."""
AT_ONCE: Final = 12
"""Requests on connections that are open: more than the process has descriptors left for, fewer than it has in all."""
COPIES: Final = 4
ROUNDS: Final = 3
PADDING: Final = {"unknown": "x" * 60_000}
"""Four dozen requests near the largest there may be need megabytes at once; an unknown field is ignored."""
LEFT_ON_DISK: Final = 160 << 10
"""Some orders' worth of log: the first costs 120 KiB, as a page of each table and index comes in full once."""
REFUSED: Final = 3
AT_MOST: Final = 100
"""Orders of 4 KiB, so that there is an end to it."""


@pytest.fixture(scope="module")
def api(floor: Floor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """The API as a process, on the floor's servers and with its keys."""
    with api_process.running(process_environment.of(floor.settings), tmp_path_factory.mktemp("api")) as running:
        yield running


def test_a_disk_that_is_full_under_the_log_refuses_orders_and_loses_none(case: Case) -> None:
    """RLIMIT_FSIZE stands for it: PostgreSQL cannot write its log on, crashes, recovers to where it was, crashes."""
    with own_postgres() as database:
        settings = case.floor.settings.model_copy(update={"database_url": SecretStr(database.url)})
        with crash_case.floor(settings, case.floor.sandbox, case.floor.hooks) as floor:
            here = floor.case()
            offer = here.seller.offer(single_use=False)
            [(written,)] = database.ask("SELECT (pg_walfile_name_offset(pg_current_wal_lsn())).file_offset")
            database.end()
            database.start_on_full_disk(written + LEFT_ON_DISK)
            documents = list(until_refused(here, offer))

            database.kill()
            database.start()
            floor.hang_up()
            for document in documents:
                assert here.submit(document)[0] == 202
            assert here.violations(within_s=60) == []
            assert len(here.records().charges) == len(documents) > REFUSED, "it became full between two orders"


def test_an_api_without_descriptors_says_503_until_there_are_some(case: Case, api: ApiProcess) -> None:
    documents = [case.document(beginnings.pay_with()) for _ in range(AT_ONCE)]
    heard: list[set[int]] = []

    def were_answered() -> bool:
        """Whether all were; a kept connection that is not used for 5 s is closed."""
        with ExitStack() as connections:
            kept = [connections.enter_context(connected(api)) for _ in documents]
            with (
                limited(api.server, resource.RLIMIT_NOFILE, FILES),
                hoarding(api),
                ThreadPoolExecutor(AT_ONCE) as clients,
            ):
                heard.append(set(clients.map(lambda one, what: post_on(one, case, what), kept, documents)))
        return UNANSWERED not in heard[-1]

    assert any(were_answered() for _ in range(ROUNDS)), heard
    assert set.union(*heard) <= {202, 503, UNANSWERED}
    assert 503 in heard[-1]
    assert_all_are_accepted_and_end(case, api, documents)


def test_an_api_without_memory_says_503_or_nothing_until_there_is_some(case: Case, api: ApiProcess) -> None:
    """Where there is none even to take a connection, the client hears nothing and repeats, as after a crash."""
    documents = [case.document(beginnings.pay_with()) for _ in range(AT_ONCE)]
    server = api.server
    large = [document | PADDING for document in documents * COPIES]
    with limited(server, resource.RLIMIT_AS, server.memory_info().vms), ThreadPoolExecutor(len(large)) as clients:
        heard = set(clients.map(lambda what: post(api, case, what), large))
    assert heard <= {202, 503, UNANSWERED}
    assert heard != {202}, "it had enough"
    assert_all_are_accepted_and_end(case, api, documents)


def until_refused(case: Case, offer: Offer) -> Iterator[Document]:
    """Submit orders until so many are refused that the disk is full for good; all of them."""
    refused = 0
    for _ in range(AT_MOST):
        document = case.document(beginnings.pay_with(), offer=offer)
        yield document
        status, _, _ = case.submit(document)
        assert status in (202, 503)
        refused += status == 503
        if refused == REFUSED:
            return
    raise AssertionError("the disk never was full")


def assert_all_are_accepted_and_end(case: Case, api: ApiProcess, documents: list[Document]) -> None:
    """What a client does that obeys Retry-After, and what must come of it."""
    for document in documents:
        until(lambda document=document: post(api, case, document) == 202, seconds=20)  # type: ignore[misc]
    assert case.violations(within_s=60) == []
    assert len(case.records().charges) == len(documents)


@contextmanager
def limited(process: psutil.Process, which: int, soft: int) -> Iterator[None]:
    """*process* may have no more than *soft* of *which* within."""
    before, hard = process.rlimit(which)
    process.rlimit(which, (soft, hard))
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):  # It died of it, and its master has made another.
            process.rlimit(which, (before, hard))


@contextmanager
def connected(api: ApiProcess) -> Iterator[HTTPConnection]:
    """A connection that has been served once, and is kept."""
    connection = HTTPConnection("127.0.0.1", api.port, timeout=20)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        yield connection
    finally:
        connection.close()


@contextmanager
def hoarding(api: ApiProcess) -> Iterator[None]:
    """Somebody holds so many connections that the process has no descriptor left."""
    with ExitStack() as hoard:
        for _ in range(FILES):
            hoard.enter_context(socket.create_connection(("127.0.0.1", api.port), timeout=20))
        until(lambda: api.server.num_fds() >= FILES)
        yield


def post_on(connection: HTTPConnection, case: Case, document: Document) -> int:
    """POST on an open connection; the status."""
    body = httpx.Request("POST", "http://x", json=document).content
    try:
        connection.request("POST", SUBMIT, body, case.seller.shop.headers | {"content-type": "application/json"})
        heard = connection.getresponse()
        answer = httpx.Response(heard.status, headers=heard.getheaders(), content=heard.read())
    except (OSError, HTTPException):
        return noted(case, document, None)
    return noted(case, document, answer)


def post(api: ApiProcess, case: Case, document: Document) -> int:
    """POST on a connection of its own; the status."""
    headers = case.seller.shop.headers
    try:
        answer = httpx.post(api.base_url + SUBMIT, json=document, headers=headers, timeout=20, trust_env=False)
    except httpx.TransportError:
        return noted(case, document, None)
    return noted(case, document, answer)


def noted(case: Case, document: Document, answer: httpx.Response | None) -> int:
    """Write down what was heard; a refusal tells when to come back."""
    if answer is None:
        return case.note(document, (UNANSWERED, None, {}))[0]
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        assert int(answer.headers["retry-after"]) >= 1
    return case.note(document, (answer.status_code, answer.json(), dict(answer.headers)))[0]
