"""Unknown is never failed, at Stripe: its errors, its keys, and whatever stands between (faults C1, C2, C3, C9)."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.outcomes import Absent, Captured, Declined, DeclineReason, KeptMethod, NotSent, Unanswered
from shared.psp.http import Http
from shared.psp.port import Channel, ChargeQuery
from shared.psp.stripe import StripePsp
from tests.contract.stripe_subject import StripeSubject
from tests.contract.subject import a_request, card, query_of
from tests.support import evil
from tests.support.stripe_fake.faults import error

REMEMBERED = ("http500", "http500After")
LOST_REFUNDS = (
    "timeoutAfter", "dropAfter", "malformed", "otherAmount", "otherCurrency", "otherIntent", "unknownStatus", "failed",
    "canceled",
)  # fmt: skip
BEFORE_THE_CHARGE = ("drop", "timeoutBefore", "http503", "http500", "malformed", "deep", "huge")


@pytest.mark.parametrize("kind", REMEMBERED)
def test_a_500_is_what_stripe_repeats_under_that_key_and_only_a_look_up_ends_the_doubt(
    stripe_subject: StripeSubject, kind: str
) -> None:
    stripe_subject.fake.faults.add(kind)
    request = a_request()
    assert stripe_subject.psp.charge(request) == stripe_subject.psp.charge(request) == Unanswered("status 500")
    told = stripe_subject.psp.look_up(query_of(request))
    assert isinstance(told, Captured if kind == "http500After" else Absent)


@pytest.mark.parametrize("kind", BEFORE_THE_CHARGE)
def test_what_goes_wrong_before_the_charge_is_asked_for_leaves_no_doubt_about_money(
    stripe_subject: StripeSubject, kind: str
) -> None:
    for on, keeps, urn in (("method", False, "cu.00.482"), ("customer", True, "cu.00.483")):
        stripe_subject.fake.faults.add(kind, on=on)
        request = a_request(keep_method=keeps, customer_urn=urn)
        assert isinstance(stripe_subject.psp.charge(request), NotSent), on
    assert stripe_subject.live_captures() == []


def test_a_method_that_another_request_of_the_same_key_is_making_leaves_the_charge_in_doubt(
    stripe_subject: StripeSubject,
) -> None:
    stripe_subject.fake.faults.add("http409", on="method")
    assert stripe_subject.psp.charge(a_request()) == Unanswered("in progress")
    request = a_request()
    stripe_subject.psp.charge(request)
    other = replace(request, card=card("5555555555554444"))
    assert stripe_subject.psp.charge(other) == Unanswered("key used with other parameters")


def test_what_never_reached_stripe_was_not_sent(stripe_subject: StripeSubject, http: Http) -> None:
    """Fault C5: a refused connection and a name nobody has are proofs, for every kind of charge."""
    with socket.socket() as deaf:  # Bound, so that nobody else listens there.
        deaf.bind(("127.0.0.1", 0))
        for url in (f"http://127.0.0.1:{deaf.getsockname()[1]}", "http://stripe.invalid"):
            psp = StripePsp(replace(stripe_subject.account, base_url=url), http)
            for channel in Channel:
                assert psp.charge(a_request(channel=channel)) == NotSent("no connection"), channel
            assert isinstance(psp.look_up(ChargeQuery("k", "m")), Unanswered)
            assert psp.keep_card(card(), customer_urn="cu.1", psp_key="k") == NotSent("no connection")


def test_a_charge_the_index_does_not_have_yet_is_not_found_and_that_proves_nothing(
    stripe_subject: StripeSubject,
) -> None:
    """Fault C2 with Stripe's search an hour behind."""
    stripe_subject.fake.intents.index_lag_s = 3_600.0
    stripe_subject.fake.faults.add("dropAfter")
    request = a_request()
    assert isinstance(stripe_subject.psp.charge(request), Unanswered)
    assert stripe_subject.psp.look_up(query_of(request)) == Absent()
    assert not stripe_subject.psp.capabilities.proves_absence
    books = stripe_subject.fake.books_of(stripe_subject.account)
    with stripe_subject.fake.lock:
        books.indexed_at = dict.fromkeys(books.indexed_at, time.monotonic())
    assert isinstance(stripe_subject.psp.look_up(query_of(request)), Captured)


