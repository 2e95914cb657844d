"""The sandbox's controls: faults are checked and shown, the ledger can be narrowed, the tables agree with the code."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from deploy.sandbox.cards import BEHAVIOURS, CANARY_BIN, Trouble, of_card
from deploy.sandbox.faults import LONGEST_PROCESSING_S, Faults, WebhookFaults
from shared.domain.cards import passes_luhn
from shared.domain.money import Money
from shared.domain.outcomes import PACED, Absent, Captured, Declined, DeclineReason, Unanswered
from shared.psp.http import Http
from shared.psp.port import Channel
from shared.psp.sandbox import LONGEST_PROCESSING, SandboxPsp
from tests.contract.subject import SandboxSubject, a_request, query_of
from tests.support.psp import ROOT, Sandbox

ROUNDS = 10
README = (ROOT / "deploy" / "sandbox" / "README.md").read_text()


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"latencyMss": 5}, "latencyMss: unknown field"),
        ({"webhook": {"delay": 5}}, "webhook.delay: unknown field"),
        ({"webhook": 5}, "webhook"),
        ({"latencyMs": -1}, "latencyMs"),
        ({"latencyMs": 20_000}, "latencyMs"),
        ({"latencyMs": "5"}, "latencyMs"),
        ({"memory": "some"}, "memory"),
        ({"callsPerSecond": 0}, "callsPerSecond"),
        ({"rates": {"typo": 0.5}}, "rates"),
        ({"rates": {"http500": 0.6, "http429": 0.6}}, "rates"),
        ({"next": [{"kind": "drop", "on": "everything"}]}, "next.0.on"),
        ([], "object"),
    ],
)
def test_a_fault_that_does_not_fit_is_named_and_changes_nothing(
    psp_process: Sandbox, document: Any, named: str
) -> None:
    before = psp_process.get("/faults")
    answer = httpx.post(f"{psp_process.base_url}/faults", json=document, trust_env=False)
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]
    assert psp_process.get("/faults") == before


def test_faults_are_laid_over_one_another_and_reset(psp_process: Sandbox) -> None:
    psp_process.set_faults(latencyMs=5, webhook={"delayMs": 7})
    now = psp_process.set_faults(webhook={"lossRate": 0.5})
    assert (now["latencyMs"], now["webhook"]["delayMs"], now["webhook"]["lossRate"]) == (5, 7, 0.5)
    psp_process.heal()
    assert psp_process.get("/faults") == Faults().model_dump(mode="json", by_alias=True)


def test_next_is_used_up_one_by_one(sandbox_subject: SandboxSubject) -> None:
    sandbox_subject.sandbox.set_faults(next=[{"kind": "decline", "times": 2}, {"kind": "http500", "on": "void"}])
    outcomes = [type(sandbox_subject.psp.charge(a_request())) for _ in range(3)]
    assert outcomes == [Declined, Declined, Captured]
    assert sandbox_subject.sandbox.get("/faults")["next"] == [{"kind": "http500", "on": "void", "times": 1}]


def test_rates_hit_their_share_of_charges(sandbox_subject: SandboxSubject) -> None:
    """60 calls at one half: fewer than 10 or more than 50 hits happen once in ten million runs."""
    sandbox_subject.sandbox.set_faults(rates={"http500": 0.5})
    hits = Counter(type(sandbox_subject.psp.charge(a_request())) for _ in range(60))
    assert 10 <= hits[Unanswered] <= 50
    assert hits[Unanswered] + hits[Captured] == 60


def test_a_kept_method_can_be_driven_by_its_amount(sandbox_subject: SandboxSubject) -> None:
    for channel in (Channel.CREDIT_CARD, Channel.PAYPAL, Channel.SEPA):
        declined = sandbox_subject.psp.charge(a_request(channel=channel, money=Money(7_700_002, "EUR")))
        assert isinstance(declined, Declined)
        assert declined.reason is DeclineReason.INSUFFICIENT_FUNDS


def test_the_ledger_has_every_charge_with_the_published_fields(sandbox_subject: SandboxSubject) -> None:
    request = a_request()
    captured = sandbox_subject.psp.charge(request)
    assert isinstance(captured, Captured)
    (row,) = sandbox_subject.sandbox.charges(sandbox_subject.account)
    assert row["pspReference"] == captured.reference
    assert row["merchantReference"] == request.merchant_reference
    assert row["idempotencyKey"] == request.psp_key
    assert (row["amountMinor"], row["currency"], row["state"]) == (1_499, "EUR", "captured")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", row["createdAt"])


def test_the_ledger_can_be_narrowed(sandbox_subject: SandboxSubject) -> None:
    sandbox_subject.psp.charge(a_request())
    request = a_request(merchant_reference="narrow")
    sandbox_subject.psp.charge(request)
    account_id = sandbox_subject.account.account_id
    mine = sandbox_subject.sandbox.get(f"/ledger?accountId={account_id}")["charges"]
    assert len(mine) == 2
    since = mine[1]["createdAt"]
    assert sandbox_subject.sandbox.get(f"/ledger?accountId={account_id}&since={since}")["charges"] == mine[1:]
    assert (
        sandbox_subject.sandbox.get(f"/ledger?accountId={account_id}&merchantReference=narrow")["charges"] == mine[1:]
    )


def test_an_account_can_be_opened_again_and_changed_but_not_take_anothers_key(psp_process: Sandbox) -> None:
    account = psp_process.account()
    document = {
        "accountId": account.account_id,
        "apiKey": account.credentials["apiKey"],
        "webhookSecret": account.credentials["webhookSecret"],
        "merchantName": "Renamed",
    }
    size = psp_process.ledger.stat().st_size
    assert psp_process.post("/accounts", document)["merchantName"] == "Renamed"
    grown = psp_process.ledger.stat().st_size
    psp_process.post("/accounts", document)
    assert size < grown == psp_process.ledger.stat().st_size
    for change, status in (
        ({"accountId": "acc_other"}, 409),
        ({"webhookSecret": "whsec_!"}, 400),
        ({"apiKey": ""}, 400),
    ):
        answer = httpx.post(f"{psp_process.base_url}/accounts", json=document | change, trust_env=False)
        assert answer.status_code == status


def test_every_test_card_can_be_typed_and_means_one_thing() -> None:
    numbers = [number for behaviour in BEHAVIOURS for number in behaviour.cards]
    assert all(passes_luhn(number) for number in numbers)
    assert len(numbers) == len(set(numbers))
    amounts = [behaviour.amount for behaviour in BEHAVIOURS if behaviour.amount]
    assert len(amounts) == len(set(amounts))
    assert min(amounts) > 7_700_000  # No price of a shop: 77,000.01 and up.


def test_the_documented_table_is_the_table() -> None:
    rows = re.findall(r"^\| (\w+) \| ([\d ]*)\| (\d*) *\| (.+) \|$", README, re.MULTILINE)
    told = {(name, tuple(cards.split()), int(amount) if amount else None, what) for name, cards, amount, what in rows}
    assert told == {(b.name, b.cards, b.amount, b.meaning) for b in BEHAVIOURS}


def test_a_number_of_the_test_bin_does_what_its_digits_say() -> None:
    assert f"begins with {CANARY_BIN}" in README
    for behaviour in BEHAVIOURS:
        begun = f"{CANARY_BIN}{(behaviour.amount or 0) % 100:02}12345"
        number = next(begun + last for last in "0123456789" if passes_luhn(begun + last))
        assert of_card(number, "2099", "12", today=date(2026, 11, 23)) == behaviour


def test_every_fault_and_trouble_is_documented() -> None:
    fields = [field.alias for model in (Faults, WebhookFaults) for field in model.model_fields.values()]
    for name in [*fields, *Trouble]:
        assert re.search(rf"\b{name}\b", README), name


def test_the_adapter_waits_as_long_as_the_sandbox_may_take() -> None:
    assert LONGEST_PROCESSING.total_seconds() == LONGEST_PROCESSING_S
    with pytest.raises(ValidationError):
        Faults(latency_ms=LONGEST_PROCESSING_S * 500 + 1)
    with pytest.raises(ValidationError):
        Faults(slow_seconds=LONGEST_PROCESSING_S / 2 + 0.1)


def test_a_body_that_is_too_large_or_no_json_is_refused(psp_process: Sandbox) -> None:
    account = psp_process.account()
    headers = {"Authorization": f"Bearer {account.credentials['apiKey']}", "Idempotency-Key": "k"}
    url = f"{psp_process.base_url}/v1/charges"
    statuses = [
        httpx.post(url, content=content, headers=headers, trust_env=False).status_code
        for content in (b"{", b"[]", b"x" * 100_000)
    ]
    assert statuses == [400, 400, 413]
    del headers["Idempotency-Key"]
    charge = {"merchantReference": "m", "amountMinor": 1, "currency": "EUR", "channel": "SEPA"}
    assert httpx.post(url, json=charge, headers=headers, trust_env=False).status_code == 400


def test_an_account_above_its_calls_a_second_is_told_429_and_counted(psp_process: Sandbox, http: Http) -> None:
    psp_process.set_faults(callsPerSecond=2)
    query = query_of(a_request())

    for _ in range(ROUNDS):
        account = psp_process.account()
        psp, began = SandboxPsp(account, http), time.monotonic()
        said = [psp.look_up(query) for _ in range(4)]
        if time.monotonic() - began < 1:
            break
    else:
        raise AssertionError("four calls took a second or more every time: nobody can say what was too much")

    assert said == [Absent(), Absent(), *[Unanswered(PACED, timedelta(seconds=1))] * 2]
    told = psp_process.get(f"/traffic/{account.account_id}")
    assert (told["calls"], told["busiestSecond"], told["refused"]) == (4, 4, 2)
    psp_process.set_faults(callsPerSecond=None)
    assert psp.look_up(query) == Absent()
    assert psp_process.get("/traffic/nobody")["calls"] == 0
