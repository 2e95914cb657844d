"""What a load reports is what happened, and it goes nowhere it was not sent."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.load.command import load
from deploy.load.latencies import Calls
from deploy.load.mix import Mix, Way
from deploy.load.run import is_loopback


def test_percentiles_are_right_within_a_percent() -> None:
    calls = Calls()
    for took_ms in range(1, 10_001):
        calls.note(took_ms, "200")

    told = calls.document(seconds=100)

    assert told["p50Ms"] == pytest.approx(5_000, rel=0.011)
    assert told["p99Ms"] == pytest.approx(9_900, rel=0.011)
    assert (told["longestMs"], told["perSecond"], told["codes"]) == (10_000, 100, {"200": 10_000})
    assert len(calls.classes) < 500  # However many calls there were.


def test_a_run_without_calls_has_no_percentiles() -> None:
    assert Calls().document(seconds=0) == {
        "count": 0,
        "perSecond": 0.0,
        "p50Ms": 0.0,
        "p95Ms": 0.0,
        "p99Ms": 0.0,
        "longestMs": 0.0,
        "codes": {},
    }


def test_shoppers_are_dealt_by_their_shares() -> None:
    mix, dice = Mix(challenges=0.1, stored=0.2, declines=0.05), random.Random(7)

    dealt = Counter(mix.deal(dice) for _ in range(20_000))

    for way, share in ((Way.CHALLENGED, 0.1), (Way.STORED, 0.2), (Way.DECLINED, 0.05), (Way.TYPED, 0.65)):
        assert dealt[way] / 20_000 == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(("url", "so"), [
    ("http://127.0.0.1:8080", True),
    ("http://[::1]:8080", True),
    ("http://localhost", True),
    ("http://localhost.example", False),
    ("http://127.0.0.1.example", False),
    ("http://192.0.2.1", False),
    ("https://shop.example", False),
    ("", False),
])  # fmt: skip
def test_only_this_machine_is_this_machine(url: str, so: bool) -> None:
    assert is_loopback(url) is so


@pytest.mark.parametrize("words", [
    ["--url", "https://shop.example", "--tenant", "t"],
    ["--challenges", "0.6", "--declines", "0.6"],
    ["--stack", "none.json"],
])  # fmt: skip
def test_what_cannot_be_meant_is_not_run(tmp_path: Path, words: list[str]) -> None:
    stack = tmp_path / "stack.json"
    stack.write_text(json.dumps({"baseUrl": "http://127.0.0.1:1", "tenant": "t", "apiKey": "k"}))

    told = CliRunner().invoke(load, ["--stack", str(stack), *words], env={"C2A_KEY": "sk_dev_x"})

    assert told.exit_code == 2
    assert "sk_dev_x" not in told.output
