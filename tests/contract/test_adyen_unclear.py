"""Unknown is never failed at Adyen, either: a lost, late, wrong or nonsensical answer, and what ends the doubt."""

from __future__ import annotations

import gc
import json
import socket
import threading
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.outcomes import Captured, Challenged, Declined, NotSent, Pending, Returned, Unanswered
from shared.psp.adyen import AdyenPsp
from shared.psp.http import Http
from shared.psp.port import ChargeRequest
from tests.contract.adyen_subject import AdyenSubject
from tests.contract.subject import SUCCESS, a_request, came_back, card
from tests.support import evil

WRITTEN = (
    "500 after", "hang after", "drop after", "otherAmount", "otherCurrency", "otherReference", "malformed", "huge",
    "dribble", "page", "list", "deep",
)  # fmt: skip
NOT_WRITTEN = ("500", "hang", "drop", "409", "422")


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_charge_whose_answer_does_not_count_is_unanswered_and_told_again_under_its_key(
    adyen_subject: AdyenSubject, kind: str
) -> None:
    adyen_subject.goes_wrong(kind)
    request = a_request()
    assert isinstance(adyen_subject.psp.charge(request), Unanswered)
    captured = adyen_subject.psp.charge(request)
    assert isinstance(captured, Captured)
    assert captured.money == request.money
    assert len(adyen_subject.live_captures()) == 1
    assert adyen_subject.told().outcome == replace(captured, kept=None)


@pytest.mark.parametrize("kind", NOT_WRITTEN)
def test_a_charge_that_was_never_made_is_unanswered_and_may_be_sent_again(
    adyen_subject: AdyenSubject, kind: str
) -> None:
    adyen_subject.goes_wrong(kind)
    request = a_request()
    assert isinstance(adyen_subject.psp.charge(request), Unanswered)
    assert adyen_subject.live_captures() == []
    assert isinstance(adyen_subject.psp.charge(request), Captured)
    assert len(adyen_subject.live_captures()) == 1


def test_a_key_past_its_lifetime_charges_again(adyen_subject: AdyenSubject) -> None:
    """Fault C3: so the payment step sends nothing then, and waits for the notification."""
    request = a_request()
    adyen_subject.psp.charge(request)
    adyen_subject.fake.forget_keys()
    assert isinstance(adyen_subject.psp.charge(request), Captured)
    assert len(adyen_subject.live_captures()) == 2


@pytest.mark.parametrize("kind", ["500 after", "hang after", "drop after", "malformed", "page", "409", "401"])
def test_what_the_browser_brought_is_told_again_until_it_is_answered(adyen_subject: AdyenSubject, kind: str) -> None:
    request = a_request("4000002760003184")
    challenged = adyen_subject.psp.charge(request)
    assert isinstance(challenged, Challenged)
    query = came_back(adyen_subject, request, adyen_subject.shopper(challenged.challenge, "approve"))
    adyen_subject.fake.troubles.add(kind, on="details")
    assert isinstance(adyen_subject.psp.look_up(query), Unanswered)
    assert isinstance(adyen_subject.psp.look_up(query), Captured)
    assert len(adyen_subject.live_captures()) == 1


@pytest.mark.parametrize("kind", ["500 after", "hang after", "otherReference", "malformed", "page"])
def test_a_return_whose_answer_is_lost_is_unanswered_and_happens_once(adyen_subject: AdyenSubject, kind: str) -> None:
    captured = adyen_subject.psp.charge(a_request())
    assert isinstance(captured, Captured)
    adyen_subject.fake.holds_back = True
    adyen_subject.fake.troubles.add(kind, on="reversals")
    assert isinstance(adyen_subject.psp.void(captured.reference, psp_key="lost"), Unanswered)
    assert isinstance(adyen_subject.psp.void(captured.reference, psp_key="lost"), Pending)
    adyen_subject.fake.work()
    assert adyen_subject.live_captures() == []
    assert adyen_subject.fake.payments(adyen_subject.account)[0].returned == 1_499
    assert adyen_subject.told().outcome == captured
    assert adyen_subject.told().outcome == Returned(captured.reference, captured.money, asked_as="lost")
    assert adyen_subject.told_no_more()


@pytest.mark.parametrize(
    "body",
    [
        b"<h1>no</h1>",
        b'{"error": {"code": "blocked"}}',
        b'{"status": 500, "errorCode": "905", "errorType": "internal", "message": "no"}',
    ],
    ids=["page", "document", "of another status"],
)
@pytest.mark.parametrize("status", [400, 401, 403, 422, 429])
def test_a_refusal_of_some_other_server_is_no_answer(
    http: Http, adyen_subject: AdyenSubject, status: int, body: bytes
) -> None:
    """A proxy or a firewall between us and Adyen knows nothing of what an earlier request became."""
    head = b"HTTP/1.1 %d No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    with evil.serving(evil.after_all_of_it(head + body)) as url:
        psp = AdyenPsp(replace(adyen_subject.account, base_url=url), http)
        assert psp.charge(a_request()) == Unanswered(f"status {status}")
        assert psp.keep_card(card(), customer_urn="cu.00.482", psp_key="k") == Unanswered(f"status {status}")
        assert not psp.forget_token("A1@cu.00.482")


