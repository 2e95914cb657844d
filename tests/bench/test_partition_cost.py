"""What it costs a poll and a move that orders lie in partitions by month: less than a tenth of either.

Both ways in the same run, in turn: whole tables, as they were before, and two years of months. Judged is the CPU time
that a statement takes of its caller's thread and of its PostgreSQL session.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psutil
import pytest
from sqlalchemy import Engine, func, select, text

from shared.domain.states import OrderEvent, OrderState
from shared.ids import first_number_at
from shared.store import migrate, moves, status
from shared.store.engine import create_engine, statements
from shared.store.orders import Order
from shared.store.row_security import Role
from shared.store.tenancy import acting_for
from tests.support.earlier_schema import at_revision
from tests.support.order_crowds import a_crowd
from tests.support.order_rows import an_order
from tests.support.servers import TestServers

WHOLE: Final = "0007"
MONTHS: Final = 24
CROWD: Final = 2_000
ROUNDS: Final = 20
POLLS: Final = 100
MOVES: Final = 40
"""A round: a session's CPU time is told in hundredths of a second, and all rounds take a second or more of it."""
WARM: Final = 10
"""psycopg prepares a statement at its sixth run, PostgreSQL keeps its plan five runs later."""
MOST: Final = 1.10


@dataclass(slots=True)
class Way:
    """One way to lie, and what its statements have taken so far."""

    owner: Engine
    room: Engine
    api: Engine
    cpu_s: dict[str, float] = field(default_factory=lambda: {"poll": 0.0, "move": 0.0})

    def run(self, what: str, times: int) -> None:
        """Do *what* so often, and count what it takes."""
        found = [an_order(self.owner, OrderState.ADMITTED) for _ in range(times)]
        engine, work = (self.api, self._poll) if what == "poll" else (self.room, self._move)
        with statements(engine) as conn:
            session = psutil.Process(conn.execute(select(func.pg_backend_pid())).scalar_one())
        began = _cpu_s(session) + time.thread_time()
        for order in found:
            work(order)
        self.cpu_s[what] += _cpu_s(session) + time.thread_time() - began

    def _poll(self, order: Order) -> None:
        with acting_for(order.tenant_id):
            assert status.read(self.api, order.tenant_id, order.tracking_number) is not None

    def _move(self, order: Order) -> None:
        values: dict[str, Any] = {"amount_minor": 1499, "currency": "EUR", "due_in": timedelta(hours=1)}
        assert moves.advance(self.room, order, OrderEvent.OFFER_HELD, actor="lock_offer", **values) is not None


def _cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


@pytest.fixture
def ways(test_servers: TestServers) -> Iterator[list[Way]]:
    """Whole tables, and partitioned ones."""
    with at_revision(test_servers, WHOLE) as whole, at_revision(test_servers, WHOLE) as by_month:
        migrate.upgrade(by_month.engine)
        _two_years(by_month.engine)
        made = []
        for one in (whole, by_month):
            a_crowd(one.engine, OrderState.ADMITTED, CROWD, age_s=60, prefix=first_number_at(datetime.now(UTC))[:18])
            alone = one.settings.model_copy(update={"pool_size": 1})
            made.append(
                Way(one.engine, create_engine(alone, role=Role.ENGINE_ROOM), create_engine(alone, role=Role.API))
            )
        yield made
        for way in made:
            way.room.dispose()
            way.api.dispose()


def _two_years(engine: Engine) -> None:
    before = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '_before_'"
    with statements(engine) as conn:
        for name in conn.execute(text(before)).scalars().all():
            conn.execute(text(f"DROP TABLE {name}"))
        this = datetime.now(UTC).date().replace(day=1)
        for back in range(MONTHS):
            month = (this.year * 12 + this.month - 1) - back
            first = this.replace(year=month // 12, month=month % 12 + 1)
            if conn.execute(select(func.to_regclass(f"orders_{first:%Y_%m}"))).scalar_one() is None:
                conn.execute(select(func.c2a_add_month(first, 0)))


def test_partitions_by_month_cost_a_poll_and_a_move_less_than_a_tenth(
    ways: list[Way], say: Callable[[str], None]
) -> None:
    for way in ways:
        for what in ("poll", "move"):
            way.run(what, WARM)
        way.cpu_s = dict.fromkeys(way.cpu_s, 0.0)
    for number in range(ROUNDS):
        for way in ways if number % 2 else reversed(ways):
            way.run("poll", POLLS)
            way.run("move", MOVES)
    whole, by_month = ways
    ratios = {what: by_month.cpu_s[what] / whole.cpu_s[what] for what in whole.cpu_s}
    for what, times in (("poll", POLLS), ("move", MOVES)):
        took = [1e6 * way.cpu_s[what] / times / ROUNDS for way in ways]
        say(f"in {MONTHS} months a {what} takes {ratios[what]:.3f} times the CPU ({took[0]:.0f} -> {took[1]:.0f} us)")
    assert max(ratios.values()) < MOST
