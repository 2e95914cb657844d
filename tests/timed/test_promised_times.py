"""The times we promise, measured on the running stack: news is visible at once, a lost answer is soon found.

Each is measured in rounds and holds if one round keeps it: a slow product fails them all, a machine that was busy with
something else for a while does not.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from math import ceil
from typing import Final

from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import CHALLENGED, DONE, Storefront, code_of
from tests.support.wire import fresh_card

ROUNDS: Final = 3
NEWS: Final = 100
"""Webhooks a round: the 99th of them is the p99."""
AT_ONCE: Final = 20
"""Challenges that are open at a time: each is for 20 s."""
VISIBLE_WITHIN_S: Final = 0.1
"""Webhook to visible status, p99."""
THREE_DS: Final = "4000002760003184"
ANSWER_LOST: Final = "4000007700000141"
LOST: Final = 20
FIRST_LOOK_WITHIN: Final = timedelta(seconds=2)
TRUTH_WITHIN: Final = timedelta(seconds=30)
CHARGE_MS: Final = 8_000
"""Longer than a slow machine needs until every child has its charge in hand; a worker waits 10 s for it."""
TAKEN_OVER_WITHIN_S: Final = 5.0
TAKEN_OVER_AT_MOST_S: Final = 15.0
"""Killed worker to running step, p50 and p99."""


def p(share: float, durations: list[float]) -> float:
    """The nearest-rank percentile."""
    return sorted(durations)[ceil(len(durations) * share) - 1]


def kept_in_one_round(measure: Callable[[], list[float]], within_s: float, say: Callable[[str], None]) -> None:
    """p99 of one round is *within_s*."""
    told = []
    for _ in range(ROUNDS):
        durations = measure()
        told.append(f"p50 {1000 * p(0.5, durations):.0f} ms, p99 {1000 * p(0.99, durations):.0f} ms")
        say(told[-1])
        if p(0.99, durations) <= within_s:
            return
    raise AssertionError(f"p99 above {1000 * within_s:.0f} ms in every round: {told}")


def test_a_webhook_is_visible_at_once(shop: Storefront, psp: PspSide, say: Callable[[str], None]) -> None:
    """From the shopper's click at the PSP, which sends its webhook then, to the first poll that says more.

    The click's own answer and the way of the webhook are counted with it.
    """

    def measure() -> list[float]:
        return [duration for _ in range(NEWS // AT_ONCE) for duration in of_some()]

    def of_some() -> list[float]:
        numbers, durations = [shop.order(fresh_card(THREE_DS)) for _ in range(AT_ONCE)], []
        pages = [shop.until(number, CHALLENGED)["redirectInstructions"]["redirectUrl"] for number in numbers]
        for number, page in zip(numbers, pages, strict=True):
            before = time.monotonic()
            psp.decide(page, "approve")
            while code_of(shop.status(number)) == CHALLENGED:
                assert time.monotonic() < before + 10, "the webhook never came"
            durations.append(time.monotonic() - before)
        return durations

    kept_in_one_round(measure, VISIBLE_WITHIN_S, say)


def test_a_lost_answer_is_asked_about_within_two_seconds_and_found(
    shop: Storefront, psp: PspSide, rows: StackRows, say: Callable[[str], None]
) -> None:
    """The PSP took the money, its answer and its webhook are lost: the first look-up finds the truth."""
    psp.set_faults(webhook={"lossRate": 1.0})

    def measure() -> list[float]:
        numbers = [shop.order(fresh_card(ANSWER_LOST)) for _ in range(LOST)]
        assert {code_of(shop.end(number)) for number in numbers} == {DONE}
        return [_doubt(rows, number).total_seconds() for number in numbers]

    told: list[list[float]] = []

    def in_time() -> bool:
        told.append(measure())
        say(f"lost answer to truth: p50 {p(0.5, told[-1]):.2f} s, longest {max(told[-1]):.2f} s")
        return max(told[-1]) <= FIRST_LOOK_WITHIN.total_seconds()

    assert any(in_time() for _ in range(ROUNDS)), told
    assert all(max(one) <= TRUTH_WITHIN.total_seconds() for one in told)


def test_what_a_killed_worker_had_in_hand_runs_again_within_five_seconds(
    stack: Stack, shop: Storefront, psp: PspSide, rows: StackRows, say: Callable[[str], None]
) -> None:
    """kill -9 of every payment process while the PSP has its call, and no webhook comes to help."""

    def measure() -> list[float]:
        psp.set_faults(latencyMs=CHARGE_MS, webhook={"lossRate": 1.0})
        children = stack.pids("worker-payment")[1:]
        numbers = [shop.order(fresh_card()) for _ in children]
        until(lambda: [rows.state(number) for number in numbers] == ["paying"] * len(numbers), seconds=20)
        [(killed_at,)] = rows.ask("SELECT clock_timestamp()")
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        psp.set_faults(latencyMs=0)
        until(lambda: all("payment_resumed" in rows.events(number) for number in numbers), seconds=60)
        taken = rows.ask(
            "SELECT min(at) FROM order_events WHERE event = 'payment_resumed' AND tracking_number = ANY (%s)"
            " GROUP BY tracking_number",
            numbers,
        )
        assert {code_of(shop.end(number)) for number in numbers} == {DONE}
        return [(at - killed_at).total_seconds() for (at,) in taken]

    told: list[list[float]] = []

    def in_time() -> bool:
        told.append(measure())
        say(f"killed worker to running step: p50 {p(0.5, told[-1]):.2f} s, longest {max(told[-1]):.2f} s")
        return p(0.5, told[-1]) <= TAKEN_OVER_WITHIN_S and max(told[-1]) <= TAKEN_OVER_AT_MOST_S

    assert any(in_time() for _ in range(ROUNDS)), told


def _doubt(rows: StackRows, number: str) -> timedelta:
    """From the event that the answer was lost to the one that says what became of the charge, by the database."""
    until(lambda: "payment_captured" in rows.events(number))
    [(doubt,)] = rows.ask(
        "SELECT max(at) FILTER (WHERE event = 'payment_captured') - max(at) FILTER (WHERE event = 'payment_unanswered')"
        " FROM order_events WHERE tracking_number = %s",
        number,
    )
    assert isinstance(doubt, timedelta)
    return doubt
