"""The README's table of plans: what `c2a plan` says for a hundred, a thousand and ten thousand orders a second.

Made from the committed costs and put in its place by `python -m deploy.measure.costs`; a test holds the README to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shared.planning import plan, words
from shared.planning.costs import API, Costs
from shared.planning.plan import Plan
from shared.planning.pools import ALONE
from shared.planning.question import Question

RATES: Final = (100, 1_000, 10_000)
PSP_MS: Final = 200
HEAD: Final = "| `c2a plan --psp-ms 200 --orders-per-second` | 100 | 1,000 | 10,000 |"
RULE: Final = "| --- | --- | --- | --- |"


class NoTable(ValueError):
    """The README has no place for the table."""


def rows(costs: Costs) -> list[str]:
    """The lines of the table."""
    columns = [dict(_column(plan.make(Question(rate, PSP_MS), costs))) for rate in RATES]
    return [HEAD, RULE, *(f"| {name} | {' | '.join(one[name] for one in columns)} |" for name in columns[0])]


def renewed(readme: str, costs: Costs) -> str:
    """*readme* with the table as it should be; raises NoTable."""
    before, head, after = readme.partition(HEAD + "\n")
    if not head:
        raise NoTable(f"the README has no line {HEAD}")
    _, _, rest = after.partition("\n\n")
    return before + "\n".join(rows(costs)) + "\n\n" + rest


def _column(one: Plan) -> Iterator[tuple[str, str]]:
    """All shards together, but for what is said to be of one."""
    full, after, *_ = one.in_one
    yield "full first, in one installation", f"{full.name}, at {words.number(full.carries)}"
    yield "after it, were that solved", f"{after.name}, at {words.number(after.carries)}"
    yield "shards of tenants, each an installation", words.count(one.shards)
    processes = {pool.name: words.count(one.shards * pool.processes) for pool in one.pools if pool.name != ALONE}
    yield "processes: API", processes.pop(API)
    yield "processes: " + ", ".join(processes), ", ".join(processes.values())
    yield "cores for them", words.count(one.shards * sum(pool.cores for pool in one.pools))
    yield "cores of PostgreSQL, busy", words.number(one.shards * one.parts[0].load)
    yield (
        "its log, its disk a month",
        f"{words.number(one.shards * one.parts[1].load)} MB/s, {_size(one, one.disk_a_month)}",
    )
    yield "its connections, a shard", words.count(one.connections) + (", by PgBouncer" if one.needs_pgbouncer else "")
    yield (
        "broker: messages/s, an hour's backlog",
        f"{words.number(one.shards * one.messages)}, {_size(one, one.broker_memory)}",
    )
    yield "vault: its memory", _size(one, one.vault_memory)


def _size(one: Plan, of_a_shard: float) -> str:
    return words.size(one.shards * of_a_shard)
