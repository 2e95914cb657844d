"""The last of the months that upkeep gives a partition, gone: as if it had been away when that one was due."""

from __future__ import annotations

from datetime import date
from typing import Final

from sqlalchemy import Engine, text

from shared.store import months
from shared.store.engine import statements

_LAST: Final = text("SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => :ahead))::date")


def without_last_month(engine: Engine) -> date:
    """Drop the partitions of the last month that upkeep makes; its first day. Every month is to be made already.

    Not the last one there is: on the last days of a month a new schema reaches a month further than upkeep does.
    """
    with statements(engine) as conn:
        last: date = conn.execute(_LAST, {"ahead": months.AHEAD}).scalar_one()
        conn.execute(text(f"DROP TABLE orders_{last:%Y_%m}, order_events_{last:%Y_%m}"))
    return last
