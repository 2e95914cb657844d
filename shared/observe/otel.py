"""Traces by OpenTelemetry's SDK, sent by OTLP over HTTP; imported only where both are installed (traces.py).

The SDK reads its own variables: where to send (OTEL_EXPORTER_OTLP_ENDPOINT), under which name (OTEL_SERVICE_NAME), how
many (OTEL_TRACES_SAMPLER). To sample, take `traceidratio`: every process decides by the trace's id alone, so an order's
spans are kept or dropped together. Spans gather in memory and are sent beside the work; with nobody to take them they
are dropped, and no order waits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from shared.observe.traces import ids_of

SEND_S: Final = 2.0
"""How long a batch may take to be taken, unless OTEL_EXPORTER_OTLP_TIMEOUT says otherwise: it is waited for at the end
of a process."""
FLUSH_MS: Final = 3_000
_root: ContextVar[tuple[int, int] | None] = ContextVar("c2a_root_span", default=None)


class OrderIds(RandomIdGenerator):
    """Random ids, but for the one span whose ids are an order's."""

    def generate_trace_id(self) -> int:
        """Of the order whose first span begins, else random."""
        ids = _root.get()
        return super().generate_trace_id() if ids is None else ids[0]

    def generate_span_id(self) -> int:
        """Of the order whose first span begins, else random."""
        ids = _root.get()
        return super().generate_span_id() if ids is None else ids[1]


@dataclass(frozen=True, slots=True)
class _Taken:
    """A span as traces.py knows it."""

    span: Span

    def ended(self, how: str) -> None:
        """Say how it ended."""
        self.span.set_attribute("c2a.ended", how)
        if how == "failed":
            self.span.set_status(Status(StatusCode.ERROR))


class OtelTracing:
    """Tells *provider* what took how long; an error's text and trace stay out of it, as they may quote values."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("c2a")

    def admitted(self, tracking_number: str, tenant: str, *, began_ns: int) -> None:
        """The order's first span: its ids are what every other process derives from the number."""
        token = _root.set(ids_of(tracking_number))
        try:
            span = self._tracer.start_span(
                "checkout",
                context=Context(),
                kind=SpanKind.SERVER,
                attributes={"c2a.tracking_number": tracking_number, "c2a.tenant": tenant},
                start_time=began_ns,
            )
        finally:
            _root.reset(token)
        span.end()

    @contextmanager
    def step(self, name: str, tracking_number: str) -> Iterator[_Taken]:
        """A span under the order's first one."""
        trace_id, span_id = ids_of(tracking_number)
        first = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        with self._tracer.start_as_current_span(
            name,
            context=set_span_in_context(NonRecordingSpan(first), Context()),
            kind=SpanKind.CONSUMER,
            attributes={"c2a.tracking_number": tracking_number},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield _Taken(span)

    @contextmanager
    def call(self, adapter: str, verb: str) -> Iterator[_Taken]:
        """A span under the step that calls; under none, a trace of its own."""
        with self._tracer.start_as_current_span(
            f"psp {verb}",
            kind=SpanKind.CLIENT,
            attributes={"c2a.psp.adapter": adapter, "c2a.psp.verb": verb},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield _Taken(span)

    def flush(self) -> None:
        """Send what has gathered."""
        self._provider.force_flush(FLUSH_MS)


def exporting(service: str) -> OtelTracing:
    """Tracing that sends what it is told to where the environment says."""
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
    provider = TracerProvider(resource=Resource.create(named), id_generator=OrderIds())
    timeout = None if os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") else SEND_S
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=timeout)))
    return OtelTracing(provider)
