"""One order, one trace: from its POST to DONE, across processes and queues, with no word of its card."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.messages import Step
from shared.observe.traces import ids_of
from tests.support import stack as stacks
from tests.support.psp import until
from tests.support.stack import Stack
from tests.support.storefront import DONE, Storefront, code_of
from tests.support.trace_receiver import Seen, TraceReceiver, receiving
from tests.support.wire import GOOD_CARD, fresh_card

SENT_WITHIN_S = 30.0
"""The SDK sends what has gathered every few seconds."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[TraceReceiver]:
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def traced(receiver: TraceReceiver) -> Iterator[Stack]:
    """A stack that sends its traces there."""
    with (
        stacks.folder() as home,
        stacks.running(home, settings={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def spans(traced: Stack, receiver: TraceReceiver) -> dict[str, Seen]:
    """The spans of an order that was paid and whose card was kept, by name."""
    shop = Storefront(traced.base_url, traced.tenant, traced.api_key)
    try:
        number = shop.order(fresh_card(storeMethodSuccessPayment="always"))
        assert code_of(shop.end(number)) == DONE
    finally:
        shop.close()
    trace_id = f"{ids_of(number)[0]:032x}"
    wanted = {"checkout", Step.LOCK_OFFER, Step.PAY, Step.TOKENIZE, "psp charge"}
    until(lambda: {span.name for span in receiver.of(trace_id)} >= wanted, seconds=SENT_WITHIN_S)
    return {span.name: span for span in receiver.of(trace_id)}


def test_an_order_is_one_trace_from_its_post_to_done(spans: dict[str, Seen]) -> None:
    first = spans["checkout"]
    assert first.parent_id == ""
    assert first.service == "c2a-api"
    for step in (Step.LOCK_OFFER, Step.PAY, Step.TOKENIZE):
        assert spans[step].parent_id == first.span_id
        assert spans[step].service == "c2a-worker"
        assert not spans[step].failed


def test_a_call_to_a_psp_stands_under_the_step_that_made_it(spans: dict[str, Seen]) -> None:
    call = spans["psp charge"]
    assert call.parent_id == spans[Step.PAY].span_id
    assert call.attributes == {"c2a.psp.adapter": "sandbox", "c2a.psp.verb": "charge", "c2a.ended": "good"}


def test_no_span_holds_a_word_of_the_card_or_the_shopper(spans: dict[str, Seen], receiver: TraceReceiver) -> None:
    allowed = {"c2a.tracking_number", "c2a.tenant", "c2a.ended", "c2a.psp.adapter", "c2a.psp.verb"}
    for span in receiver.spans:
        assert span.attributes.keys() <= allowed
        assert span.events == 0, "an error's text may quote values"
    sent = b"".join(receiver.bodies)
    for secret in (GOOD_CARD, GOOD_CARD[:6], GOOD_CARD[-4:] + "\x00", "Jane Doe", "cu.", "of_"):
        assert secret.encode() not in sent
