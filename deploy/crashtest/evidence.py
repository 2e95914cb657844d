"""Gathers the three records of one run once it came to rest, and keeps them beside its history.

A stack may have lived before: its earlier orders, and charges of theirs, are none of this run's.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from redis import Redis

from deploy.crashtest import gather, history
from deploy.crashtest.history import Exchange
from deploy.crashtest.records import Database, Order, Records
from deploy.crashtest.target import Target

REDIS_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the verdict rests on."""

    records: Records
    exchanges: list[Exchange]


def collect(target: Target, folder: Path, earlier: frozenset[str]) -> Evidence:
    """The records of the run whose history is in *folder*; orders in *earlier* (tracking numbers) are left out."""
    with (folder / "history.jsonl").open() as lines:
        exchanges = history.read(lines)
    # The ledger first: an attempt is written before its charge, so also in a run that found no rest it is never ahead.
    answer = httpx.get(f"{target.psp_url}/ledger", timeout=60, trust_env=False)
    database, old = _of_run(gather.database(target.text("postgresDsn")), earlier)
    ledger = [row for row in answer.raise_for_status().json()["charges"] if row["merchantReference"] not in old]
    with Redis.from_url(target.text("vaultUrl"), socket_timeout=REDIS_TIMEOUT_S) as vault:
        cards = [card for card in gather.cards(vault) if card.tracking_number not in earlier]
    records = Records(
        calls=list(history.calls(exchanges, target.text("tenant"))),
        polls=list(history.polls(exchanges)),
        charges=gather.charges(ledger),
        database=database,
        cards=cards,
        vault_ttl_s=float(target.setting("C2A_VAULT_TTL_S", "900")),
    )
    _keep(folder / "ledger.json", ledger)
    _keep(folder / "database.json", {name: _rows(getattr(database, name)) for name in ("orders", "events", "attempts")})
    _keep(folder / "cards.json", _rows(cards))
    return Evidence(records, exchanges)


def _of_run(found: Database, earlier: frozenset[str]) -> tuple[Database, frozenset[str]]:
    """The database without the *earlier* orders, and the merchant references of those."""
    orders = [order for order in found.orders if order.tracking_number not in earlier]
    old = frozenset(order.merchant_reference for order in found.orders if order.tracking_number in earlier)
    ours = replace(
        found,
        orders=orders,
        events=[event for event in found.events if event.tracking_number not in earlier],
        attempts=[attempt for attempt in found.attempts if attempt.tracking_number not in earlier],
        methods=[method for method in found.methods if method.tracking_number not in earlier],
        keys={name: number for name, number in found.keys.items() if number not in earlier},
        holds={name: number for name, number in found.holds.items() if number not in earlier},
    )
    return ours, old


def story(records: Records, about: str) -> list[str]:
    """Everything the records tell of whatever a violation is *about*: a tracking number, a key or an offer."""
    name = about.partition(" ")[0]
    orders = [one for one in records.database.orders if name in (one.tracking_number, one.correlation_id, one.offer)]
    if not orders:
        return [
            f"call {_plain(call)}" for call in records.calls if name in (call.tracking_number, call.key, call.offer)
        ]
    return [line for order in orders for line in _order_told(records, order)]


def _order_told(records: Records, order: Order) -> list[str]:
    number = order.tracking_number
    told = [f"order {_plain(order)}"]
    told += [f"call {_plain(call)}" for call in records.calls if call.tracking_number == number]
    told += [
        f"{event.at:%H:%M:%S.%f} version {event.version} {event.event} -> {event.state}"
        for event in sorted(records.database.events, key=lambda one: one.version)
        if event.tracking_number == number
    ]
    told += [f"attempt {_plain(one)}" for one in records.database.attempts if one.tracking_number == number]
    told += [f"charge {_plain(one)}" for one in records.charges if one.merchant_reference == order.merchant_reference]
    return told + [
        f"heard {poll.code} version {poll.version}" for poll in records.polls if poll.tracking_number == number
    ]


def _plain(row: Any) -> str:
    return " ".join(f"{name}={value}" for name, value in asdict(row).items() if value not in (None, "", False))


def _rows(rows: Any) -> list[dict[str, Any]]:
    return [asdict(row) for row in rows]


def _keep(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, default=str, indent=1) + "\n")
