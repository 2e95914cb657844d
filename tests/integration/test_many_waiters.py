"""A process holds answers of more pollers than it serves at once, and an order that is waited for is hardly read."""

from __future__ import annotations

import json
import resource
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Engine, text

from api.server import OPTIONS
from shared.config import Settings
from shared.ids import new_tracking_number
from tests.support import pg_proxy
from tests.support.poller import Poller, captured, end, polling
from tests.support.psp import until
from tests.support.served import Served, serving

PROCESSING: Final = "CHECK_OUT_PROCESSING"
DONE: Final = "CHECK_OUT_DONE"
MANY: Final = int(OPTIONS["worker_connections"]) + 25
SIDE_BY_SIDE: Final = 25
"""Polls that come to the process at once: none waits for a connection for so long that it is refused."""


def test_who_is_woken_cost_fewer_than_five_reads(
    settings: Settings, engine: Engine, postgres_url: str, tmp_path: Path
) -> None:
    """Those of who they are, of where the order stood and stands now, and a look while they waited."""
    with pg_proxy.before(postgres_url) as proxy:
        through = settings.model_copy(update={"database_url": SecretStr(proxy.url)})
        with serving(through, engine, tmp_path) as served, polling(served) as poller:
            first, order = captured(engine, served), captured(engine, served)
            poller.ask(first.tracking_number, Prefer="wait=1")  # From now on the process listens.
            poller.answer()
            before = proxy.round_trips
            poller.ask(order.tracking_number, Prefer="wait=20")
            assert poller.hears_nothing_for(0.5)
            end(engine, order)
            assert poller.answer().code == DONE
            cost = proxy.round_trips - before

    assert 0 < cost < 5


def test_more_wait_than_a_process_serves_at_once_and_others_are_answered_meanwhile(
    served: Served, engine: Engine
) -> None:
    tenant, numbers = served.shop.tenant_id, [new_tracking_number() for _ in range(MANY)]
    those_captured(engine, tenant, numbers)
    with ExitStack() as hang_up:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * MANY)), hard))
        hang_up.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        pollers: list[Poller] = []
        told = Told(served)
        for number in numbers:
            pollers.append(hang_up.enter_context(polling(served)))
            pollers[-1].ask(number, Prefer="wait=30", x_request_id=f"one-of-many-{number}")
            if len(pollers) % SIDE_BY_SIDE == 0:
                until(partial(told.so_often, "request", len(pollers)), seconds=20)
        another = hang_up.enter_context(polling(served))
        another.ask(captured(engine, served).tracking_number)
        assert another.answer().code == PROCESSING
        assert pollers[-1].hears_nothing_for(0.1)
        all_end(engine, numbers)

        assert {poller.answer().code for poller in pollers} == {DONE}
        until(partial(told.so_often, "request.held", MANY))


def those_captured(engine: Engine, tenant: UUID, numbers: list[str]) -> None:
    """Orders of *numbers* that wait for their end."""
    with engine.begin() as conn:
        conn.execute(
            text("""
                INSERT INTO orders (tenant_id, tracking_number, state, offer_identifier, customer_urn, channel,
                                    carries_card, keeps_method, request, amount_minor, currency, due_at)
                SELECT :tenant, number, 'captured', 'of_test', 'cu.00.482', 'CreditCard', false, false, '{}', 1499,
                       'EUR', now() + interval '1 hour'
                FROM unnest(CAST(:numbers AS text[])) AS number"""),
            {"tenant": tenant, "numbers": numbers},
        )


def all_end(engine: Engine, numbers: list[str]) -> None:
    """Let all be done at the same moment, without a word: a look finds them."""
    ends = "UPDATE orders SET state = 'done', version = version + 1, finished_at = now(), due_at = NULL"
    with engine.begin() as conn:
        conn.execute(text(f"{ends} WHERE tracking_number = ANY (:numbers)"), {"numbers": numbers})


class Told:
    """What the log tells of those who wait side by side. It is read on from where it was read to: the first of them
    wait for as long as it takes to see the last ones come."""

    def __init__(self, served: Served) -> None:
        self._log, self._read_to = served.log, served.log.stat().st_size
        self._events: Counter[str] = Counter()

    def so_often(self, event: str, count: int) -> bool:
        """Whether so many of them were told of by *event*."""
        with self._log.open("rb") as log:
            log.seek(self._read_to)
            whole = log.read().rpartition(b"\n")[0]
        lines = whole.splitlines()
        self._read_to += len(whole) + 1 if whole else 0
        self._events.update(str(json.loads(line)["event"]) for line in lines if b"one-of-many-" in line)
        return self._events[event] == count
