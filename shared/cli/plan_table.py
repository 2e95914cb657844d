"""How a plan looks to people: what to start, what it meets, what is full first, and how it did in the simulated run."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.planning.plan import MOST_CONNECTIONS, Plan
from shared.planning.pools import PAYMENT, ROUND_TRIP_MS, Pool
from shared.planning.trial import PARTS, Trial
from shared.planning.words import count, ms, number, size


def show(made: Plan, tried: Trial) -> None:
    """Print *made* and how it did."""
    console = Console()
    for line in _head(made):
        console.print(line, soft_wrap=True)
    console.print(_processes(made))
    for line in _starts(made):
        console.print(line, soft_wrap=True)
    console.print(Text("\nWhat there is one of", style="bold"))
    console.print(_parts(made))
    for line in (*_servers(made), *_then(made), *_measured(made)):
        console.print(line, soft_wrap=True)
    console.print(Text(f"\nA simulated run (seed {tried.seed}{_slice(tried)})", style="bold"))
    console.print(_tried(tried))
    for line in _took(tried, holds=not (made.faults or tried.faults)):
        console.print(line, soft_wrap=True)


def _head(made: Plan) -> Iterator[Text]:
    asked = made.asked
    yield Text(
        f"{number(asked.orders_per_second)} orders/s, {number(asked.polls_per_order)} polls an order, a PSP of "
        f"{number(asked.psp_ms)} ms; {asked.free:.0%} of everything stays free",
        style="bold",
    )
    if made.shards > 1:
        yield Text(
            f"More than one installation carries (below: full first). So: {made.shards} shards of tenants, "
            f"{number(made.question.orders_per_second)} orders/s each. What follows is one of them."
        )


def _processes(made: Plan) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("pool", "processes", "places each", "cores", "busy", "places taken", "connections"):
        table.add_column(column, no_wrap=True, justify="left" if column == "pool" else "right")
    for pool in made.pools:
        places = f"{number(pool.waiting.held)} of {count(pool.places)}" if pool.waiting else ""
        table.add_row(
            *(pool.name, count(pool.processes), count(pool.places_each), count(pool.cores)),
            *(f"{pool.busy:.0%}", places, count(pool.connections)),
        )
    return table


def _starts(made: Plan) -> Iterator[Text]:
    for pool in made.pools:
        yield Text(f"  {_times(pool)} x  {pool.start}")


def _times(pool: Pool) -> int:
    return math.ceil(pool.processes / pool.per)


def _parts(made: Plan) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("part", "load", "of", "", "busy", "carries orders/s"):
        table.add_column(
            column, no_wrap=True, justify="right" if column in ("load", "of", "carries orders/s") else "left"
        )
    for part in sorted(made.parts, key=lambda part: part.carries):
        table.add_row(
            *(part.name, number(part.load), number(part.full), part.unit, f"{part.busy:.0%}", number(part.carries))
        )
    return table


def _servers(made: Plan) -> Iterator[Text]:
    if made.needs_pgbouncer:
        why = f"more than {MOST_CONNECTIONS}, so PgBouncer before it (README, SCALE: what it asks for)"
    else:
        why = f"no PgBouncer below {MOST_CONNECTIONS}"
    yield Text(
        f"PostgreSQL: at most {count(made.connections)} connections, {count(made.active_connections)} of them at work; "
        f"{why}. {number(made.round_trips)} round trips/s, each one commit at most; {size(made.disk_a_month)} of disk "
        "a month"
    )
    yield Text(
        f"Broker: {number(made.messages)} messages/s; {size(made.broker_memory)} for an hour's backlog. "
        f"Vault: {size(made.vault_memory)} where every card stays to the end of its time"
    )


def _then(made: Plan) -> Iterator[Text]:
    full, *later = made.in_one
    yield Text(f"\nFull first: {full.name}, at {number(full.carries)} orders/s. Then: {full.then}.", style="bold")
    after = ", ".join(f"{part.name} at {number(part.carries)}" for part in later)
    yield Text(f"After it, were that solved: {after}.")


def _measured(made: Plan) -> Iterator[Text]:
    costs = made.costs
    machine = ", ".join(f"{name} {value}" for name, value in costs.measured_on.items())
    yield Text(f"Measured: processor times, statements, log, messages and sizes an order, on {_plain(machine)}.")
    if costs.quick or costs.cores_of_strangers > 0:
        quick = "a quick run, whose figures mean little; " if costs.quick else ""
        yield Text(f"  {quick}others took up to {number(costs.cores_of_strangers)} cores meanwhile.")
    yield Text(
        f"Assumed: {ROUND_TRIP_MS:g} ms a round trip to PostgreSQL; one call to a PSP an order (look-ups and second "
        "PSPs come on top); that servers serve many as they serve few. All else is computed."
    )


def _tried(tried: Trial) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("pool", "servers", "predicted", "simulated", "wait p50", "wait p99"):
        table.add_column(column, no_wrap=True, justify="left" if column == "pool" else "right")
    for one in tried.tried:
        waits = (ms(wait) for wait in one.wait_ms)
        servers = f"{count(one.servers)} {one.what}"
        table.add_row(one.pool, servers, f"{one.predicted:.1%}", f"{one.seen:.1%}", *waits)
    return table


def _took(tried: Trial, *, holds: bool) -> Iterator[Text]:
    told = ", ".join(f"p{part * 100:.0f} {ms(took)}" for part, took in zip(PARTS, tried.took_ms, strict=True))
    yield Text(f"Submit to DONE: {told}; networks between the parts not counted")
    if holds:
        yield Text("The plan holds.", style="bold green")


def _slice(tried: Trial) -> str:
    return f", one slice of {tried.slices}: {PAYMENT}s in hand are too many to follow each" if tried.slices > 1 else ""


def _plain(text: str) -> str:
    """A file's text: shown, but never as control characters."""
    return "".join(char if char.isprintable() else "?" for char in text)