def test_nobody_at_the_address_was_not_sent(http: Http, adyen_subject: AdyenSubject) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        account = replace(adyen_subject.account, base_url=f"http://127.0.0.1:{deaf.getsockname()[1]}")
        assert AdyenPsp(account, http).charge(a_request()) == NotSent("no connection")


def test_an_address_that_may_not_be_called_is_not_called(adyen_subject: AdyenSubject) -> None:
    guarded = AdyenPsp(adyen_subject.account, Http(admits=lambda _: False))
    calls = len(adyen_subject.fake.calls)
    assert isinstance(guarded.charge(a_request()), NotSent)
    assert len(adyen_subject.fake.calls) == calls


def test_no_word_of_adyen_gets_into_an_outcome(adyen_subject: AdyenSubject) -> None:
    declined = adyen_subject.psp.charge(a_request("4000000000009995"))
    assert "Not enough balance" not in repr(declined)
    adyen_subject.fake.troubles.add("500 after")
    assert "Unable to Process" not in repr(adyen_subject.psp.charge(a_request()))


def test_a_card_is_in_no_outcome_and_in_nothing_the_adapter_keeps(adyen_subject: AdyenSubject) -> None:
    request = a_request()
    adyen_subject.fake.troubles.add("422")  # Its text quotes the number.
    assert SUCCESS not in repr(adyen_subject.psp.charge(request))
    assert isinstance(adyen_subject.psp.charge(request), Captured)
    assert not [text for text in _texts_within(adyen_subject.psp) if SUCCESS in text]
    assert SUCCESS in _texts_within(request), "a card's number is not found where it is"


def _texts_within(kept: object) -> list[str]:
    """Every text that *kept* leads to, but for what all of the program shares: its classes, functions and modules."""
    seen: dict[int, object] = {}
    left, texts = [kept], list[str]()
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen[id(one)] = one
        if isinstance(one, str):
            texts.append(one)
        elif isinstance(one, bytes | bytearray):
            texts.append(one.decode(errors="replace"))
        else:
            left += gc.get_referents(one)
    return texts


RIGHT: dict[str, Any] = {
    "resultCode": "Authorised",
    "pspReference": "993617895204576J",
    "merchantReference": "the order",
    "amount": {"currency": "EUR", "value": 1499},
    "additionalData": {"paymentMethod": "visa"},
}
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_PATHS = [("resultCode",), ("pspReference",), ("merchantReference",), ("amount",), ("amount", "currency"),
          ("amount", "value"), ("additionalData",), ("action",)]  # fmt: skip


@st.composite
def _mutated(draw: st.DrawFn) -> dict[str, Any]:
    document = json.loads(json.dumps(RIGHT))
    for path in draw(st.lists(st.sampled_from(_PATHS), min_size=1, max_size=3)):
        *above, name = path
        place = document
        for step in above:
            place = place.get(step) if isinstance(place, dict) else None
        if isinstance(place, dict):
            if draw(st.booleans()):
                place.pop(name, None)
            else:
                place[name] = draw(_VALUES | st.sampled_from(["Refused", "RedirectShopper", "Received", "Cancelled"]))
    return dict(document)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=_mutated())
def test_no_mutated_answer_counts_as_a_capture_of_anything_else(
    adyen_subject: AdyenSubject, says: _Says, document: dict[str, Any]
) -> None:
    """Fault C9: whatever an answer says, a capture is of our amount and our order, or is none."""
    says.body = json.dumps(document).encode()
    outcome = says.psp.charge(says.request)
    if isinstance(outcome, Captured):
        assert outcome.money == says.request.money
        assert document["merchantReference"] == "the order"
        assert document["resultCode"] == "Authorised"
    else:
        assert isinstance(outcome, Declined | Challenged | Pending | Unanswered)


class _Says:
    """A server that answers every call with one body, and an adapter that calls it."""

    def __init__(self, psp: AdyenPsp) -> None:
        self.body = b""
        self.psp = psp
        self.request: ChargeRequest = a_request(merchant_reference="the order")


@pytest.fixture
def says(adyen_subject: AdyenSubject, http: Http) -> Any:
    def answer(conn: socket.socket, over: threading.Event) -> None:
        body = told.body
        evil.after_all_of_it(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)(
            conn, over
        )

    with evil.serving(answer) as url:
        told = _Says(AdyenPsp(replace(adyen_subject.account, base_url=url), http))
        yield told
