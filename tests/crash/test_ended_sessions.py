"""B3: every session of the product is ended five times a second while orders come: repeats, and nothing else.

Clients hear 202 or 503, and of a database that left them alone not a word; a step is taken once more at most, and
what was undone then is rung for again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest
from sqlalchemy.engine import make_url

from deploy.crashtest.server_faults import END_ALL, SESSIONS_EVERY_S
from deploy.stack.postgres import ADMIN
from shared.domain.offers import Offer
from tests.crash import beginnings
from tests.support import process_environment, worker_process
from tests.support.crash_case import PATIENT_REFUSAL, Case, Floor
from tests.support.psp import until
from tests.support.wire import Document

STORM_S: Final = 2.5
CLIENTS: Final = 3
"""One less than the floor's pool has connections."""
EVERY_S: Final = 0.2
"""Fifteen orders a second together: a worker on a busy machine keeps up."""
ENDED_AT_LEAST: Final = 12
"""One a storm; each should meet connections of the front door and of the worker."""


@pytest.fixture(scope="module")
def worker_log(floor: Floor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What a worker, a process of its own, writes."""
    folder = tmp_path_factory.mktemp("worker")
    with worker_process.running(floor.settings, folder, process_environment.of(floor.settings)):
        yield folder / "worker.log"


def test_sessions_that_are_ended_every_200_ms_cost_repeats_and_nothing_else(case: Case, worker_log: Path) -> None:
    offer = case.seller.offer(single_use=False)
    with storm(case) as ended, ThreadPoolExecutor(CLIENTS) as clients:
        began = time.monotonic()
        ordering = [clients.submit(orders_until, case, offer, began + STORM_S) for _ in range(CLIENTS)]
        sold = sum(one.result(60) for one in ordering)
    case.floor.hang_up()

    assert ended.count >= ENDED_AT_LEAST
    assert "step.again" in worker_log.read_text(), "no step was ever undone"
    assert case.violations(within_s=60) == []
    assert [charge.net for charge in case.records().charges if charge.net] == [1499] * sold


def orders_until(case: Case, offer: Offer, ends_at: float) -> int:
    """What a shop does meanwhile: order after order, each repeated until it is accepted; how many."""
    count = 0
    while time.monotonic() < ends_at:
        document = case.document(beginnings.pay_with(), offer=offer)

        def is_accepted(document: Document = document) -> bool:
            status, told, _ = case.submit(document)
            assert status == 202 or (status, told) == (503, PATIENT_REFUSAL)
            return status == 202

        until(is_accepted, seconds=20)
        count += 1
        time.sleep(EVERY_S)
    return count


class Ended:
    """How many sessions were ended."""

    count = 0


@contextmanager
def storm(case: Case) -> Iterator[Ended]:
    """Within, every session of this database but our own is ended every 200 ms."""
    url = make_url(case.floor.settings.database_url.get_secret_value()).set(username=ADMIN)
    over, ended = threading.Event(), Ended()

    def end() -> None:
        with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as conn:
            while not over.wait(SESSIONS_EVERY_S):
                ended.count += len(conn.execute(END_ALL).fetchall())

    ender = threading.Thread(target=end)
    ender.start()
    try:
        yield ended
    finally:
        over.set()
        ender.join()
