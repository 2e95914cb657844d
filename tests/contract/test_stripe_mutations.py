"""Fault C9 at Stripe: whatever an answer is turned into, money counts only where it is ours, and nothing is raised.

The answers are real ones of the fake, changed at any place: another amount, currency, reference, status or type, a
field that is missing or new, a document that is cut or nested. They arrive over HTTP, as a PSP's would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.domain.money import Money
from shared.domain.outcomes import Captured, KeptMethod, Returned
from shared.psp.port import Channel, ChargePage, ChargeQuery
from shared.psp.stripe_money import from_stripe
from tests.contract.stripe_subject import StripeSubject
from tests.contract.subject import a_request, card
from tests.support.stripe_fake.faults import Answer

MANY: Final = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""The fixture is a PSP, which may serve many examples: each makes a charge of its own."""
MORE: Final = settings(MANY, max_examples=500)
"""Where nothing is sent, so an example costs next to nothing."""
STRANGE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(1490, 1510), st.floats(), st.text(max_size=8),
    st.sampled_from(
        ["eur", "usd", "EUR", "succeeded", "processing", "requires_action", "requires_payment_method", "canceled",
         "payment_intent", "pi_1", "card_error", "key-1", "open", "complete", ""]
    ),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)  # fmt: skip


def _places(document: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in *document*, as the way to it."""
    if way:
        yield way
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, value in inner:
        yield from _places(value, (*way, name))


Change = tuple[int | str, bool, Any]
"""Which place (counted round, or the outermost of a name: the charge within an intent has names of it as well), whether
it goes or is replaced, and by what."""


@dataclass(frozen=True)
class Spoiler:
    """What becomes of an answer. Drawn before the call: the fake answers in a thread of its own."""

    status: int | None
    changes: list[Change]
    cut_at: int | None
    noise: bytes | None

    def answer(self, answer: Answer) -> Answer:
        """*answer*, spoilt."""
        return self.status or answer[0], self.body(answer[1])

    def body(self, body: bytes) -> bytes:
        """*body*, spoilt."""
        if self.noise is not None:
            return self.noise
        document = json.loads(body)
        for which, goes, value in self.changes:
            document = _changed(document, which, goes, value)
        return json.dumps(document).encode()[: self.cut_at]


def _changed(document: Any, which: int | str, goes: bool, value: Any) -> Any:
    places = [way for way in _places(document) if isinstance(which, int) or way[-1] == which]
    if not places:
        return document
    *way, last = places[which % len(places)] if isinstance(which, int) else min(places, key=len)
    place = document
    for step in way:
        place = place[step]
    if goes and isinstance(place, dict):
        del place[last]
    else:
        place[last] = value
    return document


STATUSES: Final = st.sampled_from([None, None, None, None, 200, 400, 401, 402, 404, 409, 429, 500])
CHANGES: Final = st.lists(st.tuples(st.integers(0, 500), st.booleans(), STRANGE), min_size=1, max_size=3)


def _lie(*names: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Change]]:
    """One value, in every field of *names*."""
    return values.map(lambda value: [(name, False, value) for name in names])


LIES: Final = st.one_of(
    _lie("amount", "amount_received", "amount_total", values=st.integers(1, 3_000)),
    _lie("amount_received", values=st.integers(1, 3_000)),
    _lie("currency", values=st.sampled_from(["usd", "isk", "xxx"])),
    _lie("status", values=st.sampled_from(["succeeded", "processing", "canceled", "requires_payment_method", "open"])),
    _lie("status", values=st.sampled_from(["pending", "failed"])),
    _lie("pspKey", values=st.sampled_from(["", "another"])),
    _lie("merchantReference", values=st.sampled_from(["", "another"])),
    _lie("id", values=st.sampled_from(["pi_1", "re_1"])),
    _lie("payment_intent", values=st.sampled_from(["pi_1", None])),
    _lie("refunded", values=st.booleans()),
)
"""Answers that are well formed, and wrong."""
SPOILERS: Final = st.one_of(
    st.builds(Spoiler, STATUSES, CHANGES, st.none(), st.none()),
    st.builds(Spoiler, st.none(), LIES, st.none(), st.none()),
    st.builds(Spoiler, STATUSES, st.just([]), st.integers(0, 2_000), st.none()),
    st.builds(Spoiler, STATUSES, st.just([]), st.none(), st.binary(max_size=200)),
)


@pytest.fixture
def spoiling(stripe_subject: StripeSubject) -> Iterator[StripeSubject]:
    """A subject whose fake may be told to garble, healed at the end."""
    yield stripe_subject
    stripe_subject.fake.faults.heal()


def _garble(subject: StripeSubject, spoiler: Spoiler, operation: str) -> list[bytes]:
    """Spoil every answer to *operation* from now on; what was said instead, in order."""
    said: list[bytes] = []

    def garble(on: str, answer: Answer) -> Answer:
        if on != operation:
            return answer
        spoilt = spoiler.answer(answer)
        said.append(spoilt[1])
        return spoilt

    subject.fake.faults.garble = garble
    return said


def _lying(name: str, value: Any) -> Spoiler:
    """One field of another value, and all else as it was."""
    return Spoiler(None, [(name, False, value)], None, None)


@MANY
@given(
    spoiler=SPOILERS,
    how=st.sampled_from(
        [
            (Channel.CREDIT_CARD, "4242424242424242"),
            (Channel.CREDIT_CARD, "4242424242424242"),
            (Channel.CREDIT_CARD, "4000002760003184"),
            (Channel.CREDIT_CARD, "4000000000009995"),
            (Channel.PAYPAL, ""),
            (Channel.KLARNA, ""),
        ]
    ),
    keeps=st.booleans(),
)
def test_a_charge_is_captured_only_for_what_was_asked_whatever_the_answer_became(
    spoiling: StripeSubject, spoiler: Spoiler, how: tuple[Channel, str], keeps: bool
) -> None:
    channel, number = how
    request = a_request(number, channel=channel, keep_method=keeps)
    _garble(spoiling, spoiler, "charge")
    outcome = spoiling.psp.charge(request)
    spoiling.fake.faults.garble = None
    if isinstance(outcome, Captured):
        assert outcome.money == request.money
        ours = [row for row in spoiling.live_captures() if row[0] == request.merchant_reference]
        assert ours == [(request.merchant_reference, 1_499, "EUR")]


@MANY
@given(spoiler=SPOILERS, by_reference=st.booleans())
@example(spoiler=_lying("pspKey", "another"), by_reference=True)
@example(spoiler=_lying("merchantReference", "another"), by_reference=True)
@example(spoiler=_lying("amount", 1_500), by_reference=False)
@example(spoiler=_lying("amount_received", 1_500), by_reference=False)
def test_a_look_up_tells_of_this_attempt_alone_whatever_the_answer_became(
    spoiling: StripeSubject, spoiler: Spoiler, by_reference: bool
) -> None:
    request = a_request("4242424242424242")
    captured = spoiling.psp.charge(request)
    assert isinstance(captured, Captured)
    reference = captured.reference if by_reference else None
    said = _garble(spoiling, spoiler, "lookUp")
    outcome = spoiling.psp.look_up(ChargeQuery(request.psp_key, request.merchant_reference, reference))
    told = list(said)
    page = spoiling.psp.charges_since(datetime.now(UTC) - timedelta(seconds=1))
    spoiling.fake.faults.garble = None
    if isinstance(outcome, Captured):
        intent = json.loads(told[-1])  # After the search, if there was one.
        ours = {"pspKey": request.psp_key, "merchantReference": request.merchant_reference}
        assert outcome.reference == captured.reference == intent["id"]
        assert ours.items() <= intent["metadata"].items()
    if isinstance(page, ChargePage):
        rows = [(row["id"], _money(row)) for row in reversed(json.loads(said[-1])["data"])]
        assert [(record.reference, record.money) for record in page.charges] == rows


def _money(row: dict[str, Any]) -> Money:
    """What a row of Stripe's says that its charge is of."""
    return from_stripe(row["amount"], row["currency"]) or Money(row["amount"], row["currency"].upper())


@MANY
@given(spoiler=SPOILERS, operation=st.sampled_from(["void", "refund"]))
@example(spoiler=_lying("status", "failed"), operation="refund")
@example(spoiler=_lying("payment_intent", "pi_1"), operation="refund")
def test_money_is_given_back_only_where_stripe_says_so_of_this_charge(
    spoiling: StripeSubject, spoiler: Spoiler, operation: str
) -> None:
    request = a_request("4242424242424242")
    captured = spoiling.psp.charge(request)
    assert isinstance(captured, Captured)
    said = _garble(spoiling, spoiler, operation)
    if operation == "void":
        outcome = spoiling.psp.void(captured.reference, psp_key="v")
    else:
        outcome = spoiling.psp.refund(captured.reference, request.money, psp_key=f"{request.psp_key}-r")
    spoiling.fake.faults.garble = None
    if isinstance(outcome, Returned):
        assert all(row[0] != request.merchant_reference for row in spoiling.live_captures())
        # The fake gives it back before its answer is spoilt: whether that was believed, the answer alone decides.
        (told,) = [json.loads(body) for body in said]
        assert (told["payment_intent"], told["amount"], told["currency"].upper()) == (captured.reference, 1_499, "EUR")
        assert told["status"] in ("succeeded", "pending")


@MANY
@given(spoiler=SPOILERS, operation=st.sampled_from(["customer", "method", "attach"]))
def test_a_kept_card_is_one_stripe_attached_whatever_the_answers_became(
    spoiling: StripeSubject, spoiler: Spoiler, operation: str
) -> None:
    key = a_request().psp_key
    _garble(spoiling, spoiler, operation)
    kept = spoiling.psp.keep_card(card("4242424242424242"), customer_urn=key, psp_key=key)
    spoiling.fake.faults.garble = None
    if isinstance(kept, KeptMethod):
        customer, _, method = kept.token.partition("/")
        assert spoiling.fake.books_of(spoiling.account).methods[method]["customer"] == customer
        assert kept.masked_number in ("424242******4242", None)


@MORE
@given(spoiler=SPOILERS)
def test_an_event_is_read_or_kept_as_other_whatever_its_body_became(spoiling: StripeSubject, spoiler: Spoiler) -> None:
    now = datetime.now(UTC)
    intent = {
        "id": "pi_1", "object": "payment_intent", "amount": 1499, "amount_received": 1499, "currency": "eur",
        "status": "succeeded", "created": 1_800_000_000, "metadata": {"pspKey": "k", "merchantReference": "m"},
    }  # fmt: skip
    document = {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "data": {"object": intent}}
    body = spoiler.body(json.dumps(document).encode()).decode(errors="replace")
    event = spoiling.psp.read_event(spoiling.sign(body, event_id="", now=now), body.encode(), now=now)
    if isinstance(event.outcome, Captured):
        told = json.loads(body)["data"]["object"]
        assert (event.outcome.money.amount_minor, event.outcome.reference) == (told["amount"], told["id"])
        assert told.get("amount_received") in (None, told["amount"])
