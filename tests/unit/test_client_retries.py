"""When the client says a call again, how soon, and what it raises when it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.errors import CODE_OF, STATUS_OF
from shared.client import talks
from shared.client.asks import Line, Order, Payment
from shared.client.carrying import CONNECT_S, READ_S, request_of
from shared.client.errors import (
    KeyAtFault,
    KeyReused,
    NoAnswer,
    NotUnderstood,
    OfferAtFault,
    PaymentAtFault,
    Refused,
    RequestAtFault,
)
from shared.client.remedies import REMEDIES
from shared.client.retries import TRIES
from shared.client.turns import Heard, Lost
from shared.client.waiting import waited
from shared.domain.cards import Card
from tests.support.client_script import Played, played, refusal, standing
from tests.support.wire import GOOD_CARD

CARD = Card("Jane Doe", GOOD_CARD, "2029", "12", "123")
ORDER = Order("of_1", "cu.1", [Line("it.00.42")])
PROCESSING = "CHECK_OUT_PROCESSING"
RESET = Lost("ReadError", was_sent=True)
ACCEPTED = standing(PROCESSING, status=202)


def submitted(*answers: Heard | Lost) -> Played:
    script = Played(list(answers))
    script.play(talks.submitted(ORDER, Payment(CARD), script.terms))
    return script


@pytest.mark.parametrize("trouble", [
    RESET,
    Lost("ConnectError", was_sent=False),
    refusal(503, "SERVICE_UNAVAILABLE", retry_after="2"),
    refusal(429, "RATE_LIMITED", retry_after="3"),
    refusal(500, "INTERNAL_SERVER_ERROR"),
    Heard(502),
    Heard(504),
    refusal(408, "REQUEST_TIMEOUT"),
])  # fmt: skip
def test_an_order_that_was_not_answered_is_sent_again_byte_for_byte(trouble: Heard | Lost) -> None:
    script = submitted(trouble, trouble, ACCEPTED)

    assert len(script.calls) == 3
    assert (
        len({(call.content and call.content.raw, call.path, tuple(call.headers.items())) for call in script.calls}) == 1
    )


def test_a_body_without_a_key_is_sent_again_under_the_one_it_got_first() -> None:
    script = Played([RESET, ACCEPTED])
    script.play(talks.document_submitted({"order": {"offerIdentifier": "of_1"}}, None, script.terms))

    keys = [call.headers["Idempotency-Key"] for call in script.calls]
    assert len(set(keys)) == 1
    assert keys[0]


@pytest.mark.parametrize("given", [None, "co-1", "another"])
@pytest.mark.parametrize("name", ["correlationId", "CLD"])
def test_a_body_with_a_key_is_sent_under_that_alone(name: str, given: str | None) -> None:
    """The API refuses two that differ."""
    script = Played([RESET] * TRIES)
    with pytest.raises(NoAnswer) as raised:
        script.play(talks.document_submitted({"ORD": {name: "co-1"}}, given, script.terms))

    assert all("Idempotency-Key" not in call.headers for call in script.calls)
    assert raised.value.key == "co-1"


def test_a_body_without_a_key_is_sent_under_the_given() -> None:
    script = Played([ACCEPTED])
    script.play(talks.document_submitted({"order": {"offerIdentifier": "of_1"}}, "co-2", script.terms))

    assert script.calls[0].headers["Idempotency-Key"] == "co-2"


def test_nobody_comes_back_sooner_than_told_nor_much_later() -> None:
    later = refusal(503, "SERVICE_UNAVAILABLE", retry_after="4")

    pauses = submitted(*[later] * 6, ACCEPTED).pauses

    assert all(4 <= pause <= 4.8 for pause in pauses)
    assert len(set(pauses)) == len(pauses)  # By chance: a crowd does not come back at once.


def test_where_nobody_says_when_pauses_grow_and_are_bounded() -> None:
    pauses = submitted(*[RESET] * 7, ACCEPTED).pauses

    assert all(longest / 2 <= pause <= longest for pause, longest in zip(pauses, (0.5, 1, 2, 4, 8, 8, 8), strict=True))


def test_tries_are_bounded_and_what_is_raised_names_the_key() -> None:
    script = Played([RESET] * TRIES)
    with pytest.raises(NoAnswer) as raised:
        script.play(talks.submitted(ORDER, Payment(CARD), script.terms))

    assert len(script.calls) == TRIES
    assert len(script.pauses) == TRIES - 1  # Nobody rests who will not ask again.
    assert raised.value.key == ORDER.correlation_id
    assert raised.value.may_have_happened
    assert ORDER.correlation_id not in str(raised.value)  # A caller's own number stands in no message.


def test_nobody_waits_for_longer_than_there_is_patience() -> None:
    script = Played([refusal(503, "SERVICE_UNAVAILABLE", retry_after="3600")])
    with pytest.raises(NoAnswer) as raised:
        script.play(talks.status("trk_1", script.terms))

    assert script.pauses == []
    assert raised.value.retry_after_s == 3600
    assert raised.value.why == "SERVICE_UNAVAILABLE"


def test_a_call_is_given_no_longer_than_there_is_patience_and_a_second_in_any_case() -> None:
    later = refusal(503, "SERVICE_UNAVAILABLE", retry_after="1")
    script = Played([later, ACCEPTED], takes_s=25.0)
    script.play(talks.status("trk_1", replace(script.terms, patience_s=30.0)))

    first, second = (request_of(call, "", {})["timeout"] for call in script.calls)
    assert (first.connect, first.read) == (CONNECT_S, READ_S)
    assert second.connect == second.read == second.pool == pytest.approx(4, abs=0.3)
    assert request_of(replace(script.calls[0], within_s=0.0), "", {})["timeout"].read == 1.0


@pytest.mark.parametrize(("status", "code", "kind"), [
    (400, "INVALID_REQUEST", RequestAtFault),
    (400, "INVALID_CARD", PaymentAtFault),
    (403, "FORBIDDEN", KeyAtFault),
    (409, "OFFER_EXPIRED", OfferAtFault),
    (409, "IDEMPOTENCY_CONFLICT", KeyReused),
    (409, "PAYMENT_METHOD_INACTIVE", PaymentAtFault),
    (418, "OF_ANOTHER_AGE", RequestAtFault),
])  # fmt: skip
def test_what_would_be_refused_again_is_raised_at_once(status: int, code: str, kind: type[Refused]) -> None:
    script = Played([refusal(status, code)])
    with pytest.raises(kind) as raised:
        script.play(talks.submitted(ORDER, Payment(CARD), script.terms))

    assert (raised.value.code, raised.value.status) == (code, status)
    assert raised.value.next_step
    assert script.pauses == []


def test_a_401_has_no_body_and_is_told_by_its_name() -> None:
    with pytest.raises(KeyAtFault) as raised:
        played(lambda terms: talks.status("trk_1", terms), Heard(401))

    assert raised.value.code == "UNAUTHORIZED"


@pytest.mark.parametrize(("message", "fields"), [
    ("order.items[0].quantity: is out of range", ("order.items[0].quantity",)),
    ("order.customer: is required; paymentMethod.creditCard.cvc: cannot be right",
     ("order.customer", "paymentMethod.creditCard.cvc")),
    ("this key has another order; it differs in: order.items[1].itemIdentifier, paymentMethod.creditCard.cardNumber",
     ("order.items[1].itemIdentifier", "paymentMethod.creditCard.cardNumber")),
    ("too many calls; come back later", ()),
])  # fmt: skip
def test_the_fields_at_fault_are_told_by_path(message: str, fields: tuple[str, ...]) -> None:
    with pytest.raises(Refused) as raised:
        played(lambda terms: talks.status("trk_1", terms), refusal(400, "INVALID_REQUEST", message))

    assert raised.value.fields == fields


def test_every_refusal_the_product_knows_has_a_remedy() -> None:
    later = {429, 503}
    codes = {kind.message_code for kind, status in STATUS_OF.items() if status not in later}

    assert codes | (set(CODE_OF.values()) - {"REQUEST_TIMEOUT"}) <= set(REMEDIES)


def test_a_card_is_not_stored_again_where_it_may_be_stored_already() -> None:
    script = Played([RESET])
    with pytest.raises(NoAnswer) as raised:
        script.play(talks.added("cu.1", Payment(CARD), script.terms))

    assert raised.value.may_have_happened
    assert "list" in raised.value.next_step


@pytest.mark.parametrize(
    "trouble", [Lost("ConnectError", was_sent=False), refusal(429, "RATE_LIMITED", retry_after="1")]
)
def test_a_card_is_stored_again_where_nobody_heard_or_did_anything(trouble: Heard | Lost) -> None:
    method = {"paymentMethodUrn": "pm.1", "paymentChannel": "CreditCard", "state": "Active"}
    stored, script = played(
        lambda terms: talks.added("cu.1", Payment(CARD), terms), trouble, Heard(200, {}, {"result": method})
    )

    assert stored.payment_method_urn == "pm.1"
    assert len(script.calls) == 2


def test_a_method_that_is_gone_after_a_lost_answer_was_deleted() -> None:
    gone = refusal(404, "PAYMENT_METHOD_NOT_FOUND")

    _, script = played(lambda terms: talks.deleted("pm.1", terms), RESET, gone)

    assert len(script.calls) == 2
    with pytest.raises(PaymentAtFault):
        played(lambda terms: talks.deleted("pm.1", terms), gone)


@pytest.mark.parametrize("strange", [Heard(200), Heard(302), Heard(204), refusal(200, "SOMETHING")])
def test_whatever_is_not_this_apis_answer_is_no_success(strange: Heard) -> None:
    """A proxy's page with status 200 has deleted nothing and accepted no order."""
    with pytest.raises(NotUnderstood):
        played(lambda terms: talks.deleted("pm.1", terms), strange)
    with pytest.raises(NotUnderstood):
        played(lambda terms: talks.submitted(ORDER, Payment(CARD), terms), strange)


def test_nothing_is_said_twice_where_it_must_not_be() -> None:
    script = Played([RESET])
    once = replace(script.terms, tries=1)
    with pytest.raises(NoAnswer):
        script.play(waited("trk_1", once, within_s=60))
    assert len(script.calls) == 1
