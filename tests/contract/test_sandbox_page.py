"""The hosted challenge page: a person can click through it, twice does it once, and nothing can be smuggled in."""

from __future__ import annotations

import re

import httpx
import pytest

from deploy.sandbox.pages import shown_amount
from shared.domain.outcomes import Captured, Challenged
from shared.psp.port import Channel
from tests.contract.subject import RETURN_URL, SandboxSubject, a_request, query_of
from tests.support import page_policy


def _page(subject: SandboxSubject, **changes: object) -> tuple[str, httpx.Response]:
    challenged = subject.psp.charge(a_request(str(changes.pop("number", "4000002760003184")), **changes))
    assert isinstance(challenged, Challenged)
    assert challenged.challenge.redirect_url is not None
    return challenged.challenge.redirect_url, httpx.get(challenged.challenge.redirect_url, trust_env=False)


@pytest.mark.parametrize(
    ("channel", "title"),
    [
        (Channel.CREDIT_CARD, "3-D Secure sandbox"),
        (Channel.PAYPAL, "PayPal sandbox"),
        (Channel.KLARNA, "Klarna sandbox"),
        (Channel.BANK, "Bank transfer sandbox"),
    ],
)
def test_the_page_says_who_asks_for_how_much_through_what(
    sandbox_subject: SandboxSubject, channel: Channel, title: str
) -> None:
    _, page = _page(sandbox_subject, channel=channel)
    assert page.status_code == 200
    assert f"<h1>{title}</h1>" in page.text
    assert "14.99 EUR" in page.text
    assert "Shop &lt;b&gt;&amp; Sons&lt;/b&gt;" in page.text
    assert re.findall(r'value="(\w+)"', page.text) == ["approve", "decline", "cancel"]


def test_the_page_escapes_what_the_merchant_sent_and_loads_nothing(sandbox_subject: SandboxSubject) -> None:
    _, page = _page(sandbox_subject, merchant_reference='"><script>alert(1)</script>')
    assert "<script" not in page.text
    assert "&quot;&gt;&lt;script&gt;" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r'(src|href)="', page.text)


def test_the_page_is_closed_while_it_asks_and_when_it_is_over(sandbox_subject: SandboxSubject) -> None:
    url, page = _page(sandbox_subject)
    page_policy.check(page.headers)
    sandbox_subject.sandbox.click(url, "approve")
    page_policy.check(httpx.get(url, trust_env=False).headers)
    page_policy.check(httpx.get(f"{url}-nobody", trust_env=False).headers)


def test_approving_twice_captures_once_and_returns_both_times(sandbox_subject: SandboxSubject) -> None:
    url, _ = _page(sandbox_subject)
    for _ in range(2):
        back = sandbox_subject.sandbox.click(url, "approve")
        assert (back.status_code, back.headers["location"]) == (303, RETURN_URL)
    assert sandbox_subject.sandbox.click(url, "decline").status_code == 303
    assert len(sandbox_subject.live_captures()) == 1
    kinds = [sandbox_subject.hooks.next().event["type"] for _ in range(2)]
    assert kinds == ["charge.challenge", "charge.captured"]
    assert sandbox_subject.hooks.hooks.empty()


def test_a_finished_page_says_how_it_ended_and_leads_back(sandbox_subject: SandboxSubject) -> None:
    url, _ = _page(sandbox_subject)
    sandbox_subject.sandbox.click(url, "approve")
    page = httpx.get(url, trust_env=False).text
    assert "This payment was approved." in page
    assert f'href="{RETURN_URL.replace("&", "&amp;")}"' in page
    assert "<button" not in page


def test_an_abandoned_challenge_takes_no_decision_but_cancel(sandbox_subject: SandboxSubject) -> None:
    url, page = _page(sandbox_subject, number="4000007700000034")
    assert re.findall(r'value="(\w+)"', page.text) == ["cancel"]
    assert sandbox_subject.sandbox.click(url, "approve").status_code == 200
    assert sandbox_subject.live_captures() == []
    assert sandbox_subject.sandbox.click(url, "cancel").status_code == 303


@pytest.mark.parametrize(("number", "captures"), [("4000007700000042", 1), ("4000007700000059", 0)])
def test_a_self_driving_challenge_ends_without_a_browser(
    sandbox_subject: SandboxSubject, number: str, captures: int
) -> None:
    request = a_request(number)
    assert isinstance(sandbox_subject.psp.charge(request), Challenged)
    assert sandbox_subject.hooks.next().event["type"] == "charge.challenge"
    assert sandbox_subject.hooks.next().event["type"] == ("charge.captured" if captures else "charge.declined")
    assert isinstance(sandbox_subject.psp.look_up(query_of(request)), Captured) == bool(captures)
    assert len(sandbox_subject.live_captures()) == captures


def test_an_unknown_page_and_an_unknown_button_change_nothing(sandbox_subject: SandboxSubject) -> None:
    url, _ = _page(sandbox_subject)
    base = sandbox_subject.sandbox.base_url
    assert httpx.get(f"{base}/challenge/sb_nobody", trust_env=False).status_code == 404
    assert sandbox_subject.sandbox.click(f"{base}/challenge/sb_nobody", "approve").status_code == 404
    assert sandbox_subject.sandbox.click(url, "steal").status_code == 400
    assert sandbox_subject.live_captures() == []


def test_amounts_are_shown_in_the_units_of_their_currency() -> None:
    assert shown_amount(1_499, "EUR") == "14.99 EUR"
    assert shown_amount(5, "EUR") == "0.05 EUR"
    assert shown_amount(1_499, "JPY") == "1,499 JPY"
    assert shown_amount(1_499, "KWD") == "1.499 KWD"
