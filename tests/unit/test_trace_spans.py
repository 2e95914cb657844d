"""What a span tells of an order and of an error: where, how long, how it ended, and not a word that was sent to us."""

from __future__ import annotations

import os
import time

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from ulid import ULID

from shared.ids import new_tracking_number
from shared.observe.otel import OrderIds, OtelTracing
from shared.observe.traces import ids_of

SECRET = "4111111111111111"


def tracing(provider: TracerProvider) -> tuple[OtelTracing, InMemorySpanExporter]:
    """Tracing, and what it told."""
    told = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(told))
    return OtelTracing(provider), told


def test_steps_of_one_order_stand_under_its_first_span_whoever_takes_them() -> None:
    number = new_tracking_number()
    api, admitted = tracing(TracerProvider(id_generator=OrderIds()))
    worker, taken = tracing(TracerProvider(id_generator=OrderIds()))
    with worker.step("order.pay.v1", number), worker.call("sandbox", "charge"):
        pass
    api.admitted(number, "tenant", began_ns=time.time_ns() - 5_000_000)

    [first] = admitted.get_finished_spans()
    call, step = taken.get_finished_spans()
    assert first.context is not None
    assert step.context is not None
    assert call.context is not None
    assert (first.context.trace_id, first.context.span_id) == ids_of(number)
    assert first.parent is None
    assert step.parent is not None
    assert call.parent is not None
    assert (step.parent.span_id, call.parent.span_id) == (first.context.span_id, step.context.span_id)
    assert {first.context.trace_id} == {step.context.trace_id, call.context.trace_id}
    assert first.end_time is not None
    assert first.start_time is not None
    assert first.end_time - first.start_time >= 5_000_000


def test_ids_are_random_again_after_an_orders_first_span() -> None:
    numbers = [new_tracking_number() for _ in range(2)]
    api, told = tracing(TracerProvider(id_generator=OrderIds()))
    for number in numbers:
        api.admitted(number, "tenant", began_ns=time.time_ns())
    with api.call("sandbox", "keep_card"):
        pass
    seen = [span.context.trace_id for span in told.get_finished_spans() if span.context is not None]
    assert seen[:2] == [ids_of(number)[0] for number in numbers]
    assert seen[2] not in seen[:2]


def test_a_step_that_raises_is_an_error_that_quotes_nothing() -> None:
    worker, told = tracing(TracerProvider(id_generator=OrderIds()))
    with pytest.raises(ValueError), worker.step("order.pay.v1", new_tracking_number()) as span:  # noqa: PT012
        span.ended("failed")
        raise ValueError(SECRET)
    [seen] = told.get_finished_spans()
    assert not seen.status.is_ok
    assert SECRET not in seen.to_json()


def test_a_share_of_orders_is_kept_or_dropped_as_a_whole() -> None:
    api, admitted = tracing(TracerProvider(sampler=TraceIdRatioBased(0.5), id_generator=OrderIds()))
    worker, taken = tracing(TracerProvider(sampler=TraceIdRatioBased(0.5), id_generator=OrderIds()))
    for _ in range(60):
        number = f"trk_{ULID.from_bytes(bytes(6) + os.urandom(10))}"  # As far apart as those of different moments.
        api.admitted(number, "tenant", began_ns=time.time_ns())
        with worker.step("order.pay.v1", number):
            pass
    kept = {span.attributes["c2a.tracking_number"] for span in admitted.get_finished_spans() if span.attributes}
    assert kept == {span.attributes["c2a.tracking_number"] for span in taken.get_finished_spans() if span.attributes}
    assert 0 < len(kept) < 60