def test_a_key_is_found_whatever_stands_in_it_and_no_other_with_it(stripe_subject: StripeSubject) -> None:
    for key in ("it's", "a\\b", "' OR status:'succeeded"):
        request = a_request(psp_key=key)
        captured = stripe_subject.psp.charge(request)
        assert isinstance(captured, Captured)
        assert stripe_subject.psp.look_up(query_of(request)) == captured
    assert stripe_subject.psp.look_up(query_of(a_request(psp_key="another"))) == Absent()


@pytest.mark.parametrize("on", ["charge", "method"])
def test_a_paced_charge_was_not_sent(stripe_subject: StripeSubject, on: str) -> None:
    stripe_subject.fake.faults.add("http429", on=on)
    request = a_request()
    assert stripe_subject.psp.charge(request) == NotSent("paced")
    assert isinstance(stripe_subject.psp.charge(request), Captured)


def test_wrong_credentials_send_nothing(stripe_subject: StripeSubject, http: Http) -> None:
    credentials = {**stripe_subject.account.credentials, "apiKey": "sk_test_wrong"}
    stranger = StripePsp(replace(stripe_subject.account, credentials=credentials), http)
    assert stranger.charge(a_request()) == NotSent("account refused")
    assert stranger.charge(a_request(channel=Channel.PAYPAL)) == NotSent("account refused")
    assert isinstance(stranger.look_up(ChargeQuery("k", "m")), Unanswered)
    assert isinstance(stranger.look_up(ChargeQuery("k", "m", "pi_1")), Unanswered)
    assert not stranger.forget_token("cus_1/pm_1")


def test_a_request_stripe_refuses_as_invalid_is_a_final_no(stripe_subject: StripeSubject) -> None:
    request = a_request(return_url="javascript:1")
    assert stripe_subject.psp.charge(request) == Declined(DeclineReason.GENERIC)
    assert stripe_subject.psp.look_up(query_of(request)) == Absent()
    assert stripe_subject.live_captures() == []


def test_no_word_of_stripe_gets_into_an_outcome(stripe_subject: StripeSubject) -> None:
    outcomes = [stripe_subject.psp.charge(a_request("4000000000009995"))]
    stripe_subject.fake.faults.add("http500")
    outcomes.append(stripe_subject.psp.charge(a_request()))
    outcomes.append(stripe_subject.psp.charge(a_request(return_url="javascript:1")))
    assert "STRIPE TEXT" not in repr(outcomes)


PAGES = (
    b"<h1>no</h1>", b'{"error": {"code": "blocked"}}', b'{"error": {"type": "firewall", "code": "rate_limit"}}',
    b'{"error": "invalid_client"}', b"[]", b'{"error": []}',
)  # fmt: skip


@pytest.mark.parametrize("body", PAGES, ids=range(len(PAGES)))
@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 404, 409, 429, 500])
def test_a_word_of_somebody_between_us_and_stripe_is_no_answer(
    stripe_subject: StripeSubject, status: int, body: bytes
) -> None:
    """A proxy or a firewall knows nothing of what an earlier request became."""
    stripe_subject.fake.faults.proxy = (status, body)
    for on in ("charge", "lookUp", "refund", "void", "forget", "seeMethod"):
        stripe_subject.fake.faults.add("proxy", on=on, times=2)
    psp = stripe_subject.psp
    assert isinstance(psp.charge(a_request()), Unanswered)
    assert isinstance(psp.look_up(ChargeQuery("k", "m", "pi_1")), Unanswered)
    assert isinstance(psp.look_up(ChargeQuery("k", "m")), Unanswered)
    assert isinstance(psp.refund("pi_1", a_request().money, psp_key="k"), Unanswered)
    assert isinstance(psp.void("pi_1", psp_key="k"), Unanswered)
    assert not psp.forget_token("cus_1/pm_1")


