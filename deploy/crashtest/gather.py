"""Reads the records of a stack that came to rest: its database, its PSP's ledger, its vault."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

import psycopg
from psycopg.rows import class_row
from redis import Redis

from deploy.crashtest.records import Attempt, Card, Charge, Database, Event, Method, Order


def database(dsn: str) -> Database:
    """The tables at one moment; *dsn* as the owner of the schema."""
    with psycopg.connect(dsn) as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return Database(
            orders=_rows(
                conn,
                Order,
                """SELECT tenant_id::text AS tenant, tracking_number, state, version, offer_identifier AS offer,
                          customer_urn AS customer, correlation_id, amount_minor AS amount, currency, failure,
                          keeps_method, lease_until IS NOT NULL AS leased FROM orders""",
            ),
            events=_rows(conn, Event, "SELECT tracking_number, version, event, state, at FROM order_events"),
            attempts=_rows(
                conn,
                Attempt,
                """SELECT tenant_id::text AS tenant, tracking_number, attempt_no AS number, provider, psp_key AS key,
                          outcome, psp_reference AS reference, refunded_minor - coalesce((
                              SELECT sum(amount_minor)::bigint FROM refunds AS back
                              WHERE (back.tenant_id, back.tracking_number, back.attempt_no)
                                  = (attempt.tenant_id, attempt.tracking_number, attempt.attempt_no)
                                AND back.settled_at = back.asked_at), 0) AS refunded
                   FROM payment_attempts AS attempt""",  # Less what went back by hand: no operator said so.
            ),
            methods=_rows(
                conn, Method, "SELECT tenant_id::text AS tenant, method_urn AS urn, tracking_number FROM stored_methods"
            ),
            keys=_pairs(conn, "SELECT tenant_id::text, key, tracking_number FROM idempotency_keys"),
            holds=_pairs(conn, "SELECT tenant_id::text, offer_identifier, tracking_number FROM offer_holds"),
            single_use=frozenset(
                conn.execute("SELECT tenant_id::text, offer_identifier FROM offers WHERE single_use").fetchall()
            ),
            tenant_of_account=dict(conn.execute("SELECT account_id, tenant_id::text FROM psp_accounts").fetchall()),
            parked=frozenset(
                conn.execute(
                    "SELECT tenant_id::text, psp_key FROM psp_events WHERE settled_at IS NULL AND psp_key IS NOT NULL"
                ).fetchall()
            ),
        )


def charges(rows: Iterable[dict[str, Any]]) -> list[Charge]:
    """The rows of the sandbox PSP's GET /ledger (deploy/sandbox/README.md)."""
    return [
        Charge(
            reference=row["pspReference"],
            account=row["accountId"],
            merchant_reference=row["merchantReference"],
            key=row["idempotencyKey"],
            amount=row["amountMinor"],
            currency=row["currency"],
            state=row["state"],
            refunded=row["refundedMinor"],
            created_at=datetime.fromisoformat(row["createdAt"]),
        )
        for row in rows
    ]


def cards(vault: Redis) -> list[Card]:
    """What the vault holds; no card is read."""
    found = []
    for name in vault.scan_iter(match="card:*", count=1_000):
        _, tenant, number = cast("bytes", name).decode().split(":")
        ttl = vault.pttl(name)
        if ttl != _GONE:
            found.append(Card(tenant, number, None if ttl < 0 else ttl / 1000))
    return found


_GONE = -2
"""PTTL of a key that went away meanwhile."""


def _rows(conn: psycopg.Connection[Any], kind: type[Any], query: str) -> list[Any]:
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query.encode()).fetchall()


def _pairs(conn: psycopg.Connection[Any], query: str) -> dict[tuple[str, str], str]:
    return {(tenant, name): number for tenant, name, number in conn.execute(query.encode())}
