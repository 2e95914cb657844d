"""Which promises a run broke, judged afterwards from its three records.

Pure functions: the same records give the same verdict on any machine. I6 (tenants) is judged by what a stranger heard
(answer_rules.py), I7 (canaries) where bytes are at hand (leaks.py, by run.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from deploy.crashtest import money_rules, order_rules
from deploy.crashtest.records import Records, Violation

RULES: Final[tuple[Callable[[Records], Iterator[Violation]], ...]] = (
    money_rules.one_capture,
    money_rules.sold_is_paid,
    money_rules.told_is_true,
    money_rules.books_agree,
    money_rules.no_stale_verdict,
    order_rules.every_order_ends,
    order_rules.offers_sell_once,
    order_rules.polls_never_go_back,
    order_rules.one_method,
    order_rules.history_adds_up,
    order_rules.one_order_a_call,
    order_rules.no_card_outlives_its_order,
)


def check(records: Records) -> list[Violation]:
    """Every broken promise of *records*, gathered once the run came to rest; empty if all were kept."""
    return [violation for rule in RULES for violation in rule(records)]
