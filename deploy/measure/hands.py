"""Does work on several connections side by side, with an ear for whoever wants it to stop."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from queue import Empty, SimpleQueue
from typing import Final

from deploy.measure import database
from deploy.measure.bar import Bar
from deploy.measure.database import Connection
from deploy.measure.year import FAST, Work
from deploy.stack import signals

HANDS: Final = 2
"""Connections: as many as the smallest machine we measure on has cores."""
LOOK_EVERY_S: Final = 0.25


def do(url: str, works: Sequence[Work], bar: Bar) -> None:
    """Do all of *works*, the first ones first. Raises psycopg.Error, or StopAsked once what ran was cancelled."""
    waiting: SimpleQueue[Work] = SimpleQueue()
    for work in works:
        waiting.put(work)
    stopping = threading.Event()
    conns = [database.connected(url) for _ in range(min(HANDS, len(works)))]
    with ThreadPoolExecutor(len(conns)) as pool:
        tasks = [pool.submit(_work, conn, waiting, stopping, bar) for conn in conns]
        try:
            _watch(tasks, bar)
        finally:
            stopping.set()
            while wait(tasks, LOOK_EVERY_S).not_done:
                for conn in conns:  # Again: what was cancelled between two statements began the next one.
                    conn.cancel()
    for task in tasks:
        task.result()


def _watch(tasks: Sequence[Future[None]], bar: Bar) -> None:
    """Until all are done, or one failed."""
    while True:
        done, others = wait(tasks, LOOK_EVERY_S, FIRST_EXCEPTION)
        if not others or any(task.exception() for task in done):
            return
        signals.check()
        bar.show()


def _work(conn: Connection, waiting: SimpleQueue[Work], stopping: threading.Event, bar: Bar) -> None:
    with conn:
        for setting in FAST:
            conn.execute(setting)
        while not stopping.is_set():
            try:
                work = waiting.get_nowait()
            except Empty:
                return
            work.do(conn, bar.advance)
