"""What leaves for Stripe: what its API documents and nothing else; no card meets the library, nobody is told more."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import stripe

from shared.domain.outcomes import Declined, DeclineReason, NotSent, Unanswered
from shared.psp.http import Answer, Http, Patience
from shared.psp.stripe import StripePsp
from tests.contract.stripe_subject import StripeSubject
from tests.contract.subject import a_request, card, query_of
from tests.support import lateness
from tests.support.psp import ROOT

NUMBER = "4242424242424242"


def _asked(subject: StripeSubject, path: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The headers and the parameters of the last POST to *path*."""
    found = [(headers, body) for verb, url, headers, body in subject.fake.requests if (verb, url) == ("POST", path)]
    headers, body = found[-1]
    return headers, parse_qs(body.decode(), strict_parsing=True)


def test_a_charge_goes_under_our_key_with_our_names_in_its_metadata(stripe_subject: StripeSubject) -> None:
    request = a_request(NUMBER)
    stripe_subject.psp.charge(request)
    headers, asked = _asked(stripe_subject, "/v1/payment_intents")
    assert headers["idempotency-key"] == request.psp_key
    assert asked["metadata[pspKey]"] == [request.psp_key]
    assert asked["metadata[merchantReference]"] == [request.merchant_reference]
    assert (asked["amount"], asked["currency"], asked["capture_method"]) == (["1499"], ["eur"], ["automatic"])
    assert asked["return_url"] == [request.return_url]


def test_no_header_goes_that_the_call_does_not_need(stripe_subject: StripeSubject) -> None:
    for _ in range(2):  # The library would tell with the second call what it measured of the first.
        stripe_subject.psp.charge(a_request(NUMBER))
    headers, _ = _asked(stripe_subject, "/v1/payment_intents")
    assert set(headers) == {
        "host", "accept-encoding", "content-length", "content-type", "authorization", "idempotency-key",
        "stripe-version", "user-agent",
    }  # fmt: skip
    assert headers["stripe-version"] == stripe.api_version
    assert headers["user-agent"] == f"c2a-checkout stripe-python/{stripe.VERSION}"


def test_the_card_goes_with_its_method_alone_and_to_no_metadata(stripe_subject: StripeSubject) -> None:
    before = len(stripe_subject.fake.requests)
    stripe_subject.psp.charge(a_request(NUMBER, keep_method=True))
    carrying = [url for _, url, _, body in stripe_subject.fake.requests[before:] if NUMBER.encode() in body]
    assert carrying == ["/v1/payment_methods"]
    _, asked = _asked(stripe_subject, "/v1/payment_methods")
    assert asked["card[number]"] == [NUMBER]
    assert asked["billing_details[name]"] == ["Jane Doe"]


def test_nothing_of_a_request_is_in_the_librarys_log_at_any_level(
    stripe_subject: StripeSubject, caplog: pytest.LogCaptureFixture
) -> None:
    request = a_request(NUMBER, keep_method=True)
    with caplog.at_level(logging.DEBUG):
        stripe_subject.psp.charge(request)
        stripe_subject.psp.keep_card(card(NUMBER, cvc="8642"), customer_urn="cu.00.482", psp_key="k")
    said = "\n".join(record.getMessage() for record in caplog.records)
    for secret in (NUMBER, stripe_subject.account.credentials["apiKey"], "STRIPE TEXT"):
        assert secret not in said
    assert not re.search(r"\b8642\b", said)  # Not as a few digits of an id that was made up.


TALKATIVE = """
import sys
from shared.psp.factory import psp_for
from shared.psp.port import Account
from tests.contract.subject import a_request
outcome = psp_for(Account(**eval(sys.stdin.read()))).charge(a_request("4242424242424242"))
print(type(outcome).__name__)
"""


def test_a_process_told_to_print_the_librarys_log_prints_no_card_and_keeps_no_id(
    stripe_subject: StripeSubject, tmp_path: Path
) -> None:
    document = asdict(stripe_subject.account) | {"channels": frozenset()}
    done = subprocess.run(
        [sys.executable, "-c", TALKATIVE], cwd=ROOT, input=repr(document), text=True, capture_output=True, timeout=60,
        env={**os.environ, "STRIPE_LOG": "debug", "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.split() == ["Captured"], done.stderr
    assert "Post details" in done.stderr  # It does print: what it was given.
    assert NUMBER not in done.stderr
    assert stripe_subject.account.credentials["apiKey"] not in done.stderr
    assert list(tmp_path.rglob("*")) == []


def test_what_stripe_does_not_document_is_refused_by_the_fake(stripe_subject: StripeSubject, http: Http) -> None:
    """Else this tier would prove nothing of our requests."""
    account = stripe_subject.account
    headers = {"Authorization": f"Bearer {account.credentials['apiKey']}", "Stripe-Version": stripe.api_version or ""}
    asked = b"amount=1&currency=eur&confirm=true&payment_method_data[type]=card&payment_method_data[card][number]=4"
    answer = http.call("POST", f"{account.base_url}/v1/payment_intents", headers=headers, body=asked)
    assert isinstance(answer, Answer)
    assert json.loads(answer.body)["error"]["param"] == "[payment_method_data][card]"


def test_the_calls_of_one_verb_share_its_deadline(stripe_subject: StripeSubject) -> None:
    """A charge that keeps its card is three calls; each answers in time, all together would not."""
    stripe_subject.fake.slow_s = 1.0
    with closing(Http(Patience(connect_s=1.0, read_s=3.0, total_s=2.0))) as hasty, lateness.watched() as late:
        began = time.monotonic()
        outcome = StripePsp(stripe_subject.account, hasty).charge(a_request(NUMBER, keep_method=True))
        took = time.monotonic() - began
    assert isinstance(outcome, NotSent | Unanswered)
    assert took - late.seconds < 2.9


@pytest.mark.parametrize(
    ("number", "reason", "soft"),
    [
        ("4000000000000119", DeclineReason.ISSUER_UNAVAILABLE, True),
        ("4000000000006975", DeclineReason.LIMIT_EXCEEDED, False),
        ("4000000000009979", DeclineReason.LOST_OR_STOLEN, False),
        ("4000008260003178", DeclineReason.INSUFFICIENT_FUNDS, False),
        ("4000056655665556", DeclineReason.GENERIC, False),
    ],
)
def test_stripes_test_cards_are_declined_in_our_words(
    stripe_subject: StripeSubject, number: str, reason: DeclineReason, soft: bool
) -> None:
    request = a_request(number)
    outcome = stripe_subject.psp.charge(request)
    if not isinstance(outcome, Declined):  # 3DS comes first.
        stripe_subject.shopper(outcome.challenge, "approve")  # type: ignore[union-attr]
        told = stripe_subject.psp.look_up(query_of(request))
        assert isinstance(told, Declined)
        outcome = told
    assert (outcome.reason, outcome.soft) == (reason, soft)
    assert outcome.reference is not None
