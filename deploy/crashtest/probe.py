"""Short questions to the stack's database while things break: is it there, who is in flight, is everything at rest.

Each asks on a connection of its own and gives up soon: a probe that hangs would be a fault of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg

CONNECT_S: Final = 2
OPTIONS: Final = "-c statement_timeout=3000"
WORKED_ON: Final = ("admitted", "offer_locked", "paying", "confirming", "captured")
"""States in which the system has the next move. A challenge waits for its shopper: hitting one proves nothing."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """Orders that are not terminal, by state, and the processes that hold leases on some of them."""

    states: dict[str, int]
    holders: tuple[int, ...] = ()

    @property
    def worked_on(self) -> int:
        """Orders whose next move is the system's."""
        return sum(self.states.get(state, 0) for state in WORKED_ON)


def ask(dsn: str, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of *query*, outside any transaction. Raises psycopg.Error."""
    with connected(dsn) as conn:
        return conn.execute(query, values or None).fetchall()


def connected(dsn: str) -> psycopg.Connection[Any]:
    """A connection of one's own, outside any transaction. Raises psycopg.Error."""
    return psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_S, options=OPTIONS)


def answers(dsn: str) -> bool:
    """Whether the database takes a question."""
    try:
        return ask(dsn, "SELECT 1") == [(1,)]
    except psycopg.Error:
        return False


def in_flight(dsn: str) -> InFlight | None:
    """What the system is working on; None if the database does not answer."""
    try:
        states = ask(dsn, "SELECT state, count(*) FROM orders WHERE due_at IS NOT NULL GROUP BY state")
        owners = ask(dsn, "SELECT lease_owner FROM orders WHERE state = 'paying' AND lease_until > now()")
    except psycopg.Error:
        return None
    holders = tuple(_pid(owner) for (owner,) in owners if owner)
    return InFlight(dict(states), holders)


@dataclass(frozen=True, slots=True)
class Claim:
    """A payment process that holds an order now, by the lease it wrote down. *fence* grows with every claim."""

    tracking_number: str
    fence: int
    holder: int


def claim(conn: psycopg.Connection[Any], tracking_number: str | None) -> Claim | None:
    """Who holds this order now; without a number, any order that is held. Raises psycopg.Error."""
    rows = conn.execute(
        "SELECT tracking_number, fence, lease_owner FROM orders WHERE state = 'paying' AND lease_until > now()"
        " AND (%s::text IS NULL OR tracking_number = %s) ORDER BY changed_at DESC LIMIT 1",
        (tracking_number, tracking_number),
    )
    return next((Claim(number, int(fence), _pid(owner)) for number, fence, owner in rows), None)


def _pid(lease_owner: str) -> int:
    """The process in host:pid (workers/runtime.py)."""
    return int(lease_owner.rpartition(":")[2])


def unrest(dsn: str) -> int | None:
    """How many orders are not terminal, plus how many attempts may hold open money; None without an answer."""
    try:
        [(live, money)] = ask(
            dsn,
            "SELECT (SELECT count(*) FROM orders WHERE due_at IS NOT NULL), "
            "(SELECT count(*) FROM payment_attempts WHERE outcome IN ('open', 'challenged', 'pending', 'returning'))",
        )
    except psycopg.Error:
        return None
    return int(live) + int(money)


def known_numbers(dsn: str) -> frozenset[str]:
    """Every order there is."""
    return frozenset(number for (number,) in ask(dsn, "SELECT tracking_number FROM orders"))


def pending_charges(dsn: str) -> frozenset[str]:
    """The PSP references of payments whose bank is still at it."""
    rows = ask(
        dsn, "SELECT psp_reference FROM payment_attempts WHERE outcome = 'pending' AND psp_reference IS NOT NULL"
    )
    return frozenset(reference for (reference,) in rows)