def test_a_server_that_is_not_stripe_proves_nothing(stripe_subject: StripeSubject, http: Http) -> None:
    def refuse(conn: socket.socket, over: threading.Event) -> None:
        conn.recv(65_536)
        conn.sendall(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 9\r\n\r\nnot found")

    with evil.serving(refuse) as url:
        psp = StripePsp(replace(stripe_subject.account, base_url=url), http)
        assert isinstance(psp.look_up(ChargeQuery("k", "m", "pi_1")), Unanswered)
        assert isinstance(psp.look_up(ChargeQuery("k", "m")), Unanswered)
        assert isinstance(psp.charges_since(datetime.now(UTC)), Unanswered)
        assert not psp.forget_token("cus_1/pm_1")


def test_a_refusal_whose_charge_stands_otherwise_is_in_doubt(stripe_subject: StripeSubject) -> None:
    """A no that shows the charge as captured contradicts itself; so does one about another charge."""
    request = a_request()
    captured = stripe_subject.psp.charge(request)
    assert isinstance(captured, Captured)
    intent = stripe_subject.fake.books_of(stripe_subject.account).intents[captured.reference]
    for shown in (intent, intent | {"metadata": {}}, intent | {"status": "requires_capture"}):
        said = error("card_error", "card_declined", payment_intent=shown)
        stripe_subject.fake.faults.garble = lambda on, answer, said=said: (402, said) if on == "charge" else answer
        assert isinstance(stripe_subject.psp.charge(request), Unanswered)


def test_trouble_while_keeping_or_forgetting_is_told_apart_from_a_verdict(stripe_subject: StripeSubject) -> None:
    psp, faults = stripe_subject.psp, stripe_subject.fake.faults

    def keep(key: str) -> object:
        return psp.keep_card(card(), customer_urn="cu.00.482", psp_key=key)

    kept = keep("good")
    assert isinstance(kept, KeptMethod)
    faults.add("http503", on="forget")
    assert not psp.forget_token(kept.token)
    for on in ("customer", "method", "attach"):
        faults.add("dropAfter", on=on)
        assert isinstance(keep(f"lost-{on}"), Unanswered), on
        assert isinstance(keep(f"lost-{on}"), KeptMethod), on
    faults.add("http429", on="attach")
    assert keep("paced") == NotSent("paced")
    faults.add("otherId", on="attach")
    assert isinstance(keep("other"), Unanswered)


def test_a_refund_whose_answer_is_lost_is_unanswered_and_the_same_key_proves_it(stripe_subject: StripeSubject) -> None:
    request = a_request()
    captured = stripe_subject.psp.charge(request)
    assert isinstance(captured, Captured)
    part = replace(request.money, amount_minor=100)
    for kind in LOST_REFUNDS:
        stripe_subject.fake.faults.add(kind, on="refund")
        assert isinstance(stripe_subject.psp.refund(captured.reference, part, psp_key=kind), Unanswered), kind
        assert not isinstance(stripe_subject.psp.refund(captured.reference, part, psp_key=kind), Unanswered), kind
    (charge,) = stripe_subject.fake.books_of(stripe_subject.account).charges.values()
    assert charge["amount_refunded"] == 100 * len(LOST_REFUNDS)


def test_a_void_that_never_reached_stripe_is_unanswered_and_can_be_said_again(stripe_subject: StripeSubject) -> None:
    challenged = stripe_subject.psp.charge(a_request("4000002760003184"))
    reference = getattr(challenged, "reference", "")
    for kind in ("timeoutBefore", "http500", "http429", "malformed"):
        stripe_subject.fake.faults.add(kind, on="void")
        assert isinstance(stripe_subject.psp.void(reference, psp_key="void"), Unanswered), kind
    assert not isinstance(stripe_subject.psp.void(reference, psp_key="void"), Unanswered)


def test_a_key_past_its_lifetime_charges_again_and_a_look_up_sees_the_money(stripe_subject: StripeSubject) -> None:
    """Fault C3: after the lifetime only a query is safe, and of two charges under one key the captured one is told."""
    request = a_request("4000000000009995")
    assert isinstance(stripe_subject.psp.charge(request), Declined)
    stripe_subject.fake.keys[stripe_subject.account.credentials["apiKey"]].forget()
    again = replace(request, card=card())
    captured = stripe_subject.psp.charge(again)
    assert isinstance(captured, Captured)
    assert stripe_subject.psp.look_up(query_of(request)) == captured
    assert timedelta(hours=24) == stripe_subject.psp.capabilities.key_lifetime
