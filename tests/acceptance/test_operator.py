"""An operator at a shell beside a running stack: what they decide, its own workers carry out and its pollers hear."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from deploy.stack.home import ROOT
from tests.support.psp import until
from tests.support.psp_side import PspSide
from tests.support.stack import Stack
from tests.support.stack_rows import StackRows
from tests.support.storefront import CHALLENGED, FAILED, PROCESSING, Storefront, new_correlation
from tests.support.wire import channel, fresh_card

WITHIN_S = 30.0
"""The upkeep worker looks every second, and what it rings for takes one more."""
ROUNDS = 3
C2a = Callable[..., dict[str, Any]]


@pytest.fixture
def c2a(stack: Stack) -> C2a:
    """Runs `c2a` as an operator's shell does; its JSON document. Refusals end with 1 and have one, too."""
    document = stack.document()
    settings = {
        "DATABASE_URL": document["postgresDsn"],
        "BROKER_URL": document["brokerUrl"],
        "VAULT_URL": document["vaultUrl"],
        "C2A_KEYRING": str(stack.home / "keyring.json"),
    }

    def run(*arguments: object) -> dict[str, Any]:
        asked = [sys.executable, "-c", "from shared.cli.main import run; run()", *map(str, arguments), "--json"]
        done = subprocess.run(
            asked, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT, env=os.environ | settings
        )
        assert done.returncode in (0, 1), done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run


def test_a_done_order_is_refunded_in_part_and_then_whole_and_stays_done(
    shop: Storefront, psp: PspSide, c2a: C2a
) -> None:
    correlation = new_correlation()
    number = shop.order(fresh_card(), correlationId=correlation)
    shop.end(number)
    [found] = c2a("orders", "list", "--correlation", correlation)["orders"]
    assert (found["trackingNumber"], found["state"]) == (number, "done")

    assert c2a("orders", "refund", number, "--amount", 500, "--why", "one came broken")["outcome"] == "begun"
    until(lambda: psp.money(correlation) == [(999, "EUR")], seconds=WITHIN_S)
    until(lambda: c2a("orders", "show", number)["refunds"][0]["state"] == "given", seconds=WITHIN_S)
    assert c2a("orders", "refund", number, "--full", "--why", "withdrawn")["outcome"] == "begun"
    until(lambda: psp.money(correlation) == [], seconds=WITHIN_S)

    until(lambda: c2a("orders", "show", number)["refunds"][1]["state"] == "given", seconds=WITHIN_S)
    assert c2a("orders", "refund", number, "--full", "--why", "again")["outcome"] == "refused"
    assert shop.status(number)["status"]["messageCode"] == "CHECK_OUT_DONE"
    assert c2a("orders", "replay", number)["differences"] == []


def test_a_shopper_who_waits_hears_that_the_order_was_cancelled(shop: Storefront, psp: PspSide, c2a: C2a) -> None:
    number = shop.order(channel("PayPal"))
    shop.until(number, CHALLENGED)
    assert c2a("orders", "cancel", number, "--why", "the shopper called")["outcome"] == "begun"
    document = shop.until(number, FAILED, within_s=WITHIN_S)
    assert document["message"] == "CANCELLED"
    assert [charge["state"] for charge in psp.charges(number)] == ["voided"]


def test_an_order_whose_psp_is_away_is_found_explained_and_goes_on_when_it_is_retried(
    shop: Storefront, psp: PspSide, c2a: C2a, rows: StackRows
) -> None:
    """In one round of three: whoever was asking the PSP already may find it back before the operator does."""
    assert any(was_retried(shop, psp, c2a, rows) for _ in range(ROUNDS))
    waiting = {one["kind"]: one["count"] for one in c2a("queues")["waiting"]}
    assert waiting["money going back"] == 0


def was_retried(shop: Storefront, psp: PspSide, c2a: C2a, rows: StackRows) -> bool:
    """Whether an order whose PSP was away was still in doubt when its operator retried it; it is done in any case."""
    silent = [{"kind": "http500After", "on": "charge"}, {"kind": "http500", "on": "lookUp", "times": 50}]
    psp.set_faults(next=silent, webhook={"lossRate": 1.0})
    number = shop.order(fresh_card())
    until(lambda: c2a("orders", "show", number)["state"] == "confirming", seconds=WITHIN_S)
    assert shop.status(number)["status"]["messageCode"] == PROCESSING
    told = c2a("orders", "explain", number)
    assert any("Nobody told us whether sandbox took the money" in one for one in told["now"])
    assert c2a("orders", "cancel", number, "--why", "impatient")["outcome"] == "refused"
    # Nobody else is to find the PSP back meanwhile.
    rows.change("UPDATE orders SET due_at = now() + interval '1 hour' WHERE tracking_number = %s", number)
    psp.heal()
    retried = c2a("orders", "retry", number, "--why", "the PSP is back")
    shop.end(number, within_s=WITHIN_S)
    assert len(psp.money(number)) == 1
    return bool(retried["outcome"] == "done")
