"""The README's afternoon of a storefront, done as it stands there: key, offer, order, wait, webhook."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

from standardwebhooks import Webhook

from tests.support.psp_side import PspSide
from tests.support.stack import Stack

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text()
SECTION: Final = README[README.index("## A storefront's afternoon") : README.index("## The way of one order")]
*BUYING, WEBHOOK = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
KEYS, ENDPOINTS = re.findall(r"^    (c2a .*)$", SECTION, re.MULTILINE)
WITHIN_S: Final = 90.0
"""A start of Python, an order and a challenge, on a busy machine."""
SECRET: Final = "whsec_" + "c2VjcmV0" * 4


def run(stack: Stack, command: str) -> dict[str, Any]:
    """What one of the section's commands answers in a shell that has read the stack's `env`, as the README says."""
    script = f'. "$1"; {command} --json'
    done = subprocess.run(
        ["bash", "-euc", script, "bash", stack.home / "env"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=WITHIN_S,
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def pressed(lines: IO[str], psp: PspSide) -> list[str]:
    """Everything the program says; the shopper follows where it sends them."""
    said = []
    for line in lines:
        said.append(line.rstrip())
        if line.startswith("open "):
            psp.come_back(psp.decide(line.split()[1], "approve"))
    return said


def test_a_reader_sells_a_bundle_with_what_the_section_shows(stack: Stack, psp: PspSide) -> None:
    env = os.environ | {"C2A_URL": stack.base_url, "C2A_TENANT": stack.tenant, "C2A_KEY": run(stack, KEYS)["apiKey"]}
    program = [sys.executable, "-c", "\n".join(BUYING)]
    with subprocess.Popen(program, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said = pressed(running.stdout, psp)
        assert running.wait(WITHIN_S) == 0

    assert said[0] == "it.00.42 Pro Monthly 1199 EUR"
    assert [line for line in said if line.startswith("open ")] != []
    assert said[-2].strip() == "CHECK_OUT_DONE"
    assert "400000******3184" in said[-1]


def test_the_sections_endpoint_is_added_and_its_secret_told(stack: Stack) -> None:
    made = run(stack, ENDPOINTS)
    run(stack, f'c2a endpoints remove {made["endpointId"]} --tenant "$C2A_TENANT"')

    assert made["url"] in SECTION
    assert made["secret"].startswith("whsec_")


def test_the_webhook_of_the_section_hears_what_is_signed_and_nothing_else(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("C2A_WEBHOOK_SECRET", SECRET)
    hook: dict[str, Any] = {"__name__": "hook"}
    exec(WEBHOOK, hook)
    way = urlsplit(ENDPOINTS.split()[3]).path
    body = json.dumps({"type": "checkout.done", "timestamp": "...", "data": {"trackingNumber": "trk_1"}})
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("evt_1", now, body),
    }
    caller = hook["app"].test_client()

    assert caller.post(way, headers=headers, data=body).status_code == 204
    assert caller.post(way, headers=headers, data=body + " ").status_code == 400
    assert capsys.readouterr().out == "deliver evt_1 trk_1\n"
