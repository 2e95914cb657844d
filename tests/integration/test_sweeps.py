"""A sweep goes through its whole table in a day, a few pages at a time, and leaves the rest of the time to others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.store import sweeps
from shared.store.engine import create_engine, statements
from shared.store.row_security import Role


@pytest.fixture
def room(settings: Settings) -> Iterator[Engine]:
    """The engine room's own way to the database: it owns nothing there."""
    made = create_engine(settings, role=Role.ENGINE_ROOM)
    yield made
    made.dispose()


EVERY_SWEEP: Final = [
    sweeps.of_attempts(),
    sweeps.of_psp_events(),
    sweeps.of_refunds(),
    sweeps.of_offers(),
    sweeps.of_holds(),
    sweeps.of_actions(),
]


@pytest.mark.parametrize("pages", [0, 1, 368_640, 368_641, 10_000_000, 92_160_000])
def test_a_table_of_up_to_seven_hundred_gigabytes_is_gone_through_in_a_day(pages: int) -> None:
    looks = sweeps.looks_a_round(pages)
    assert looks * sweeps.PAGES * sweeps.ROUNDS_A_DAY >= pages
    assert looks == 1 or (looks - 1) * sweeps.PAGES * sweeps.ROUNDS_A_DAY < pages, "and no more often than that"


def test_a_table_of_any_size_leaves_most_of_the_minute_to_others() -> None:
    assert sweeps.looks_a_round(10**12) == sweeps.MOST_LOOKS


@pytest.mark.parametrize("sweep", EVERY_SWEEP)
def test_a_look_reads_its_pages_and_no_others_and_goes_all_the_way_round(
    engine: Engine, room: Engine, sweep: sweeps.Sweep
) -> None:
    asked = {"begins": "(0,0)", "ends": "(2,0)", "kept": 1}
    with statements(room) as conn:
        plan = "\n".join(conn.execute(text(f"EXPLAIN {sweep.statement.text}"), asked).scalars())
    assert f"Tid Range Scan on {sweep.table} old" in plan


def test_in_slices_of_a_page_every_row_is_met(engine: Engine, room: Engine) -> None:
    with engine.begin() as conn:
        conn.execute(
            text("""
                INSERT INTO psp_events (tenant_id, provider, event_id, kind, settled_at)
                SELECT gen_random_uuid(), 'sandbox', n, 'captured', now() - interval '1 year'
                FROM generate_series(1, 1000) AS n""")
        )
    sweep = sweeps.of_psp_events()
    seen = [sweep.look(room, 90, pages=2) for _ in range(12)]
    assert sum(seen) == 1000
    assert max(seen) < 400
