"""No card is seen outside the vault: after every success and every error, in nothing that anybody wrote down.

One run (conftest.py, paths.py) with cards nobody else has; these tests ask what it left where. A place counts as looked
into where a tracking number of the run was found: an empty log has no leaks either.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.leaks.conftest import Findings, Run

LOGS: Final = ("api", "worker-offer-lock", "worker-payment", "worker-tokenization", "worker-upkeep")
ROOT: Final = Path(__file__).parents[2]


def leaked(findings: Findings, pattern: str) -> dict[str, int]:
    return {place: count for place, count in findings.leaked.items() if re.match(pattern, place)}


def test_no_card_is_anywhere(findings: Findings, run: Run, say: Callable[[str], None]) -> None:
    cards = len(run.shopper.cards) + len(run.shopper.strays)
    size = sum(findings.scanned.values()) / (1 << 20)
    say(f"{cards} cards, {len(set(run.shopper.numbers))} orders; {size:.0f} MiB in {len(findings.scanned)} places")
    assert findings.leaked == {}


@pytest.mark.parametrize("name", LOGS)
def test_no_card_is_in_a_log_at_debug(findings: Findings, run: Run, name: str) -> None:
    """F1. Of the API with gunicorn, and of every worker with Celery."""
    assert leaked(findings, rf"logs/{name}\.log") == {}
    assert f"logs/{name}.log" in findings.witnessed
    assert '"level": "debug"' in run.stack.logs()[f"{name}.log"]


@pytest.mark.parametrize(
    ("log", "raised_in"),
    [
        ("api", "api/admission.py"),
        ("api", "api/method_keeping.py"),
        ("worker-offer-lock", "workers/lock_offer.py"),
        ("worker-payment", "workers/pay.py"),
        ("worker-tokenization", "workers/tokenize.py"),
        ("worker-upkeep", "workers/look_up.py"),
    ],
)
def test_an_error_with_a_card_in_hand_tells_its_place_and_no_value(
    findings: Findings, run: Run, log: str, raised_in: str
) -> None:
    """F2. Every failpoint raised, in every process that came to it."""
    raised = [line for line in run.stack.logs()[f"{log}.log"].splitlines() if "FailpointReached" in line]
    assert any(raised_in in line for line in raised)
    assert leaked(findings, rf"logs/{log}\.log") == {}


def test_no_answer_repeats_a_card_whatever_became_of_the_request(findings: Findings, run: Run) -> None:
    """F2. Successes, refusals, crashes and outages; bodies, headers and the pages shoppers see."""
    assert {200, 202, 303, 400, 401, 404, 405, 409, 413, 415, 500, 503} <= set(run.shopper.statuses)
    assert "answers" in findings.witnessed
    assert leaked(findings, "answers") == {}


def test_the_broker_never_sees_a_card(findings: Findings) -> None:
    """F3. Each command as it came, what is in the queues, the append-only file, the slow log."""
    assert {"broker MONITOR", "redis-broker/appendonly.aof"} <= findings.witnessed
    assert {"broker: SLOWLOG", "broker: a key"} <= findings.scanned.keys()
    assert leaked(findings, "broker|redis-broker") == {}


def test_the_vault_never_sees_a_card_unsealed(findings: Findings, run: Run) -> None:
    """F3, F5. Every SET as it came; its folder holds nothing but its settings."""
    assert b'"SET" "card:' in run.recordings["vault MONITOR"].content()
    assert leaked(findings, "vault|redis-vault") == {}
    assert {place for place in findings.scanned if place.startswith("redis-vault/")} == {"redis-vault/redis.conf"}


def test_postgres_never_holds_a_card_and_has_none_left_after_a_crash(findings: Findings) -> None:
    """F4. Pages, WAL and all other files as kill -9 left them, every row, and what the server logs and remembers."""
    for kind in (r"postgres/data/base/", r"postgres/data/pg_wal/", r"logs/postgres\.log", r"table orders"):
        assert any(re.match(kind, place) for place in findings.witnessed), kind
    assert {"pg_stat_activity", "pg_stat_activity, all along"} <= findings.scanned.keys()
    assert leaked(findings, r"postgres/|table |pg_|logs/postgres") == {}


def test_the_psp_and_the_stack_itself_keep_no_card(findings: Findings) -> None:
    assert {"psp-ledger.jsonl", "logs/psp.log", "logs/up.log", "stack.json"} <= findings.scanned.keys()
    assert leaked(findings, r"psp|logs/|stack|core") == {}


def test_no_card_is_in_what_metrics_tell(findings: Findings) -> None:
    """F6. Of every process, after every path; their files are among those of the stack."""
    assert {f"metrics of {name}" for name in LOGS} <= findings.scanned.keys()
    assert leaked(findings, r"metrics of |run/") == {}


def test_no_card_is_in_a_trace(findings: Findings) -> None:
    """F6. Every span of the run, of steps that raised with a card in hand, too."""
    assert "traces" in findings.witnessed
    assert leaked(findings, "traces") == {}


def test_no_other_part_that_reports_elsewhere_is_installed() -> None:
    """F6. There is no Sentry and no other exporter: whoever adds one adds it to this run."""
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "deploy" / "requirements.txt").read_text(), re.MULTILINE)
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    reporting = re.compile(r"sentry|opencensus|statsd|datadog|ddtrace|newrelic|rollbar|bugsnag|instrumentation")
    assert [name for name in (*locked, *asked) if reporting.search(name)] == []


@pytest.mark.parametrize(
    ("leak", "place"),
    [
        ("a card in a task's arguments", "redis-broker/appendonly.aof"),
        ("a card in a log line", "logs/api.log"),
        ("a card in an exception's text", "logs/worker-payment.log"),
    ],
)
def test_a_planted_leak_turns_the_scan_red(spoilt_findings: Findings, leak: str, place: str) -> None:
    assert spoilt_findings.leaked.get(place), f"{leak}: not found in {place}"
