"""Which orders does an operator look for? A page at a time, and never a walk through all that ever were."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from shared.store import order_search
from shared.store.order_search import Found, Wanted

MOST: Final = 200
"""Orders a page: more is no list for people, and a script asks for the next page."""
WINDOW: Final = timedelta(hours=24)
"""How far back a search reaches that names neither a time nor anything else an index leads to: a shift and the one
before it."""


@dataclass(frozen=True, slots=True)
class Page:
    """Orders, the newest first; *next*: where the page after it begins (`before`), None where there is none."""

    orders: tuple[Found, ...]
    next: str | None
    since: datetime | None
    """From when on was looked, where that was our choice."""


def search(conn: Connection, wanted: Wanted, *, now: datetime, before: str | None = None, limit: int = 50) -> Page:
    """A page of the orders *wanted*, at most *limit* (and MOST) of them."""
    is_named = wanted.tracking_number or wanted.correlation_id or wanted.customer_urn or wanted.psp_reference
    since = None
    if not is_named and not wanted.is_live and wanted.since is None:
        since = (wanted.until or now) - WINDOW
        wanted = replace(wanted, since=since)
    size = max(1, min(limit, MOST))
    found = order_search.search(conn, wanted, before=before, limit=size + 1)
    shown = tuple(found[:size])
    return Page(shown, shown[-1].tracking_number if len(found) > size else None, since)
